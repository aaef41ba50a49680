// Scheme `mmap_sem`: one reader-writer semaphore for the whole address space, as Linux had it until
// per-VMA locks (mm/mmap.c, mm/memory.c of 5.x): faults and walks of the VMAs share it, every edit
// holds it exclusively. unmap detaches exclusively, then downgrades and zaps shared (since 4.20),
// so that faults elsewhere go on during the shootdown.
#pragma once

#include <memory>
#include <utility>

#include "locks/address_space/mm.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

// `Lock` is any SharedLock. One whose downgrade is not atomic keeps the exclusive hold through the
// zap: between unlock and lock_shared another thread could map the range anew.
template <class P, SharedLock Lock, class Policy = NoPolicy>
class MmapSem : public AddressSpace {
 public:
  using Core = Mm<P, Policy>;
  using VmaPool = typename Core::VmaPool;

  // `vmas`: where VMAs come from, if other address spaces share it.
  explicit MmapSem(const AddressSpaceOptions& options,
                   std::shared_ptr<VmaPool> vmas = std::make_shared<VmaPool>())
      : vmas_(std::move(vmas)), mm_(options, policy_, *vmas_) {
    P::label(&lock_, "mmap_sem");
    if constexpr (requires { lock_.label(); }) lock_.label();
    if constexpr (requires { policy_.label(); }) policy_.label();
  }

  void enter() override { mm_.enter(); }

  Error fault(u64 address, Access access) override {
    P::settle();
    return fault_shared(address, access);
  }

  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override {
    P::settle();
    lock_exclusive();
    const MapResult result = mm_.map(hint, length, prot, flags);
    unlock_exclusive();
    return result;
  }

  Error unmap(u64 start, u64 length) override {
    P::settle();
    Range range;
    if (const Error error = page_range(start, length, range); error != Error::none) return error;
    typename Core::Detached detached;
    lock_exclusive();
    const Error error = mm_.detach(range, detached);
    if (error != Error::none) {
      unlock_exclusive();
      return error;
    }
    if constexpr (Lock::atomic_downgrade) {
      policy_.close();
      lock_.downgrade();
      mm_.zap(range);
      lock_.unlock_shared();
    } else {
      mm_.zap(range);
      unlock_exclusive();
    }
    mm_.release(detached);
    return Error::none;
  }

  Error protect(u64 start, u64 length, u32 prot) override {
    P::settle();
    Range range;
    if (const Error error = mapped_range(start, length, range); error != Error::none) return error;
    if (range.length() == 0) return Error::none;
    lock_exclusive();
    const Error error = mm_.protect(range, prot);
    unlock_exclusive();
    return error;
  }

  MapResult brk(i64 delta) override {
    P::settle();
    lock_exclusive();
    const MapResult result = mm_.brk(delta);
    unlock_exclusive();
    return result;
  }

  Error discard(u64 start, u64 length) override {
    P::settle();
    Range range;
    if (const Error error = mapped_range(start, length, range); error != Error::none) return error;
    if (range.length() == 0) return Error::none;
    lock_.lock_shared();
    const Error error = mm_.discard(range);
    lock_.unlock_shared();
    return error;
  }

  bool walk(u64 address) override {
    P::settle();
    return mm_.table().walk(address);
  }

  u64 scan() override {
    P::settle();
    lock_.lock_shared();
    const u64 vmas = mm_.scan();
    lock_.unlock_shared();
    return vmas;
  }

  void append_events(Events& events) const override { lock_.append_events(events); }
  std::vector<std::string> holders() const override { return {"mmap_sem: " + lock_.describe()}; }
  std::string check() override { return mm_.check(); }

 protected:
  // expand_stack: the bounds change, so the hold is exclusive, and all is looked up again.
  Error fault_growing(u64 address, Access access) {
    lock_exclusive();
    const FaultStep step = mm_.serve_growing_fault(address, access);
    unlock_exclusive();
    return Core::to_error(step);
  }

  // A fault under the shared hold.
  Error fault_shared(u64 address, Access access) {
    lock_.lock_shared();
    auto* vma = mm_.find(address);
    const FaultStep step = mm_.serve_fault(vma, address, access);
    const bool grows = step == FaultStep::no_vma && Core::may_grow(vma, address);
    lock_.unlock_shared();
    return grows ? fault_growing(address, access) : Core::to_error(step);
  }

  void lock_exclusive() {
    lock_.lock();
    policy_.open();
  }
  void unlock_exclusive() {
    policy_.close();
    lock_.unlock();
  }

  // In this order: the hooks may lie in what the lock leaves of its last line (RefcountOwner).
  [[no_unique_address]] Lock lock_;
  [[no_unique_address]] Policy policy_;
  std::shared_ptr<VmaPool> vmas_;
  Core mm_;
};

}  // namespace faultline
