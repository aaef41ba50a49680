// The address spaces of the schemes that find their ranges in different ways, over their default
// lock and container, for typed tests.
#pragma once

#include "locks/mutex/ticket.hpp"
#include "locks/range/tree_range_lock.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/vmas/rbtree.hpp"

namespace faultline {

template <class P, RangeFinding finding>
using RangesFound =
    FoundBy<finding, range_lock_scheme::Space<P, vmas::RbTree, Ticket<P>, TreeRangeLock<P>,
                                              Layout::linux_6_18>>;

}  // namespace faultline
