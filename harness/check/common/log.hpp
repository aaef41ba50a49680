// What is kept of an execution for the telling of its failure.
#pragma once

#include <type_traits>

#include "harness/check/common/weakening.hpp"

namespace faultline::check {

// The rule of locks/: nothing else fits into Relacy's atomics, or into a LogEntry.
template <class T>
inline constexpr bool may_be_shared = std::is_integral_v<T> || std::is_pointer_v<T>;

template <class T>
u64 as_number(T value) {
  if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<u64>(value);
  else
    return static_cast<u64>(value);
}

inline constexpr u32 nobody = ~u32{0};

// One operation of a failing execution, kept for the telling.
struct LogEntry {
  u32 thread;
  const char* what;  // "load", "store", ...
  const void* object;
  u64 before, after;
  Order order;
  Where where;
  enum class Values : u8 { none, one, two } values;
  bool stale;  // a load that saw an older value
};

struct Label {
  const void* object;
  usize bytes;
  const char* name;
  u32 thread;  // whose it is; nobody: all threads'
};

}  // namespace faultline::check
