// A scheme that is sequentially consistent and not linearizable: only the real-time order of calls
// tells it from a sound one.
#pragma once

#include <array>

#include "harness/check/broken/flaws.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/rwsem.hpp"

namespace faultline::check {

// mmap_sem, where a thread whose first call is a fault answers SEGV without the lock if another
// thread's map has just filled the hole. Without the flaw the answer is stale only while the map
// holds the lock, so that the fault takes effect before the map. With Flaw::stale_hole it remains
// stale: the fault comes first in some order of the calls, since it is its thread's first and
// changes nothing. The first thread prepares the space, so it takes no part.
template <class Mm, class Lock, Flaw flaw>
class StaleSpace final : public MmapSemBase<Mm, Lock, StaleSpace<Mm, Lock, flaw>> {
  using Base = MmapSemBase<Mm, Lock, StaleSpace>;
  using P = typename Mm::Platform;

 public:
  using Base::Base;

 private:
  friend SchemeBase<P, StaleSpace>;

  Error do_fault(u64 address, Access access) {
    if (is_first_call() && filled_.contains(address)) return Error::segv;
    return Base::do_fault(address, access);
  }
  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    is_first_call();
    this->mm_.reserve();
    this->lock_exclusive();
    if (P::self() != 0 && (flags & map_fixed) != 0 && is_plain_hole({hint, hint + length}))
      filled_ = {hint, hint + length};
    const MapResult result = this->mm_.map(hint, length, prot, flags);
    if (flaw != Flaw::stale_hole) filled_ = {};
    this->unlock_exclusive();
    return result;
  }
  Error do_unmap(Range range) { return is_first_call(), Base::do_unmap(range); }
  Error do_protect(Range range, u32 prot) { return is_first_call(), Base::do_protect(range, prot); }
  MapResult do_brk(i64 delta) { return is_first_call(), Base::do_brk(delta); }
  Error do_discard(Range range) { return is_first_call(), Base::do_discard(range); }
  bool do_walk(u64 address) { return is_first_call(), Base::do_walk(address); }

  bool is_first_call() {
    const bool first = P::self() != 0 && !has_called_[P::self()];
    has_called_[P::self()] = true;
    return first;
  }
  // Whether no stack would grow into it either.
  bool is_plain_hole(Range range) {
    const auto* above = this->mm_.find(range.start);
    return above == nullptr ||
           (above->range().start >= range.end && !Mm::may_grow(above, range.start));
  }

  std::array<bool, P::max_threads> has_called_{};
  Range filled_;
};

// Calls add.template operator()<Scheme>(name) for each.
template <class P, template <class> class Spinlock, class Add>
void for_each_scheme_of_real_time(Add&& add) {
  using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
  add.template operator()<StaleSpace<TreeMm<P>, Semaphore, Flaw::stale_hole>>(
      "mmap_sem:flaw=stale_hole");
  // Sound, but held to discards that take effect in one moment.
  add.template operator()<MmapSem<TreeMm<P>, Semaphore>>("mmap_sem:flaw=discard_by_page");
}
template <class P, template <class> class Spinlock, class Add>
void for_each_control_of_real_time(Add&& add) {
  using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
  add.template operator()<StaleSpace<TreeMm<P>, Semaphore, Flaw::none>>("control:stale_hole");
}

}  // namespace faultline::check
