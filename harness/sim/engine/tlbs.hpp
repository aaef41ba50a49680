// The CPUs' caches of translations (TLBs). A hit costs nothing, so an access to a page that is
// mapped takes no line of the page table. A miss costs the loads of the walk. The size is the same
// on every machine, between those of the second levels of Westmere-EX (512) and Skylake-SP (1536).
#pragma once

#include <memory>
#include <vector>

#include "harness/cells/tlb.hpp"

namespace faultline::sim {

class Tlbs {
 public:
  static constexpr u32 slots = 1024;

  explicit Tlbs(usize threads) : tlbs_(threads) {}

  Translation find(u32 thread, const void* space, u64 page) const {
    return tlbs_[thread] == nullptr ? Translation{} : tlbs_[thread]->find(space, page);
  }
  void keep(u32 thread, const void* space, u64 page, Translation translation) {
    if (tlbs_[thread] == nullptr) tlbs_[thread] = std::make_unique<Tlb>();
    tlbs_[thread]->keep(space, page, translation);
  }
  void flush(u32 thread) {
    if (tlbs_[thread] != nullptr) tlbs_[thread]->flush();
  }
  void flush_all() {
    for (u32 thread = 0; thread < tlbs_.size(); ++thread) flush(thread);
  }

 private:
  using Tlb = cells::Tlb<slots>;
  std::vector<std::unique_ptr<Tlb>> tlbs_;  // by thread; made when the CPU first keeps something
};

}  // namespace faultline::sim
