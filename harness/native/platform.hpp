// The native platform: std::atomic, futexes, CLOCK_MONOTONIC, liburcu (memb flavour), and threads
// that register with a `NativeThread`.
#pragma once

#include <urcu/urcu-memb.h>

#include <atomic>
#include <bit>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "locks/platform.hpp"
#include "locks/random.hpp"
#include "locks/types.hpp"

namespace faultline {

namespace native {

// The modelled cost of a shootdown, since the native platform sends no interrupt: the sender of a
// shootdown to n targets spins for base_ns + n * per_target_ns, and every target for `target_ns` at
// its next operation. At 80 targets, all this together is below 3.8 us a target, an upper bound
// that follows from RadixVM's figures.
struct ShootdownCost {
  u64 base_ns = 500;
  u64 per_target_ns = 100;
  u64 target_ns = 500;
};

// One registered thread. Only that thread writes its record, except for `charged_ns`, which senders
// of shootdowns raise. `running` and the stall report read the record while its thread may write.
struct alignas(cache_line) ThreadRecord {
  std::atomic<bool> live{false};
  std::atomic<bool> asleep{false};
  std::atomic<u32> cpu{0};
  std::atomic<const void*> waits_for{nullptr};
  std::atomic<const char*> waits_for_name{nullptr};
  std::atomic<u64> waits_since{0};
  // Bits 1 to 63: time spent waiting, ns, modulo 2^63. Bit 0: a wait is in progress, and its start
  // has been subtracted, so that a reader adds the clock to get the time waited until now. One word
  // holds both, so that a reader sees them together at any moment.
  std::atomic<u64> waited{0};
  alignas(cache_line) std::atomic<u64> charged_ns{0};
  u32 id = 0;
  u32 node = 0;
  u64 random_state = 0;
  u32 wait_depth = 0;
  u32 pauses = 0;
  std::byte* arena = nullptr;
  usize arena_left = 0;
  // All chunks of the arena, so that Team can check which node they lie on.
  std::vector<std::pair<std::byte*, usize>> chunks;
};

inline constexpr u32 max_threads = 1024;

// The process's thread table. It and `this_thread` are global, since a thread must find its own
// record without an argument. Only records below `thread_limit` have ever been used.
struct ThreadTable {
  ThreadRecord records[max_threads];
  std::atomic<u32> thread_limit{0};
  std::atomic<bool> crowded{false};  // two live threads have once been pinned on the same CPU
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

// Time that a thread has spent waiting so far, ns, including a wait in progress.
u64 waited_ns(u32 thread);

// When a thread's wait in progress began, on now_ns()'s clock; 0 if it does not wait.
u64 waiting_since(u32 thread);

// "thread 3 (CPU 5) waits 10.1 s for rwsem 0x7f..": one line for each thread that is waiting now.
std::vector<std::string> waiting_threads();

}  // namespace native

// For this object's life, registers the calling thread as number `id` (dense from 0). The caller
// has pinned it on `cpu` of `node`. Throws std::invalid_argument for an id of max_threads or more
// or a CPU of max_cpus or more.
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

#if defined(__SANITIZE_THREAD__)
  static constexpr bool thread_sanitizer = true;
#else
  static constexpr bool thread_sanitizer = false;
#endif

  // ThreadSanitizer takes a store to a part for a store to the whole word, and forgets what other
  // threads have released by the other bytes.
  template <class Part>
  static void exchange_low(atomic<u64>& word, Part part, std::memory_order order) {
    constexpr u64 low = static_cast<Part>(~Part{0});
    u64 seen = word.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    // relaxed on failure: the next turn decides.
    while (
        !word.compare_exchange_weak(seen, (seen & ~low) | part, order, std::memory_order_relaxed)) {
    }
  }

  // x86-64 and AArch64 order accesses of different sizes byte by byte. C++ has no such access,
  // hence the compiler's own.
  template <class Part>
  static void store_low(atomic<u64>& word, Part part, std::memory_order order) {
    static_assert(std::endian::native == std::endian::little);
    if constexpr (thread_sanitizer) return exchange_low(word, part, order);
    using Bytes [[gnu::may_alias]] = Part;
    auto* bytes = reinterpret_cast<Bytes*>(&word);
    if (order == std::memory_order_release)
      __atomic_store_n(bytes, part, __ATOMIC_RELEASE);
    else if (order == std::memory_order_relaxed)
      __atomic_store_n(bytes, part, __ATOMIC_RELAXED);
    else
      __atomic_store_n(bytes, part, __ATOMIC_SEQ_CST);
  }

  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline) {
    return native::futex_wait(word, old, deadline);
  }
  static void wake(atomic<u32>& word, u32 n) {
    native::futex_wake(word, n);
  }
  static void pause(const void*) {
    native::relax();
    // Where threads share a CPU, the thread that this one spins for may need this very CPU: yield
    // to it now and then. relaxed: a thread that sees `crowded` late only yields later.
    if (native::thread_table.crowded.load(std::memory_order_relaxed)) [[unlikely]]
      native::yield_now_and_then();
  }
  static void wait_begin(const void* object, const char* what);
  static void wait_end();
  static u64 now() {
    return native::now_ns();
  }
  // relaxed: only this thread writes its record's `cpu`.
  static u32 cpu() {
    return native::self_record().cpu.load(std::memory_order_relaxed);
  }
  static u32 node() {
    return native::self_record().node;
  }
  static u32 self() {
    return native::self_record().id;
  }

  // Approximates the kernel's "the owner is on a CPU": the thread is not asleep in `wait`, and it
  // is not pinned on the caller's own CPU, where it cannot run while the caller does. It errs for a
  // thread that another process has preempted, and for threads that share a CPU other than the
  // caller's: all of these look running.
  static bool running(u32 thread) {
    const auto& record = native::thread_table.records[thread];
    // relaxed: a hint that may be stale by the time it is used.
    return record.live.load(std::memory_order_relaxed) &&
           !record.asleep.load(std::memory_order_relaxed) &&
           record.cpu.load(std::memory_order_relaxed) != cpu();
  }

  static u64 random() {
    return xorshift64_star(native::self_record().random_state);
  }
  static void work(u64 ns) {
    native::spin_for(ns);
  }
  static void clear_page(void* page) {
    __builtin_memset(page, 0, page_size);
  }
  // The modelled interrupt costs a sleeping thread the same as a running one.
  static void shootdown(const CpuSet& cpus, LazyCpus = LazyCpus::skipped) {
    native::shootdown(cpus);
  }
  // The compiler's own prefetch for writing is prefetcht0 on plain x86-64.
  static void prefetch_write(const void* memory) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(memory)));
#else
    __builtin_prefetch(memory, 1);
#endif
  }
  static void kernel_work(KernelWork) {}
  static void promised(const Promise&, u32) {}
  static void settle() {
    // relaxed: a thread that misses a charge now pays it one operation later.
    if (native::self_record().charged_ns.load(std::memory_order_relaxed) != 0) native::settle();
  }
  // Reads or writes one byte; false if that raised SIGSEGV or SIGBUS. Only scheme `linux` uses it.
  static bool touch(void* address, Access access) {
    return native::touch(address, access);
  }
  static void label(const void*, const char*) {}
  static void* allocate(usize bytes, usize alignment) {
    return native::allocate(bytes, alignment);
  }
};

static_assert(Platform<NativePlatform>);

template <>
inline constexpr bool runs_natively<NativePlatform> = true;

}  // namespace faultline
