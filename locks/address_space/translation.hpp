// What a CPU's cache of translations (its TLB) holds of a page. A platform whose CPUs have such
// caches has a member `tlb`:
//
//   Translation find(const void* space, u64 page)
//                                        what this CPU holds; frame 0: nothing
//   void keep(const void* space, u64 page, Translation)
//                                        this CPU's walk of its page table found that
//   void flush_all()                     every CPU forgets everything: a broadcast of the hardware
//
// P::shootdown empties the caches of its CPUs, the caller's among them where the set has it. The
// address of an object stands for its address space. Natively the hardware has its own caches,
// which the modelled page table does not reach. There an access walks the table each time.
//
// `tlb` of a checking platform also judges:
//   void give(const void* space, u32 frame, u64 page)  the frame is that page's from now on
//   void take_back(const void* space, u32 frame)       the frame is free
//   std::string check(const void* space, allows)       with all threads at rest; `allows(page,
//                                        Translation)` answers whether the page table holds that
#pragma once

#include "locks/types.hpp"

namespace faultline {

struct Translation {
  u32 frame = 0;
  u32 prot = prot_none;
  bool permits(Access access) const { return frame != 0 && prot_permits(prot, access); }
};

template <class P>
concept HasTlb = requires {
  typename P::tlb;
};
template <class P>
concept JudgesTlb = HasTlb<P> && requires(const void* space) {
  P::tlb::take_back(space, 0);
};

}  // namespace faultline
