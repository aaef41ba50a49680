// Faults and updates at a ratio: mix:9:1 is nine faults to one update. An update unmaps a block of
// pages and maps it anew, or with `discard` drops its pages. `private`: each thread has its own
// region of the address space; `shared`: all use one, and a fault on a block that another thread is
// replacing is an error that is counted, as in the program it would be.
#pragma once

#include <stdexcept>

#include "workloads/parameters.hpp"
#include "workloads/workload.hpp"

namespace faultline {

template <class P>
class Mix final : public Workload<P> {
 public:
  static constexpr const char* form =
      "mix:FAULTS:UPDATES[,private|shared][,discard], at least one of each kind of number above 0";

  explicit Mix(Parameters parameters)
      : faults_(parameters.next_number(9)),
        updates_(parameters.next_number(1)),
        shared_(parameters.flag("shared")),
        discard_(parameters.flag("discard")) {
    parameters.flag("private");
    parameters.finish(form);
    if (faults_ + updates_ == 0) parameters.refuse(form);
  }

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = region_pages + 64;
  }

  void set_up(Worker<P>& worker) override {
    if (shared_) map_region(worker.space(), worker.space().fixed_base());
  }
  void enter(Worker<P>& worker) override {
    if (!shared_) map_region(worker.space(), region_of(worker));
  }

  void run(Worker<P>& worker) override {
    const u64 region = region_of(worker);
    u64 step =
        (faults_ + updates_) * worker.index() / worker.threads();  // threads start out of step
    for (; worker.running(); ++step) {
      const u64 page = region + P::random() % region_pages * page_size;
      const bool update = worker.role() == Role::all ? step % (faults_ + updates_) >= faults_
                                                     : worker.role() == Role::updater;
      if (!update)
        check(worker.fault(page, Access::write));
      else if (discard_)
        check(worker.discard(block_of(page), block));
      else
        replace(worker, block_of(page));
    }
  }

 private:
  static constexpr u64 region_pages = 512;
  static constexpr u64 block_pages = 8;
  static constexpr u64 block = block_pages * page_size;

  static u64 block_of(u64 page) { return page / block * block; }

  u64 region_of(Worker<P>& worker) const {
    // Two regions' distance apart, so that private regions neither merge nor share a page-table
    // page.
    return worker.space().fixed_base() +
           (shared_ ? 0 : worker.index() * 2 * region_pages * page_size);
  }
  static void map_region(AddressSpace& space, u64 region) {
    if (space.map(region, region_pages * page_size, prot_read | prot_write, map_fixed).error !=
        Error::none)
      throw std::runtime_error("mix: cannot map the region");
  }
  void replace(Worker<P>& worker, u64 at) const {
    check(worker.unmap(at, block));
    check(worker.map(at, block, prot_read | prot_write, map_fixed).error);
  }
  void check(Error error) const {
    if (error != Error::none && !(shared_ && error == Error::segv))
      throw std::runtime_error(std::string("mix: an operation gave ") + to_string(error));
  }
  void check(const MapResult& result) const { check(result.error); }

  u64 faults_;
  u64 updates_;
  bool shared_;
  bool discard_;
};

}  // namespace faultline
