// The platform of the search over Relacy; its threads are Relacy's fibers. The search explores
// every order of conflicting operations, older values where the memory model lets a load see them,
// and a few surprises of each thread: a futex wait returns early, time jumps past a deadline, an
// owner is off its CPU, a weak exchange fails.
#pragma once

#include "harness/cells/atomic.hpp"
#include "harness/check/common/translations.hpp"
#include "harness/check/weak_memory/cells.hpp"
#include "locks/platform.hpp"
#include "locks/types.hpp"

namespace faultline {

struct CheckPlatform : cells::StoresParts<check::AtomicCell> {
  template <class T>
  using atomic = cells::Atomic<T, check::AtomicCell>;
  template <class T>
  using data = cells::Data<T, check::DataCell>;
  using Where = check::Where;
  static constexpr u32 max_threads = check::most_threads;
  static constexpr u32 most_looks = 1;        // see locks/backoff.hpp
  static constexpr u32 table_level_bits = 2;  // every execution makes a new page table
  using tlb = check::CheckedTlb<CheckPlatform>;

  // A grace period begins and ends with a fence in every thread, as membarrier(2) makes it. It
  // lasts until each reader that was in a section has left it, or longer, since its end is an
  // operation that the search orders. The retiring thread waits for it and then reclaims, and a
  // thread that still reads races with the reclaiming. The edges of sections and the fences
  // conflict with one another, but not with plain accesses, so only searches without reduction
  // explore RCU fully.
  struct rcu {
    struct Node {};
    static void read_lock(Where where = Where::current());
    static void read_unlock(Where where = Where::current());
    static void synchronize(Where where = Where::current());
    static void retire(Node* node, void (*reclaim)(Node*)) {
      synchronize();
      reclaim(node);
    }
  };

  // The test of the value and the sleep are one step, as under the kernel's bucket lock. A wake-up
  // orders no memory here, although it does in the kernel.
  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline,
                   Where where = Where::current());
  static void wake(atomic<u32>& word, u32 n, Where where = Where::current());

  // The thread continues when an object changes that it has read since its last pause, since until
  // then it would only do the same again. A thread that watches the clock may also spin until its
  // time is over.
  static void pause(const void* object, Where where = Where::current());
  static void wait_begin(const void*, const char* what) {
    check::Thread& thread = here();
    if (thread.wait_depth++ != 0) return;
    thread.waits_for = what;
    thread.forget_reads();
  }
  static void wait_end() {
    check::Thread& thread = here();
    if (--thread.wait_depth != 0) return;
    thread.waits_for = nullptr;
    thread.watches_clock = false;
  }

  static void promised(const Promise& promise, u32 thread) {
    check::world().passes.make(promise, thread);
  }

  static u64 now();
  static u32 cpu() { return self(); }
  // Threads of even and of odd numbers run on two NUMA nodes in programs of mutexes and of
  // reader-writer locks. In all others there is one.
  static u32 node() { return self() % nodes; }
  inline static u32 nodes = 1;
  static u32 self() { return check::self(); }
  static bool running(u32 thread);
  static u64 random();

  static void work(u64) {}
  static void clear_page(void*) {}
  static void shootdown(const CpuSet& cpus, LazyCpus) { check::translations.flush(cpus); }
  static void prefetch_write(const void*) {}
  static void kernel_work(KernelWork) {}
  static void settle() {}
  static void label(const void* object, const char* name) { check::world().name(object, 1, name); }
  static void* allocate(usize bytes, usize alignment) {
    return check::world().allocate(self(), bytes, alignment);
  }

 private:
  static check::Thread& here() { return check::world().threads[self()]; }
};

static_assert(Platform<CheckPlatform>);

}  // namespace faultline
