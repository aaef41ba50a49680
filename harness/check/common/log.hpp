// The record of an execution. The story of a failure is written from it.
#pragma once

#include <type_traits>

#include "harness/check/common/weakening.hpp"

namespace faultline::check {

template <class T>
u64 as_number(T value) {
  if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<u64>(value);
  else
    return static_cast<u64>(value);
}

inline constexpr u32 nobody = ~u32{0};

// One operation of an execution.
struct LogEntry {
  u32 thread;
  const char* what;  // "load", "store", ...
  const void* object;
  u64 before, after;
  Order order;
  Where where;
  enum class Values : u8 { none, one, two } values;
  bool stale;  // a load saw an older value than the last
};

struct Label {
  const void* object;
  usize bytes;
  const char* name;
  u32 thread;  // The owner. `nobody`: all threads share it.
};

}  // namespace faultline::check
