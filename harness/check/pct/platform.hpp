// The platform of PCT (engine.hpp), which works only inside an execution.
#pragma once

#include "harness/cells/atomic.hpp"
#include "harness/check/common/translations.hpp"
#include "harness/check/pct/cells.hpp"
#include "locks/platform.hpp"
#include "locks/types.hpp"

namespace faultline {

struct PctPlatform : cells::StoresParts<pct::AtomicCell> {
  template <class T>
  using atomic = cells::Atomic<T, pct::AtomicCell>;
  template <class T>
  using data = cells::Data<T, pct::DataCell>;
  using Where = pct::Where;
  static constexpr u32 max_threads = pct::most_threads;
  static constexpr u32 most_looks = 1;        // see locks/backoff.hpp
  static constexpr u32 table_level_bits = 2;  // every execution makes a new page table
  using tlb = check::CheckedTlb<PctPlatform>;

  struct rcu {
    using Node = pct::RcuNode;
    static void read_lock() {
      engine().step();
      engine().rcu_lock();
    }
    static void read_unlock() {
      engine().step();
      engine().rcu_unlock();
    }
    static void synchronize() {
      engine().step();
      engine().rcu_synchronize();
      engine().step();
    }
    static void retire(Node* node, void (*reclaim)(Node*)) {
      engine().step();
      engine().rcu_retire(node, reclaim);
    }
  };

  // The test of the value and the sleep are one step, as under the kernel's bucket lock.
  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline,
                   Where where = Where::current()) {
    engine().step();
    const bool same = word.cell().value() == old;
    engine().tell(same ? "wait, sleeps" : "wait, changed already", &word, word.cell().value(), 0,
                  pct::Order::relaxed, where, pct::LogEntry::Values::one);
    pct::check_life(word.cell().life);
    return !same || engine().sleep(word.cell(), deadline);
  }
  // The word may be destroyed already, as natively: only its address is used.
  static void wake(atomic<u32>& word, u32 n, Where where = Where::current()) {
    engine().step();
    engine().tell("wake", &word, n, 0, pct::Order::relaxed, where, pct::LogEntry::Values::one);
    engine().wake(word.cell(), n, where);
  }
  static void pause(const void*) { engine().pause(); }
  static void wait_begin(const void*, const char* what) { engine().wait_begin(what); }
  static void wait_end() { engine().wait_end(); }

  static u64 now() { return engine().now(); }
  static u32 cpu() { return self(); }
  static u32 node() { return 0; }
  static u32 self() { return engine().self(); }
  static bool running(u32 thread) { return engine().on_cpu(thread); }
  static u64 random() { return engine().is_surprise() ? ~u64{0} : 0; }

  static void work(u64) {}
  static void clear_page(void*) {}
  static void shootdown(const CpuSet& cpus, LazyCpus) {
    engine().step();
    check::translations.flush(cpus);
  }
  static void prefetch_write(const void*) {}
  static void kernel_work(KernelWork) {}
  static void promised(const Promise&, u32) {}
  static void settle() {}
  template <class T>
  static void label(const T* object, const char* name) {
    usize bytes = 4;
    if constexpr (!std::is_void_v<T>) bytes = sizeof(T);
    engine().label(object, bytes, name);
  }
  static void* allocate(usize bytes, usize alignment) {
    return engine().allocate(bytes, alignment);
  }

 private:
  static pct::Engine& engine() { return pct::engine(); }
};

static_assert(Platform<PctPlatform>);

}  // namespace faultline
