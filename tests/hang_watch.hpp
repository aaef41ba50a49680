// Tells which threads wait for what when a test makes no progress. Every test program that uses the
// library links hang_watch.cpp, which looks once a second. It only tells: CTest's limit ends the
// test.
#pragma once

#include <string>
#include <vector>

namespace faultline {

// The threads that wait, a line each (native::waiting_threads), if one of them has waited for
// `limit_s` seconds or longer for the same object. Otherwise nothing.
std::vector<std::string> stalled_threads(double limit_s);

}  // namespace faultline
