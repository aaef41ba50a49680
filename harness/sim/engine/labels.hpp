// Names of memory: which object a line belongs to. A line that several objects share has a name for
// each four bytes.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "harness/sim/engine/line.hpp"
#include "harness/sim/engine/mapping.hpp"

namespace faultline::sim {

class Labels {
 public:
  static constexpr u32 other = 0;  // memory without a name
  static constexpr u32 stack = 1;
  static constexpr u32 store_buffer = 2;  // no memory: the time that CPUs wait for posted stores
  static constexpr u32 most = 1024;       // further names count as other

  Labels();
  u32 size() const { return static_cast<u32>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }

  // Names `bytes` bytes from `at` on; `lines` are the arena's.
  void name(LazyArray<Line>& lines, u64 at, usize bytes, const char* name);
  u32 of(const Line& line, u64 at) const {
    if ((line.label & several) == 0) return line.label;
    return shared_[line.label & ~several].at[at % 64 / 4];
  }

 private:
  static constexpr u32 several = 1U << 31;
  struct SharedLine {
    u16 at[16];
  };

  u32 number(const char* name);

  std::vector<std::string> names_;
  std::unordered_map<std::string, u32> numbers_;
  std::vector<SharedLine> shared_;
};

}  // namespace faultline::sim
