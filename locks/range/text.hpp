// How reports write ranges and their holders.
#pragma once

#include <string>

#include "locks/types.hpp"

namespace faultline {

inline std::string hex_text(u64 value) {
  constexpr const char* digits = "0123456789abcdef";
  char text[18];
  char* const end = text + sizeof(text);
  char* first = end;
  do *--first = digits[value % 16];
  while ((value /= 16) != 0);
  *--first = 'x';
  *--first = '0';
  return std::string(first, end);
}

// "[0x1000, 0x2000) exclusive"
inline std::string range_text(Range range, bool exclusive) {
  std::string text = "[";
  text.append(hex_text(range.start)).append(", ").append(hex_text(range.end));
  return text.append(exclusive ? ") exclusive" : ") shared");
}

// "thread 3 holds [0x1000, 0x2000) exclusive, before 2 that wait", where `who` is "thread 3 holds".
inline std::string holder_text(const std::string& who, Range range, bool exclusive, u64 waiting) {
  std::string text = who + ' ' + range_text(range, exclusive);
  if (waiting != 0) text.append(", before ").append(std::to_string(waiting)).append(" that wait");
  return text;
}
inline std::string holder_text(u32 thread, Range range, bool exclusive, u64 waiting) {
  return holder_text("thread " + std::to_string(thread) + " holds", range, exclusive, waiting);
}

}  // namespace faultline
