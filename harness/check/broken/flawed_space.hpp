// Scheme mmap_sem, broken on purpose.
#pragma once

#include "harness/check/broken/flaws.hpp"
#include "locks/schemes/mmap_sem.hpp"

namespace faultline::check {

template <class P, class Lock, Flaw flaw>
class FlawedSpace final : public MmapSem<P, Lock> {
  using Base = MmapSem<P, Lock>;
  using Core = typename Base::Core;

 public:
  using Base::Base;

  Error fault(u64 address, Access access) override {
    if (flaw == Flaw::late_zap) return Base::fault(address, access);
    if (flaw != Flaw::unlocked_fault) this->lock_.lock_shared();
    auto* vma = this->mm_.find(address);
    if (flaw == Flaw::stale_vma) {
      this->lock_.unlock_shared();
      this->lock_.lock_shared();
    }
    const FaultStep step = this->mm_.serve_fault(vma, address, access);
    if (flaw != Flaw::unlocked_fault) this->lock_.unlock_shared();
    return Core::to_error(step);
  }

  Error unmap(u64 start, u64 length) override {
    if (flaw != Flaw::late_zap) return Base::unmap(start, length);
    const Range range{start, start + length};
    typename Core::Detached detached;
    this->lock_exclusive();
    const Error error = this->mm_.detach(range, detached);
    this->unlock_exclusive();
    this->mm_.zap(range);
    this->mm_.release(detached);
    return error;
  }
};

}  // namespace faultline::check
