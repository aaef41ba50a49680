// RadixVM's mapbench (Clements, Kaashoek, Zeldovich, EuroSys 2013, section 5.3).
//
// local: each thread maps, writes and unmaps a page of its own. The slots are 1 MiB apart, so two
// threads share a page-table page.
//
// pipeline: each thread maps and writes a page and hands it on. When the page of its neighbour has
// come, it writes and unmaps that page.
//
// global: each thread maps a slice of 64 KiB; all threads write random pages of the union; each
// thread unmaps its slice.
#pragma once

#include <stdexcept>

#include "workloads/barrier.hpp"
#include "workloads/workload.hpp"

namespace faultline {

inline void expect_none(Error error, const char* what) {
  if (error != Error::none)
    throw std::runtime_error(std::string(what) + " gave " + to_string(error));
}

template <class P>
class Local final : public Workload<P> {
 public:
  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 64; }

  void run(Worker<P>& worker) override {
    const u64 slot = worker.space().fixed_base() + worker.index() * (u64{1} << 20);
    P::work(u64{100} * worker.index());  // threads start out of step
    while (worker.running()) {
      expect_none(worker.map(slot, page_size, prot_read | prot_write, map_fixed).error,
                  "local: map");
      expect_none(worker.fault(slot, Access::write), "local: fault");
      expect_none(worker.unmap(slot, page_size), "local: unmap");
    }
  }
};

template <class P>
class Pipeline final : public Workload<P> {
 public:
  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 64; }

  void run(Worker<P>& worker) override {
    const u64 base = worker.space().fixed_base();
    const u64 own = base + worker.index() * (u64{1} << 20);
    const u64 neighbour = base + (worker.index() + 1) % worker.threads() * (u64{1} << 20);
    while (worker.running()) {
      expect_none(worker.map(own, page_size, prot_read | prot_write, map_fixed).error,
                  "pipeline: map");
      expect_none(worker.fault(own, Access::write), "pipeline: fault");
      if (!barrier_.wait(worker)) return;
      expect_none(worker.fault(neighbour, Access::write),
                  "pipeline: fault on the neighbour's page");
      expect_none(worker.unmap(neighbour, page_size), "pipeline: unmap");
      if (!barrier_.wait(worker)) return;
    }
  }

 private:
  Barrier<P> barrier_;
};

template <class P>
class Global final : public Workload<P> {
 public:
  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = slice_pages * options.threads + 64;
  }

  void run(Worker<P>& worker) override {
    constexpr u64 slice = slice_pages * page_size;
    const u64 base = worker.space().fixed_base();
    const u64 own = base + worker.index() * slice;
    while (worker.running()) {
      expect_none(worker.map(own, slice, prot_read | prot_write, map_fixed).error, "global: map");
      if (!barrier_.wait(worker)) return;
      for (u64 i = 0; i < slice_pages * worker.threads() && worker.running(); ++i)
        expect_none(worker.fault(base + P::random() % (slice_pages * worker.threads()) * page_size,
                                 Access::write),
                    "global: fault");
      if (!barrier_.wait(worker)) return;
      expect_none(worker.unmap(own, slice), "global: unmap");
    }
  }

 private:
  static constexpr u64 slice_pages = 16;
  Barrier<P> barrier_;
};

}  // namespace faultline
