// The ways in which locks and schemes are broken by hand.
#pragma once

namespace faultline::check {

enum class Flaw : int {
  none,

  late_ticket,        // a waiter reads the word after the test that it guards: a wake-up is lost
  no_wake,            // a release wakes nobody
  rude_readers,       // a reader does not test for writers
  downgrade_gap,      // a downgrade unlocks and locks again
  downgrade_silent,   // a downgrade wakes nobody
  hole,               // the last page of a range is not locked
  shrink_silent,      // a smaller range wakes nobody
  kept_start,         // a range that shrinks to its end keeps its beginning too
  late_touch,         // writes the node after it has released the inner lock
  trying_waits,       // a try waits for its turn
  barging,            // a try takes the free lock although others have a number
  lost_handoff,       // a release forgets for whom the lock is kept
  handoff_ignored,    // a thread that leaves the queue ignores that it has become the head
  no_handoff,         // a head that exits makes no other thread the head
  stale_head,         // a thread enters while its word still says that it is the head
  no_write_lock,      // a writer does not drain the readers
  early_close,        // the section is closed before the last edit
  early_free,         // a space dies, or a VMA lives again, while readers still hold it
  unlocked_fault,     // a fault takes no lock
  stale_vma,          // a fault keeps its VMA over an unlock, or over a sleep
  stale_hole,         // a fault may miss a mapping although the map has returned
  late_zap,           // an unmap clears its pages after it has unlocked
  unlocked_lookup,    // a look-up in the tree takes no lock
  no_neighbours,      // an edit does not reach over the VMAs beside its range
  one_end,            // an edit does not reach over the VMA above its range
  early_edit,         // an edit does not wait in the queue of its range
  stale_reach,        // an edit does not recompute its reach once it holds the lock
  stale_place,        // a map does not look again whether its place is still a hole
  shared_edit,        // an edit that holds the whole address space holds it shared
  lone_whole,         // holds of the whole address space exclude only one another
  unmarked,           // a map reserves its place with a VMA that looks like any other
  lost_waiters,       // threads that wait for a VMA are forgotten when the VMA leaves the tree
  live_node,          // a node that has left the tree looks as if it were still there
  unlocked_child,     // the fault of a page in a folded slot unlocks it with the expansion
  unlocked_below,     // a holder of a node does not lock the nodes below it
  stray_node,         // a thread keeps a node that was removed before it had the lock
  lost_state,         // a new node does not inherit what its parent's entry says
  deaf_cpu,           // a shootdown leaves a CPU out
  write_only,         // memory that may only be written may not be accessed
  short_top,          // a map without a hint fails where the highest hole is too short
  always_merges,      // the option against merging has no effect
  lost_stack,         // the upper part of a stack that a protect cuts is no stack
  far_anon_vma,       // a mapping takes over the anon_vma of one beyond a hole
  moved_break,        // the break moves although its call is refused
  eager_break,        // pages of the break are mapped in before they are touched
  counted_twice,      // a fault is counted twice
  wide_fault,         // a read fault grants a write, and takes it back
  one_look,           // a walk does not look at the entry again once it has pinned the frame
  early_look,         // a fault looks at the sequence only before it locks the table page
  late_shootdown,     // frames are given back before the shootdown
  far_hole,           // a range above the first pages of the tree is not locked
  early_publication,  // a thread publishes with a relaxed store what it has made
};

}  // namespace faultline::check
