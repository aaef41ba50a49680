// A workload's text, "mix:9:1,shared,discard", taken apart; what does not fit is refused in one
// line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

class Parameters {
 public:
  // `text`: name, and after the first ':' fields separated by ':' or ','.
  explicit Parameters(std::string_view text);

  const std::string& name() const { return name_; }
  // The field that begins with `key` and '=' as a number, or `otherwise`. The field counts as used,
  // as in all of these.
  u64 number(std::string_view key, u64 otherwise);
  std::string word(std::string_view key, const std::string& otherwise);
  bool flag(std::string_view word);
  // The next field that is a plain number, or `otherwise`.
  u64 next_number(u64 otherwise);
  // The next field that is a size in bytes, "2M", "128M", "64K"; a multiple of the page.
  u64 next_size(u64 otherwise);
  // Throws std::invalid_argument when a field was not used; `expected` says what the workload
  // takes.
  void finish(std::string_view expected) const;
  [[noreturn]] void refuse(std::string_view expected) const;

 private:
  std::string text_;
  std::string name_;
  std::vector<std::string> fields_;
  std::vector<bool> used_;
};

}  // namespace faultline
