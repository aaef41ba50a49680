// case-small-allocs-mt of vm-scalability (usemem.c in git.kernel.org/pub/scm/linux/kernel/git/wfg/
// vm-scalability.git): each thread maps regions of ten pages of /dev/zero to read them alone, and
// reads each page once. No region merges with its neighbour, and a VMA of which nothing was written
// has no anon_vma. The original reads all words of a page, not one, and unmaps nothing before its
// end. Here a thread unmaps its regions once it has as many as `regions` says, since the kernel
// allows a process 65530 VMAs. Until then it does what the original does.
#pragma once

#include <vector>

#include "workloads/mapbench.hpp"

namespace faultline {

template <class P>
class SmallAllocs final : public Workload<P> {
 public:
  explicit SmallAllocs(const Chosen& chosen) : most_(chosen.number("regions")) {}

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = most_ * pages + 64;
    options.vmas_per_thread = most_;
  }

  void run(Worker<P>& worker) override {
    worker.start_in_random_order();
    std::vector<u64> regions;
    while (worker.running()) {
      const MapResult region = worker.map(0, pages * page_size, prot_read, map_zero);
      expect_none(region.error, "small_allocs: map");
      regions.push_back(region.address);
      for (u64 page = 0; page < pages && worker.running(); ++page)
        expect_none(worker.fault(region.address + page * page_size, Access::read),
                    "small_allocs: fault");
      if (regions.size() < most_) continue;
      for (const u64 address : regions)
        expect_none(worker.unmap(address, pages * page_size), "small_allocs: unmap");
      regions.clear();
    }
  }

 private:
  static constexpr u64 pages = 10;
  const u64 most_;
};

}  // namespace faultline
