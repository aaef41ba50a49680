// The violations that operations noted while threads ran (AddressSpaceOptions::oracle): their
// number, and the first few messages.
#pragma once

#include <string>

#include "locks/platform.hpp"

namespace faultline {

template <class P>
class Violations {
 public:
  // `what` must be a string literal, since only its address is kept.
  void note(const char* what) {
    // relaxed, here and below: report() runs with all threads at rest.
    const u32 place = count_.fetch_add(1, std::memory_order_relaxed);
    if (place < kept) first_[place].store(what, std::memory_order_relaxed);
  }

  // Empty when no violation was noted.
  std::string report() const {
    const u32 count = count_.load(std::memory_order_relaxed);
    if (count == 0) return {};
    std::string text = std::to_string(count) + " violation(s): ";
    for (u32 i = 0; i < kept && i < count; ++i) {
      const char* what = first_[i].load(std::memory_order_relaxed);
      text += (i == 0 ? "" : "; ") + std::string(what == nullptr ? "?" : what);
    }
    return text;
  }

 private:
  static constexpr u32 kept = 4;
  typename P::template atomic<u32> count_{0};
  typename P::template atomic<const char*> first_[kept] = {};
};

}  // namespace faultline
