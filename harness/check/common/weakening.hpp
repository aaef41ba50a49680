// Memory orders and wake-ups by their places in the source, and the weakenings of each, which the
// checker must notice. A site is a line and column of a lock's header, and one of the orders there.
#pragma once

#include <atomic>
#include <cstring>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "harness/check/common/types.hpp"

namespace faultline::check {

using Order = std::memory_order;
#ifdef __cpp_lib_source_location
using Where = std::source_location;
#else
// std::source_location for Clang 14, which lacks the built-in that libstdc++ makes it with.
class Where {
 public:
  constexpr Where() = default;
  static constexpr Where current(const char* file = __builtin_FILE(),
                                 const char* function = __builtin_FUNCTION(),
                                 u32 line = __builtin_LINE(), u32 column = __builtin_COLUMN()) {
    Where where;
    where.file_ = file;
    where.function_ = function;
    where.line_ = line;
    where.column_ = column;
    return where;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr const char* function_name() const { return function_; }
  constexpr u32 line() const { return line_; }
  constexpr u32 column() const { return column_; }

 private:
  const char* file_ = "";
  const char* function_ = "";
  u32 line_ = 0;
  u32 column_ = 0;
};
#endif

enum class SiteKind : u8 { load, store, exchange, failure, wake };

struct Site {
  const char* file;
  u32 line;
  u32 column;
  SiteKind kind;
  Order order;

  bool operator==(const Site& other) const {
    return line == other.line && column == other.column && kind == other.kind &&
           std::strcmp(file, other.file) == 0;
  }
};

// Makes the site's order one step weaker. At a wake the wake-up is dropped, and `weaker` has no
// meaning.
struct Weakening {
  Site site;
  Order weaker;
};

// The steps down from a site's order: none where it is relaxed already, two from acq_rel.
std::vector<Weakening> weakenings_of(const Site& site);

// What a weakening takes away.
enum class Loss : u8 {
  acquire,
  release,
  seq_cst,
  acquire_on_failure,  // the order of a compare-exchange that fails
  seq_cst_on_failure,
  wake,
};
Loss loss_of(const Weakening& weakening);
// For example "release", "acquire on failure".
const char* name_of(Loss loss);

const char* name_of(Order order);

// Answers "locks/mutex/ticket.hpp" for that file's path, whatever path the compiler was given.
std::string_view short_name(std::string_view file);

// For example "locks/mutex/ticket.hpp:22:19 read-modify-write acq_rel -> acquire".
std::string to_string(const Site& site);
std::string to_string(const Weakening& weakening);

}  // namespace faultline::check
