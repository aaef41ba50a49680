// Scheme `mmap_sem`: one reader-writer semaphore for the whole address space, as Linux had it until
// per-VMA locks (mm/mmap.c, mm/memory.c of 5.x). Faults and walks of the VMAs hold it shared, every
// edit holds it exclusively. unmap detaches under the exclusive hold, then downgrades and zaps
// under the shared hold (in Linux since 4.20), so that faults elsewhere proceed during the
// shootdown.
//
// Not linearizable: a discard holds the semaphore shared, so faults may come between its pages, and
// a walk takes no lock, so it may find a page that a call still at work takes away.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "locks/address_space/mm.hpp"
#include "locks/any.hpp"
#include "locks/schemes/scheme_base.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/mm_lock_seq.hpp"

namespace faultline {

// For schemes that have such a semaphore: `mmap_sem`, and others that override parts of it. Where
// the Lock's downgrade is not atomic, unmap keeps the exclusive hold through the zap: between
// unlock and lock_shared another thread could map the range anew.
template <class MmOfScheme, SharedLock Lock, class Derived>
class MmapSemBase : public SchemeBase<typename MmOfScheme::Platform, Derived> {
 public:
  using Mm = MmOfScheme;
  using P = typename Mm::Platform;
  using VmaPool = typename Mm::VmaPool;
  using SharedPool = std::shared_ptr<VmaPool>;

  // Of a lock that takes the options: whether the hooks use fields that the lock brings with it.
  template <class L>
  static constexpr bool hooks_behind =
      TakesOptions<L>&& std::constructible_from<typename Mm::Hooks, L&>;
  template <class L>
  static constexpr bool hooks_alone = TakesOptions<L> && !hooks_behind<L>;

  // `pool`: the pool of VMAs, if other address spaces share it. There are three constructors, since
  // a member that may overlap its neighbour cannot be initialized with the result of a function.
  explicit MmapSemBase(const AddressSpaceOptions& options,
                       SharedPool pool = new_pool()) requires(!TakesOptions<Lock>)
      : pool_(std::move(pool)), mm_(options, hooks_, *pool_) {
    set_up();
  }
  explicit MmapSemBase(const AddressSpaceOptions& options,
                       SharedPool pool = new_pool()) requires(hooks_alone<Lock>)
      : lock_(options), pool_(std::move(pool)), mm_(options, hooks_, *pool_) {
    set_up();
  }
  explicit MmapSemBase(const AddressSpaceOptions& options,
                       SharedPool pool = new_pool()) requires(hooks_behind<Lock>)
      : lock_(options), hooks_(lock_), pool_(std::move(pool)), mm_(options, hooks_, *pool_) {
    set_up();
  }

  void enter() override { mm_.enter(); }

  void append_events(Events& events) const override { lock_.append_events(events); }
  std::vector<std::string> holders() const override { return {"mmap_sem: " + lock_.describe()}; }
  std::string check() override { return mm_.check(); }
  std::optional<Observation> observe() override { return mm_.observe(); }

 protected:
  friend SchemeBase<P, Derived>;

  static SharedPool new_pool() { return std::make_shared<VmaPool>(); }

  bool do_touch(u64 address, Access access, u64* word) {
    return mm_.table().touch(address, access, word);
  }

  Error do_fault(u64 address, Access access) {
    before_fault();
    return fault_locked(address, access);
  }

  // What the lock does at each fault, whether the fault takes the lock or not.
  void before_fault() {
    if constexpr (requires { lock_.before_fault(); }) lock_.before_fault();
  }

  Error fault_locked(u64 address, Access access) {
    lock_for_fault();
    auto* vma = mm_.find(address);
    const FaultStep step = mm_.serve_fault(vma, address, access);
    const bool grows = step == FaultStep::no_vma && Mm::may_grow(vma, address);
    lock_.unlock_shared();
    return grows ? fault_growing(address, access) : Mm::to_error(step);
  }

  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    mm_.reserve();
    lock_exclusive();
    const MapResult result = mm_.map(hint, length, prot, flags);
    unlock_exclusive();
    return result;
  }

  Error do_unmap(Range range) {
    mm_.reserve();
    typename Mm::Detached detached;
    lock_exclusive();
    const Error error = mm_.detach(range, detached);
    if (error != Error::none) {
      unlock_exclusive();
      return error;
    }
    if (lock_.atomic_downgrade) {
      hooks_.close();
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

  Error do_protect(Range range, u32 prot) {
    mm_.reserve();
    lock_exclusive();
    const Error error = mm_.protect(range, prot);
    unlock_exclusive();
    return error;
  }

  MapResult do_brk(i64 delta) {
    mm_.reserve();
    lock_exclusive();
    const MapResult result = mm_.brk(delta);
    unlock_exclusive();
    return result;
  }

  Error do_discard(Range range) {
    lock_.lock_shared();
    const Error error = mm_.discard(range);
    lock_.unlock_shared();
    return error;
  }

  bool do_walk(u64 address) { return mm_.table().walk(address); }

  u64 do_scan() {
    lock_.lock_shared();
    const u64 vmas = mm_.scan();
    lock_.unlock_shared();
    return vmas;
  }

  // A fault tries the lock before it queues for it (do_user_addr_fault of arch/x86/mm/fault.c, and
  // get_mmap_lock_carefully of mm/memory.c since 6.5). The try reads the lock's word before it
  // changes it, and repeats the change while other faults are quicker.
  void lock_for_fault() {
    if (!lock_.try_lock_shared()) lock_.lock_shared();
  }

  // expand_stack: the bounds change, so the hold is exclusive, and the look-up is done again under
  // it.
  Error fault_growing(u64 address, Access access) {
    lock_exclusive();
    const FaultStep step = mm_.serve_growing_fault(address, access);
    unlock_exclusive();
    return Mm::to_error(step);
  }

  void set_up() {
    label_lock<P>(lock_, "mmap_sem");
    if constexpr (requires { hooks_.label(); }) hooks_.label();
    if constexpr (requires { lock_.map_count(); }) mm_.count_in(lock_.map_count());
  }

  void lock_exclusive() {
    lock_.lock();
    hooks_.open();
  }
  void unlock_exclusive() {
    hooks_.close();
    lock_.unlock();
  }

  // The lock is declared before the hooks, which may lie in the rest of the lock's last line
  // (BehindMmapLock).
  [[no_unique_address]] Lock lock_;
  [[no_unique_address]] typename Mm::Hooks hooks_;
  SharedPool pool_;
  Mm mm_;
};

// Where hooks keep BehindMmapLock: in themselves, or by reference where the lock brings one, as a
// lock behind a virtual interface does in the layout linux-6.18.
template <class P, class Lock, Layout layout>
using PlaceBehind = std::conditional_t<TakesOptions<Lock> && layout == Layout::linux_6_18,
                                       BehindMmapLock<P, layout>&, BehindMmapLock<P, layout>>;

template <class Mm, SharedLock Lock>
class MmapSem final : public MmapSemBase<Mm, Lock, MmapSem<Mm, Lock>> {
 public:
  using MmapSemBase<Mm, Lock, MmapSem>::MmapSemBase;
};

struct mmap_sem_scheme {
  template <class P, class Vmas, class Lock, Layout layout>
  using Space = MmapSem<Mm<P, Vmas, NoHooks, layout>, Lock>;
};

}  // namespace faultline
