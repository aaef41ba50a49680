// Threads that come and go, as at the start of an Android application. Each round maps a stack with
// its guard page, thread-local storage and a signal stack, faults on the pages that a young thread
// touches, and unmaps everything. A fault outside the mappings would be an error of the scheme.
#pragma once

#include <stdexcept>

#include "workloads/mapbench.hpp"

namespace faultline {

template <class P>
class ThreadsWorkload final : public Workload<P> {
 public:
  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 64; }

  void run(Worker<P>& worker) override {
    P::work(u64{200} * worker.index());  // threads start out of step
    while (worker.running()) {
      const u64 stack = map(worker, stack_size);
      expect_none(worker.protect(stack, page_size, prot_none), "threads: guard page");
      const u64 storage = map(worker, storage_size);
      const u64 signal_stack = map(worker, signal_stack_size);
      for (u64 page = 1; page <= touched_pages; ++page)
        expect_none(worker.fault(stack + stack_size - page * page_size, Access::write),
                    "threads: fault on the stack");
      expect_none(worker.fault(storage, Access::write), "threads: fault on the storage");
      expect_none(worker.fault(signal_stack + signal_stack_size - 1, Access::write),
                  "threads: fault on the signal stack");
      expect_none(worker.unmap(signal_stack, signal_stack_size), "threads: unmap");
      expect_none(worker.unmap(storage, storage_size), "threads: unmap");
      expect_none(worker.unmap(stack, stack_size), "threads: unmap");
    }
  }

 private:
  static constexpr u64 stack_size = (u64{1} << 20) + page_size;  // Android's 1 MiB, and the guard
  static constexpr u64 storage_size = 4 * page_size;
  static constexpr u64 signal_stack_size = 8 * page_size;
  static constexpr u64 touched_pages = 4;

  static u64 map(Worker<P>& worker, u64 size) {
    const MapResult result = worker.map(0, size, prot_read | prot_write, 0);
    expect_none(result.error, "threads: map");
    return result.address;
  }
};

}  // namespace faultline
