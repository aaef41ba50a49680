// In what way a lock or scheme is broken on purpose.
#pragma once

namespace faultline::check {

enum class Flaw : int {
  none,

  late_ticket,        // the word is read after the look that it is to guard: a lost wake-up
  no_wake,            // a release wakes nobody
  rude_readers,       // a reader does not look for writers
  downgrade_gap,      // a downgrade lets go in between
  downgrade_silent,   // a downgrade wakes nobody
  hole,               // the last page of a range is not locked
  shrink_silent,      // a smaller range wakes nobody
  late_touch,         // the node is written after the inner lock was let go
  trying_waits,       // a try waits for its turn
  handoff_ignored,    // who leaves the queue does not see that it has become the head
  no_handoff,         // the head makes nobody the head
  stale_head,         // an entry keeps the word that made its thread the head the last time
  no_write_lock,      // a writer does not drain the readers
  early_close,        // the section is closed before the last edit
  early_free,         // an address space dies while readers still hold it
  unlocked_fault,     // a fault takes no lock
  stale_vma,          // a fault does not look again for its VMA after it has let the lock go
  late_zap,           // an unmap clears its pages when it has let the lock go
  unlocked_lookup,    // a look-up in the tree takes no lock
  no_neighbours,      // an edit does not reach over the VMAs beside its range
  stale_reach,        // nor looks, when it holds its range, whether the reach has grown
  unlocked_child,     // the page of a folded slot is not locked any more when that is expanded
  early_publication,  // what a thread makes is published relaxed
};

}  // namespace faultline::check
