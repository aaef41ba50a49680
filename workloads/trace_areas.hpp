// The knowledge of each page at one moment of a recording: mapped, unmapped, or not known yet.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include "locks/types.hpp"

namespace faultline {

struct TraceArea {
  u64 end = 0;
  bool mapped = false;
  u32 prot = 0;
  u32 flags = 0;
};

class TraceAreas {
 public:
  // Null where nothing is known of the address.
  const TraceArea* find(u64 address) const {
    auto after = areas_.upper_bound(address);
    if (after == areas_.begin()) return nullptr;
    const TraceArea& area = std::prev(after)->second;
    return address < area.end ? &area : nullptr;
  }
  bool mapped(u64 address) const {
    const TraceArea* area = find(address);
    return area != nullptr && area->mapped;
  }
  // Whether every page of `range` is mapped.
  bool covers(Range range) const {
    while (range.start < range.end) {
      const TraceArea* area = find(range.start);
      if (area == nullptr || !area->mapped) return false;
      range.start = area->end;
    }
    return true;
  }
  bool any_mapped(Range range) const {
    if (mapped(range.start)) return true;
    for (auto it = areas_.lower_bound(range.start); it != areas_.end() && it->first < range.end;
         ++it)
      if (it->second.mapped) return true;
    return false;
  }

  void set(Range range, bool mapped, u32 prot, u32 flags) {
    cut(range.start);
    cut(range.end);
    areas_.erase(areas_.lower_bound(range.start), areas_.lower_bound(range.end));
    areas_[range.start] = {range.end, mapped, prot, flags};
  }
  void protect(Range range, u32 prot) {
    cut(range.start);
    cut(range.end);
    for (auto it = areas_.lower_bound(range.start); it != areas_.end() && it->first < range.end;
         ++it)
      it->second.prot = prot;
  }
  // The parts of `range` that nothing is known of.
  std::vector<Range> unknown(Range range) const {
    std::vector<Range> parts;
    u64 at = range.start;
    while (at < range.end) {
      if (const TraceArea* area = find(at)) {
        at = area->end;
        continue;
      }
      const auto next = areas_.lower_bound(at);
      const u64 end = next == areas_.end() ? range.end : std::min(next->first, range.end);
      parts.push_back({at, end});
      at = end;
    }
    return parts;
  }

 private:
  void cut(u64 address) {
    auto after = areas_.upper_bound(address);
    if (after == areas_.begin()) return;
    const auto at = std::prev(after);
    if (at->first == address || at->second.end <= address) return;
    TraceArea upper = at->second;
    at->second.end = address;
    areas_[address] = upper;
  }

  std::map<u64, TraceArea> areas_;
};

}  // namespace faultline
