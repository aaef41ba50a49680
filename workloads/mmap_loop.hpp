// The test mmap1 of will-it-scale: map and unmap a region without touching it.
#pragma once

#include <stdexcept>

#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

template <class P>
class MmapLoop final : public Workload<P> {
 public:
  explicit MmapLoop(const Chosen& chosen) : size_(chosen.number("size")) {}

  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 16; }

  void run(Worker<P>& worker) override {
    worker.start_in_random_order();
    while (worker.running()) {
      const MapResult region = worker.map(0, size_, prot_read | prot_write, 0);
      if (region.error != Error::none)
        throw std::runtime_error(std::string("mmap1: map gave ") + to_string(region.error));
      worker.unmap(region.address, size_);
    }
  }

 private:
  u64 size_;
};

}  // namespace faultline
