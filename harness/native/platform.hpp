// The native platform: std::atomic, futexes, CLOCK_MONOTONIC, liburcu (memb flavour), threads
// registered by `NativeThread`.
#pragma once

#include <urcu/urcu-memb.h>

#include <atomic>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "locks/platform.hpp"
#include "locks/random.hpp"
#include "locks/types.hpp"

namespace faultline {

namespace native {

// What shootdowns cost natively, where no interrupt is sent: the sender waits base + n *
// per_target, and every target pays `target_ns` at its next operation. The sum at 80 targets stays
// below the 3.8 us a target that RadixVM's figures bound.
struct ShootdownCost {
  u64 base_ns = 500;
  u64 per_target_ns = 100;
  u64 target_ns = 500;
};

// One registered thread. Written by its own thread except `charged_ns`; read racily by `running`
// and by the stall report.
struct alignas(cache_line) ThreadRecord {
  std::atomic<bool> live{false};
  std::atomic<bool> asleep{false};
  std::atomic<u32> cpu{0};
  std::atomic<const void*> waits_for{nullptr};
  std::atomic<const char*> waits_for_name{nullptr};
  std::atomic<u64> waits_since{0};
  // Time spent waiting, ns, times two; and 1 while a wait lasts, whose beginning is then taken off:
  // adding the clock gives what has been waited until now. In one word, so that it can be read at
  // any moment.
  std::atomic<u64> waited{0};
  alignas(cache_line) std::atomic<u64> charged_ns{0};
  u32 id = 0;
  u32 node = 0;
  u64 random_state = 0;
  u32 wait_depth = 0;
  u32 pauses = 0;
  std::byte* arena = nullptr;
  usize arena_left = 0;
  std::vector<std::pair<std::byte*, usize>> chunks;  // all memory of the arena, for verification
};

inline constexpr u32 max_threads = 1024;

// The process's thread table and the caller's place in it: the one piece of global state, since a
// thread must find its own record without an argument. Only records below `thread_limit` have ever
// been used.
struct ThreadTable {
  ThreadRecord records[max_threads];
  std::atomic<u32> thread_limit{0};
  std::atomic<bool> crowded{false};  // two live threads have had one CPU
};
inline constinit ThreadTable thread_table;
inline constinit thread_local ThreadRecord* this_thread = nullptr;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
void yield_now_and_then();

inline ThreadRecord& self_record() {
  return *this_thread;
}
u64 now_ns();
bool futex_wait(std::atomic<u32>& word, u32 old, u64 deadline);
void futex_wake(std::atomic<u32>& word, u32 n);
void* allocate(usize bytes, usize alignment);
void shootdown(const CpuSet& cpus);
void settle();
void spin_for(u64 ns);
bool touch(void* address, Access access);

// Time that a thread has spent waiting so far, a wait that lasts included; ns.
u64 waited_ns(u32 thread);

// Since when a thread has waited, in now_ns()'s time; 0: it does not wait.
u64 waiting_since(u32 thread);

// "thread 3 (CPU 5) waits 10.1 s for rwsem 0x7f..": one line for each thread that is waiting now.
std::vector<std::string> waiting_threads();

}  // namespace native

// Registers the calling thread as number `id` (dense from 0), pinned by the caller on `cpu` of
// `node`, for this object's life.
class NativeThread {
 public:
  NativeThread(u32 id, u32 cpu, u32 node, u64 seed);
  ~NativeThread();
  NativeThread(const NativeThread&) = delete;
  NativeThread& operator=(const NativeThread&) = delete;
};

struct NativePlatform {
  template <class T>
  using atomic = std::atomic<T>;

  template <class T>
  class data {
   public:
    data() = default;
    explicit data(T value) : value_(value) {}
    data(const data&) = delete;
    data& operator=(const data&) = delete;
    T load() const { return value_; }
    void store(T value) { value_ = value; }

   private:
    T value_{};
  };

  struct rcu {
    using Node = rcu_head;
    static void read_lock() { urcu_memb_read_lock(); }
    static void read_unlock() { urcu_memb_read_unlock(); }
    static void synchronize() { urcu_memb_synchronize_rcu(); }
    static void retire(Node* node, void (*reclaim)(Node*)) { urcu_memb_call_rcu(node, reclaim); }
  };

  static constexpr u32 max_threads = native::max_threads;

  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline) {
    return native::futex_wait(word, old, deadline);
  }
  static void wake(atomic<u32>& word, u32 n) { native::futex_wake(word, n); }
  static void pause(const void*) {
    native::relax();
    // Where threads share a CPU, whoever is spun for may wait for this very one: it is let in now
    // and then. relaxed: set before the threads start, but for tests.
    if (native::thread_table.crowded.load(std::memory_order_relaxed)) [[unlikely]]
      native::yield_now_and_then();
  }
  static void wait_begin(const void* object, const char* what);
  static void wait_end();
  static u64 now() { return native::now_ns(); }
  static u32 cpu() {
    return native::self_record().cpu.load(std::memory_order_relaxed);
  }  // relaxed: own record
  static u32 node() { return native::self_record().node; }
  static u32 self() { return native::self_record().id; }

  // The stand-in for "the owner is on a CPU": it is not asleep in `wait` and not pinned on the
  // caller's own CPU (where it cannot run while the caller does). What this loses: an owner that
  // another process has preempted still looks running, and so do two oversubscribed owners that
  // share a CPU other than the caller's.
  static bool running(u32 thread) {
    const auto& record = native::thread_table.records[thread];
    // relaxed: a hint that may be stale by the time it is used.
    return record.live.load(std::memory_order_relaxed) &&
           !record.asleep.load(std::memory_order_relaxed) &&
           record.cpu.load(std::memory_order_relaxed) != cpu();
  }

  static u64 random() { return xorshift64_star(native::self_record().random_state); }
  static void work(u64 ns) { native::spin_for(ns); }
  static void clear_page(void* page) { __builtin_memset(page, 0, page_size); }
  static void shootdown(const CpuSet& cpus) { native::shootdown(cpus); }
  static void settle() {
    // relaxed: a charge not seen now is paid one operation later.
    if (native::self_record().charged_ns.load(std::memory_order_relaxed) != 0) native::settle();
  }
  // Scheme `linux` alone: reads or writes one byte; false where that raised SIGSEGV or SIGBUS.
  static bool touch(void* address, Access access) { return native::touch(address, access); }
  static void label(const void*, const char*) {}
  static void* allocate(usize bytes, usize alignment) { return native::allocate(bytes, alignment); }
};

static_assert(Platform<NativePlatform>);

template <>
inline constexpr bool runs_natively<NativePlatform> = true;

}  // namespace faultline
