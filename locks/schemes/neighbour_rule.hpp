// How far an edit of the address space must hold its range, so that its changes to VMAs beside the
// range cannot disturb a fault in these VMAs.
//
// A fault holds its page shared and uses the VMA that it found there after it has released the
// structure lock. So an edit that takes that VMA away, changes its protection, or moves an edge
// across the page must hold the page exclusively. When Mm cuts a VMA, the lower part stays the same
// object. When VMAs merge, the lowest stays. Fresh memory becomes part of a neighbour. Hence the
// reach contains all of a VMA that is cut at the range's end or absorbed from there, and one page
// of a VMA of which only an edge moves, so that two edits of one VMA exclude each other.
#pragma once

#include "locks/address_space/mm.hpp"

namespace faultline {

// The neighbours that an edit may merge with: private anonymous VMAs of protection `prot`.
// `absorbs`: the VMA above the range may be absorbed even if the VMA below is not merged.
struct Merging {
  u32 prot;
  bool merges;
  bool absorbs;
};

// The caller of every function holds the structure lock.
template <class Mm>
class NeighbourRule {
 public:
  NeighbourRule(const Mm& mm, bool merge) : mm_(mm), merge_(merge) {}

  // `range` and the parts beside it that an edit of it must hold.
  Range reach(Range range, Merging merging) const {
    Range result = range;
    bool merges_below = false;
    if (const V* below = range.start == 0 ? nullptr : containing(range.start - 1)) {
      const bool cut = below->range().end > range.start;
      merges_below = !cut && may_merge(*below, merging);
      if (cut || merges_below) result.start -= page_size;
    }
    if (const V* above = containing(range.end)) {
      const bool cut = above->range().start < range.end;
      const bool merges = !cut && may_merge(*above, merging);
      if (cut || (merges && (merges_below || merging.absorbs)))
        result.end = above->range().end;
      else if (merges)
        result.end += page_size;
    }
    return result;
  }

 private:
  using V = typename Mm::V;

  bool may_merge(const V& vma, Merging merging) const {
    return merge_ && merging.merges && vma.flag_bits() == 0 && vma.protection() == merging.prot &&
           mm_.hooks().mergeable(vma);
  }

  V* containing(u64 address) const {
    V* vma = mm_.find(address);
    return vma != nullptr && vma->range().contains(address) ? vma : nullptr;
  }

  const Mm& mm_;
  const bool merge_;
};

}  // namespace faultline
