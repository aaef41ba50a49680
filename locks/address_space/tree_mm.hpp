// The address spaces over the containers that schemes have by default, for tests and for the
// checker: `maple` is the default of refcount, `rbtree` of all others.
#pragma once

#include "locks/address_space/mm.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/rbtree.hpp"

namespace faultline {

template <class P, class Hooks = NoHooks>
using TreeMm = Mm<P, vmas::RbTree, Hooks>;

template <class P, class Hooks = NoHooks>
using MapleMm = Mm<P, vmas::Maple, Hooks>;

}  // namespace faultline
