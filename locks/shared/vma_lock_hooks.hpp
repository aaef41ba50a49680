// What locks in VMAs have in common: how a fault's try ends, and the hooks with which an address
// space write-locks its VMAs.
#pragma once

#include "locks/shared/mm_lock_seq.hpp"

namespace faultline {

// `referred`: a writer holds the VMA. The caller has a reference to it, and may sleep on its lock.
enum class PinResult : int {
  pinned,
  detached,
  write_locked,
  draining,
  foreign,
  sequence_changed,
  referred
};

struct VmaLockRules {
  // Linux 6.4 to 6.9 (lock_vma_under_rcu of mm/memory.c): no fault in anonymous memory is served
  // under the VMA's lock before the VMA has an anon_vma, whatever the access is. Later kernels
  // look for it when they need it, unless the option anon_vma_in_fault says otherwise.
  bool anon_vma_first = false;
  // Linux 6.4: faults in files, and in shared memory, take the big lock.
  bool anonymous_alone = false;
  // Linux 6.4 to 6.16: of the operations here, only faults take the VMA's lock. A discard and a
  // scan take the big lock.
  bool faults_alone = false;
  // A fault waits for a writer of its VMA, and looks its VMA up again where that does not cover the
  // address any more.
  bool sleeps = false;
};

// VmaHooks (locks/address_space/mm.hpp) that write-lock the VMAs which Mm edits. `VmaState` is the
// lock in the VMA, such as VmaRefcount. `owner` is the address space. VmaState has:
//   pin(owner)          under RCU. `pinned`: the VMA belongs to `owner` and does not change until
//                       unpin(owner). The caller still has to check the bounds
//   attach(owner), start_write(owner), detach(owner)
//                       the caller holds the big lock exclusively, within an open section
//   close_down(owner)   optional: waits for what still refers to the owner, whose VMAs are all
//                       detached
//   sleep(owner, last)  where it sleeps: ends `referred` (locks/shared/vma_sleeping_lock.hpp)
//   put()               optional: drops a reference to a detached VMA; true: it was the last one
//   rules               which faults the lock serves
// `Sections` has owner(), open() and close().
template <class P, class VmaState, class Place = BehindMmapLock<P, VmaState::layout>,
          class Sections = MmLockSeq<P, VmaState::layout, Place>>
class VmaLockHooks : public Sections {
 public:
  using State = VmaState;
  static constexpr bool edits_concurrently = false;

  using Sections::Sections;

  template <class V>
  void start_write(V& vma) {
    vma.state().start_write(this->owner());
  }
  // The section's end releases the VMA.
  template <class V>
  void end_write(V&) {}
  template <class V>
  void attach(V& vma) {
    vma.state().attach(this->owner());
  }
  template <class V>
  void detach(V& vma) {
    vma.state().detach(this->owner());
  }
  template <class V>
  bool drop(V& vma) {
    if constexpr (requires { vma.state().put(); }) return vma.state().put();
    return true;
  }
  template <class V>
  bool mergeable(const V&) const {
    return true;
  }

  // The last call on its address space, with all its VMAs detached.
  void close_down() {
    if constexpr (requires { State::close_down(this->owner()); }) State::close_down(this->owner());
  }
};

}  // namespace faultline
