// Faults and updates at a ratio: mix:faults=9:updates=1 has nine faults to one update. An update
// unmaps a block of pages and maps it anew, or with `discard` drops its pages; the faults that
// follow are on pages of that block, so that each finds its page missing. Each thread has its own
// region of the address space; with `shared` all use one, and a fault on a block that another
// thread is replacing is an error that is counted, as in the program it would be.
//
// With roles, updaters update and never fault; faulters fault their way through a region and then
// drop it by one `discard`, since there is no fault on pages that are there.
#pragma once

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

template <class P>
class Mix final : public Workload<P> {
 public:
  explicit Mix(const Chosen& chosen)
      : faults_(chosen.number("faults")),
        updates_(chosen.number("updates")),
        shared_(chosen.is_on("shared")),
        discard_(chosen.is_on("discard")) {
    block_pages_ = std::bit_ceil(std::max<u64>(8, (faults_ + updates_ - 1) / updates_));
  }

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = blocks * block_pages_ + 64;
    options.vmas_per_thread = 2 * blocks;  // merging off leaves one a block
  }

  void set_up(Worker<P>& worker) override {
    if (shared_) map_region(worker.space(), worker.space().fixed_base());
  }
  void enter(Worker<P>& worker) override {
    if (!shared_) map_region(worker.space(), region_of(worker));
  }

  void run(Worker<P>& worker) override {
    P::work(u64{200} * worker.index());  // threads start out of step
    if (worker.role() == Role::faulter) return fault_on(worker);
    const u64 region = region_of(worker);
    const u64 faults = worker.role() == Role::updater ? 0 : faults_;
    for (u64 due = 0; worker.running();) {
      const u64 block = region + P::random() % blocks * block_bytes();
      update(worker, block);
      due += faults;
      for (u64 page = block; due >= updates_ && worker.running(); page += page_size) {
        check(worker.fault(page, Access::write));
        due -= updates_;
      }
    }
  }

 private:
  static constexpr u64 blocks = 64;  // in a region

  u64 block_bytes() const { return block_pages_ * page_size; }
  u64 region_bytes() const { return blocks * block_bytes(); }

  u64 region_of(Worker<P>& worker) const {
    // Twice a region's length apart, so that private regions do not merge; and a page-table page
    // of their own each.
    const u64 distance = std::max(2 * region_bytes(), u64{4} << 20);
    return worker.space().fixed_base() + (shared_ ? 0 : worker.index() * distance);
  }
  void map_region(AddressSpace& space, u64 region) const {
    if (space.map(region, region_bytes(), prot_read | prot_write, map_fixed).error != Error::none)
      throw std::runtime_error("mix: cannot map the region");
  }
  void fault_on(Worker<P>& worker) const {
    const u64 region = region_of(worker);
    // Faulters of a shared region start at different places of it.
    u64 offset = region_bytes() / page_size * worker.index() / worker.threads() * page_size;
    while (worker.running()) {
      for (; offset < region_bytes() && worker.running(); offset += page_size)
        check(worker.fault(region + offset, Access::write));
      // ENOMEM: an updater has just unmapped a part.
      if (worker.discard(region, region_bytes()) != Error::none && !shared_)
        throw std::runtime_error("mix: cannot drop the region");
      offset = 0;
    }
  }
  void update(Worker<P>& worker, u64 block) const {
    if (discard_) return check(worker.discard(block, block_bytes()));
    check(worker.unmap(block, block_bytes()));
    check(worker.map(block, block_bytes(), prot_read | prot_write, map_fixed).error);
  }
  void check(Error error) const {
    if (error != Error::none && !(shared_ && error == Error::segv))
      throw std::runtime_error(std::string("mix: an operation gave ") + to_string(error));
  }

  u64 faults_;
  u64 updates_;
  bool shared_;
  bool discard_;
  u64 block_pages_ = 8;
};

}  // namespace faultline
