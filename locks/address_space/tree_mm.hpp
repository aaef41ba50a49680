// The address space over `rbtree`, the default container of every scheme: for tests and for schemes
// that are broken on purpose.
#pragma once

#include "locks/address_space/mm.hpp"
#include "locks/vmas/rbtree.hpp"

namespace faultline {

template <class P, class Hooks = NoHooks>
using TreeMm = Mm<P, vmas::RbTree, Hooks>;

}  // namespace faultline
