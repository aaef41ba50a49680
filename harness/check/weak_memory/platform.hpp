// The checker's platform, for code that runs on a fiber of Relacy's under our search. What is
// explored: every order of conflicting operations, older values where the memory model lets a load
// see them; and, as surprises of which each thread meets but a few, futex waits that return early,
// time that jumps past a deadline, owners that are off their CPU, weak exchanges that fail.
#pragma once

#include "harness/check/weak_memory/cells.hpp"
#include "locks/types.hpp"
#include "locks/platform.hpp"

namespace faultline {

struct CheckPlatform {
  template <class T>
  using atomic = check::Atomic<T>;
  template <class T>
  using data = check::Data<T>;
  using Where = check::Where;
  static constexpr u32 max_threads = check::most_threads;
  static constexpr u32 table_level_bits = 2;  // a page table is made anew for every execution

  // A grace period is entered and left by a fence in every thread (as membarrier(2) makes it), and
  // lasts until each reader that was in a section has left it, or longer, as the search decides:
  // its end is an operation like any other. What is retired is reclaimed then, by the retiring
  // thread; who still reads it races with that. Every section's edge and every fence counts as
  // conflicting with the others, not with plain accesses: for searches without reduction.
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

  // The value test and the falling asleep are one step, as under the kernel's bucket lock. The
  // order of memory that a wake-up brings in the kernel is not relied upon.
  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline,
                   Where where = Where::current());
  static void wake(atomic<u32>& word, u32 n, Where where = Where::current());

  // Without a change of something it has read since its last pause, a thread would only do the same
  // again: so it goes on when there is one. Where it watches the clock, it may also spin on until
  // its time is over.
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

  static u64 now();
  static u32 cpu() { return self(); }
  static u32 node() { return 0; }
  static u32 self() { return check::self(); }
  static bool running(u32 thread);
  static u64 random();

  static void work(u64) {}
  static void clear_page(void*) {}
  static void shootdown(const CpuSet&) {}
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
