// All that a lock may ask of its surroundings. Everything in locks/ is a template over a Platform
// and knows nothing else. Natively the names below are futexes, the clock and liburcu. In the
// simulator they cost modelled time. The checker explores their outcomes.
#pragma once

#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace faultline {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;
using usize = std::size_t;

// Bytes of a cache line on x86-64, on most ARM cores and in the simulator: the unit that CPUs
// exchange. A layout that says which fields share a line counts in this unit, from a start that is
// aligned to cache_line.
inline constexpr usize line_size = 64;
// Alignment, in bytes, of objects that must not disturb one another: two lines, since the
// adjacent-line prefetcher of x86 fetches pairs, and since several ARM cores have 128-byte lines.
inline constexpr usize cache_line = 128;
inline constexpr u64 page_size = 4096;
inline constexpr u64 page_shift = 12;
inline constexpr u64 no_deadline = ~u64{0};

// CPUs have the operating system's numbers, below max_cpus. Threads are numbered densely from 0,
// below P::max_threads.
inline constexpr u32 max_cpus = 1024;

// A set of CPUs as plain words: the argument of a shootdown. Threads do not share it.
struct CpuSet {
  u64 words[max_cpus / 64] = {};
  void add(u32 cpu) { words[cpu / 64] |= u64{1} << (cpu % 64); }
  void remove(u32 cpu) { words[cpu / 64] &= ~(u64{1} << (cpu % 64)); }
  void add(const CpuSet& other) {
    for (u32 i = 0; i < max_cpus / 64; ++i) words[i] |= other.words[i];
  }
  // Calls visit(cpu) in ascending order.
  template <class F>
  void for_each(F&& visit) const {
    for (u32 i = 0; i < max_cpus / 64; ++i)
      for (u64 left = words[i]; left != 0; left &= left - 1)
        visit(i * 64 + static_cast<u32>(std::countr_zero(left)));
  }
  bool has(u32 cpu) const { return (words[cpu / 64] >> (cpu % 64)) & 1; }
  bool empty() const {
    for (u64 word : words)
      if (word != 0) return false;
    return true;
  }
};

// Whether a shootdown reaches the CPUs whose threads sleep. Such a CPU has left the address space
// (the kernel's lazy TLB mode), and a flush of single pages passes it by; a full flush does not.
enum class LazyCpus : bool { skipped, interrupted };

// The kernel's work beside what locks/ has code for.
//   fault  of a fault that brings in a new page: memory cgroup, LRU lists, reverse mapping
//   edit   of one edit of the VMAs: slab, store into the tree, perf, accounting
enum class KernelWork : u32 { fault, edit };
inline constexpr usize kernel_works = 2;

// The concept.
//   atomic<X>      has std::atomic's interface; every call writes its memory order out
//   data<X>        is plain shared memory with load() and store()
//   wait           sleeps while the word equals `old`. It may return early. It returns false only
//                  when `deadline` (absolute, in now()'s nanoseconds) has passed
//   wake           wakes at most n waiters
//   pause          is one turn of a spin on `object`
//   wait_begin,    bracket the time that a thread waits for `object`. They give the share of time
//   wait_end       spent waiting and, when a case stalls, "who waits for what"
//   promised       the lock keeps `promise` (locks/promise.hpp) to thread n from now on
//   running(t)     answers whether thread t is on a CPU now: a hint, which may be stale at once
//   shootdown      returns when no CPU of the set can hold a stale translation any more
//   store_low      stores the low bytes of a word, as many as a Part has, and leaves the others as
//                  they are: one store, as the kernel's qspinlock makes it. The thread's next
//                  access to the whole word should be a read-modify-write: a load may see the word
//                  without the other bytes until the store is complete
//   prefetch_write asks for the memory's line for writing, and does not wait for it: a hint
//   kernel_work    takes the time of the kernel's own work on a modelled machine, in cases with
//                  kernel entry. It is nothing on every other platform: natively locks/ is measured
//                  as it is
//   settle         pays the time that other CPUs' shootdowns have charged to this CPU since the
//                  last call: at the start of an operation, and before its end is timed
//   allocate       returns zeroed memory on the caller's node, which lives until the platform ends
struct Promise;
template <class P>
concept Platform = requires(typename P::template atomic<u32>& word,
                            typename P::template atomic<u64>& wide, void* memory, u32 n, u64 time,
                            const CpuSet& cpus, const Promise& promise) {
  typename P::template data<u64>;
  P::store_low(wide, std::uint8_t{}, std::memory_order_release);
  { P::max_threads } -> std::convertible_to<u32>;
  { P::wait(word, n, time) } -> std::same_as<bool>;
  P::wake(word, n);
  P::pause(memory);
  P::wait_begin(memory, "what");
  P::wait_end();
  P::promised(promise, n);
  { P::now() } -> std::same_as<u64>;
  { P::cpu() } -> std::same_as<u32>;
  { P::node() } -> std::same_as<u32>;
  { P::self() } -> std::same_as<u32>;
  { P::running(n) } -> std::same_as<bool>;
  { P::random() } -> std::same_as<u64>;
  P::rcu::read_lock();
  P::rcu::read_unlock();
  P::rcu::synchronize();
  P::rcu::retire(static_cast<typename P::rcu::Node*>(memory),
                 static_cast<void (*)(typename P::rcu::Node*)>(nullptr));
  P::work(time);
  P::clear_page(memory);
  P::shootdown(cpus, LazyCpus::interrupted);
  P::prefetch_write(memory);
  P::kernel_work(KernelWork::fault);
  P::settle();
  P::label(memory, "name");
  { P::allocate(usize{}, usize{}) } -> std::same_as<void*>;
};

// Whether P is this machine. Locks that are not templates over a platform exist there alone. The
// platform's header specialises this.
template <class P>
inline constexpr bool runs_natively = false;

// Brackets a slow path: the thread waits for `object`. Reports call the object `what` ("rwsem",
// "ticket").
template <class P>
class WaitScope {
 public:
  WaitScope(const void* object, const char* what) { P::wait_begin(object, what); }
  ~WaitScope() { P::wait_end(); }
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;
};

// A read section of RCU, as long as the object lives.
template <class P>
class RcuSection {
 public:
  RcuSection() { P::rcu::read_lock(); }
  ~RcuSection() { P::rcu::read_unlock(); }
  RcuSection(const RcuSection&) = delete;
  RcuSection& operator=(const RcuSection&) = delete;
};

}  // namespace faultline
