#include "harness/sim/engine/labels.hpp"

#include <algorithm>

namespace faultline::sim {

Labels::Labels() {
  number("other");
  number("stack");
  number("store buffer");
}

u32 Labels::number(const char* name) {
  if (size() == most && numbers_.find(name) == numbers_.end()) return other;
  const auto [found, fresh] = numbers_.try_emplace(name, size());
  if (fresh) names_.push_back(name);
  return found->second;
}

void Labels::name(LazyArray<Line>& lines, u64 at, usize bytes, const char* name) {
  const u32 label = number(name);
  const u64 end = at + std::max<usize>(bytes, 1);
  for (u64 start = at / 64 * 64; start < end; start += 64) {
    Line& line = lines[start / 64];
    if (at <= start && start + 64 <= end) {
      line.label = label;
      continue;
    }
    if ((line.label & several) == 0) {
      SharedLine fresh;
      std::fill(std::begin(fresh.at), std::end(fresh.at), static_cast<u16>(line.label));
      line.label = several | static_cast<u32>(shared_.size());
      shared_.push_back(fresh);
    }
    SharedLine& shared = shared_[line.label & ~several];
    for (u64 word = start; word < start + 64; word += 4)
      if (word + 4 > at && word < end) shared.at[word % 64 / 4] = static_cast<u16>(label);
  }
}

}  // namespace faultline::sim
