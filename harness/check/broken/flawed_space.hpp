// Scheme mmap_sem, broken by hand: unlocked_fault, stale_vma, late_zap.
#pragma once

#include "harness/check/broken/flaws.hpp"
#include "locks/schemes/mmap_sem.hpp"

namespace faultline::check {

template <class Mm, class Lock, Flaw flaw>
class FlawedSpace final : public MmapSemBase<Mm, Lock, FlawedSpace<Mm, Lock, flaw>> {
  using Base = MmapSemBase<Mm, Lock, FlawedSpace>;

 public:
  using Base::Base;

 private:
  friend SchemeBase<typename Mm::Platform, FlawedSpace>;

  Error do_fault(u64 address, Access access) {
    if (flaw == Flaw::late_zap) return Base::do_fault(address, access);
    if (flaw != Flaw::unlocked_fault) this->lock_.lock_shared();
    auto* vma = this->mm_.find(address);
    if (flaw == Flaw::stale_vma) {
      this->lock_.unlock_shared();
      this->lock_.lock_shared();
    }
    const FaultStep step = this->mm_.serve_fault(vma, address, access);
    if (flaw != Flaw::unlocked_fault) this->lock_.unlock_shared();
    return Mm::to_error(step);
  }

  Error do_unmap(Range range) {
    if (flaw != Flaw::late_zap) return Base::do_unmap(range);
    typename Mm::Detached detached;
    this->lock_exclusive();
    const Error error = this->mm_.detach(range, detached);
    this->unlock_exclusive();
    this->mm_.zap(range);
    this->mm_.release(detached);
    return error;
  }
};

}  // namespace faultline::check
