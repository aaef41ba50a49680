// The tests page_fault1 to 4 of will-it-scale (github.com/antonblanchard/will-it-scale): map a
// region, touch every page, unmap. page_fault1 is anonymous. 2 to 4 map the thread's own file:
// private and written, shared and written, private and read. The rate is that of the touches, as in
// will-it-scale: at one read fault the kernel maps up to 16 pages of a file.
#pragma once

#include <stdexcept>

#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

template <class P>
class PageFault final : public Workload<P> {
 public:
  explicit PageFault(const Chosen& chosen) : size_(chosen.number("size")) {
    const std::string_view name = chosen.entry().name;
    if (name == "page_fault2") flags_ = map_file;
    if (name == "page_fault3") flags_ = map_file | map_shared;
    if (name == "page_fault4") flags_ = map_file, access_ = Access::read;
  }

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = size_ / page_size + 64;
  }

  void run(Worker<P>& worker) override {
    // Threads start at different depths of a region, so that they do not unmap in step.
    u64 page = size_ / page_size * worker.index() / worker.threads();
    for (; worker.running(); page = 0) {
      const MapResult region = worker.map(0, size_, prot_read | prot_write, flags_);
      if (region.error != Error::none)
        throw std::runtime_error(std::string("page_fault: map gave ") + to_string(region.error));
      for (; page < size_ / page_size && worker.running(); ++page)
        if (const Error error = worker.fault(region.address + page * page_size, access_);
            error != Error::none)
          throw std::runtime_error(std::string("page_fault: fault gave ") + to_string(error));
      worker.unmap(region.address, size_);
    }
  }

 private:
  u64 size_;
  u32 flags_ = 0;
  Access access_ = Access::write;
};

}  // namespace faultline
