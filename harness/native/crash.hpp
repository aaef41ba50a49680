// A fatal signal in a measured thread: the thread is parked where it stands, so that the main
// thread can still tell who held and who waited for what.
#pragma once

#include <string>

namespace faultline {

// From now on. Leaves alone signals that somebody, a sanitizer for instance, already handles. A
// signal in the main thread, and a stack overflow, still end the process.
void catch_crashes();

// "thread 3 crashed: Segmentation fault", or empty.
std::string crash();

}  // namespace faultline
