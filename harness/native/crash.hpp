// A measured thread that gets a fatal signal parks in the signal handler, so that the main thread
// can still report which thread holds or waits for which lock.
#pragma once

#include <string>

namespace faultline {

// Installs the handlers. Leaves a signal alone that already has a handler, a sanitizer's for
// instance. A fatal signal in a thread without a NativeThread, and a stack overflow, still end the
// process.
void catch_crashes();

// "thread 3 crashed: Segmentation fault", or empty while no measured thread has crashed.
std::string crash();

}  // namespace faultline
