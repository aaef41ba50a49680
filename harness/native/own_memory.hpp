// Populates the program's own memory before the window opens, so that the program itself does not
// fault in it.
#pragma once

namespace faultline {

// Faults in all of the program's code, data and heap. Needs Linux 5.14 (MADV_POPULATE_READ). On
// older kernels it does nothing, and the program's faults appear among the trial's minor faults.
void populate_program();

// Faults in the topmost 128 KiB of the calling thread's stack, which the operations use.
void populate_stack();

}  // namespace faultline
