// Scheme `page_table_lock`: the page table is the range lock, and there is no tree of VMAs. After
// CortenMM_adv (SOSP 2025), whose protocol PageTableNodes describes, with its differences. Jerome
// Glisse proposed page-table locks as a "natural range lock" at LSFMM 2019
// (https://lwn.net/Articles/787629/). PerPageSpace has the operations.
//
// A fault locks the lowest node of its page, for 2 MiB of pages. map, unmap, protect and discard
// lock the lowest node that covers their range, and what exists below it. The growth of a stack is
// one such range: from the guard gap to the stack. brk takes a lock of its own first, and then
// locks the pages that it maps or unmaps. A fault at a hole creates the nodes down to its page, as
// CortenMM's does. They stay until one call maps or unmaps all of their span.
//
// Not modelled: CortenMM_rw, whose threads hold reader locks on the path from the root.
#pragma once

#include "locks/address_space/page_table_nodes.hpp"
#include "locks/schemes/per_page_space.hpp"
#include "locks/star.hpp"

namespace faultline {

// `Nodes` has the public functions of PageTableNodes. Only tests pass another class.
template <class P, class Nodes = PageTableNodes<P>>
using PageTableLock = PerPageSpace<P, Nodes>;

struct page_table_lock_scheme {
  template <class P, Choices>
  using Made = PageTableLock<P>;
};

}  // namespace faultline
