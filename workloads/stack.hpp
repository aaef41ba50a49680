// A stack that grows by its faults, as that of a thread which calls itself deeper and deeper. Each
// round maps the stack's highest page with MAP_GROWSDOWN, faults on it and on the pages below one
// after the other, and unmaps what the stack has become. All faults but the first find no VMA and
// move the start of the one above. Linux holds mmap_lock for writing meanwhile (commit
// 8d7071af8907, "mm: always expand the stack with the mmap write lock held", of 6.5).
#pragma once

#include "workloads/mapbench.hpp"

namespace faultline {

template <class P>
class Stack final : public Workload<P> {
 public:
  explicit Stack(const Chosen& chosen) : pages_(chosen.number("pages")) {}

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = pages_ + 64;
  }

  void run(Worker<P>& worker) override {
    const u64 end = worker.space().fixed_base() + (worker.index() + 1) * apart;
    P::work(u64{100} * worker.index());  // threads start out of step
    while (worker.running()) {
      const MapResult top =
          worker.map(end - page_size, page_size, prot_read | prot_write, map_fixed | map_growsdown);
      expect_none(top.error, "stack: map");
      for (u64 page = 1; page <= pages_; ++page)
        expect_none(worker.fault(end - page * page_size, Access::write), "stack: fault");
      expect_none(worker.unmap(end - pages_ * page_size, pages_ * page_size), "stack: unmap");
    }
  }

 private:
  // The largest stack, and more than the guard gap below it.
  static constexpr u64 apart = 2 * stack_limit;
  static_assert(P::max_threads * apart <= fixed_span);

  const u64 pages_;
};

}  // namespace faultline
