// Which executions of a program are looked at closely when all threads are at rest. A close look
// costs half of what an execution costs.
#pragma once

#include "harness/check/common/types.hpp"

namespace faultline::check {

class Looks {
 public:
  void begin_program() { executions_ = 0; }
  // The next execution is one that failed. It runs again.
  void repeat() { repeats_ = true; }
  void end_repeat() { repeats_ = false; }
  bool is_next_close() { return executions_++ % every == 0 || repeats_; }

 private:
  static constexpr u64 every = 4;
  u64 executions_ = 0;
  bool repeats_ = false;
};
inline Looks looks;

}  // namespace faultline::check
