// Keeps page faults of the program's own out of the window: what it needs is brought in before.
#pragma once

namespace faultline {

// Faults in the program's own code and data, so that none is touched for the first time in the
// window. Linux 5.14 and later; on older ones this does nothing, and such faults show in the
// results.
void populate_program();

// The same for the part of the calling thread's stack that operations reach.
void populate_stack();

}  // namespace faultline
