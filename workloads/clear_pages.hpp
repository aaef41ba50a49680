// The second ceiling: the pages that page_fault1 of the same size would touch, cleared one after
// another and nothing else. Schemes that come near it tie on the memory's bandwidth, not on their
// locks.
#pragma once

#include <vector>

#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

template <class P>
class ClearPages final : public Workload<P> {
 public:
  ClearPages(const Chosen& chosen, u32 threads) : size_(chosen.number("size")), pages_(threads) {}

  void demands(AddressSpaceOptions&) const override {}

  // By the thread itself: its pages are on its node.
  void enter(Worker<P>& worker) override {
    pages_[worker.index()] = static_cast<std::byte*>(P::allocate(size_, page_size));
  }

  void run(Worker<P>& worker) override {
    std::byte* const pages = pages_[worker.index()];
    for (u64 at = 0; worker.running(); at = (at + page_size) % size_)
      worker.count(Operation::fault, [&] {
        P::clear_page(pages + at);
        return Error::none;
      });
  }

 private:
  u64 size_;
  std::vector<std::byte*> pages_;  // by worker
};

}  // namespace faultline
