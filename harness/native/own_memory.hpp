// Keeps the kernel's memory management out of the window: what the program itself needs is brought
// in before, and stays where it is.
#pragma once

namespace faultline {

// Faults in the program's own code and data, so that none is touched for the first time in the
// window. Linux 5.14 and later; on older ones this does nothing, and such faults show in the
// results.
void populate_program();

// The same for the part of the calling thread's stack that operations reach.
void populate_stack();

// New pages of the calling thread come from its own node, whatever policy the process was started
// under; and the kernel's NUMA balancing, which would unmap pages to see who uses them, leaves a
// thread with a policy of its own alone (mempolicy.c, vma_policy_mof).
void use_local_memory();

}  // namespace faultline
