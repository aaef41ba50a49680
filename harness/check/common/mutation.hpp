// Memory orders and wake-ups by where the source has them, and one of them spoilt: what the checker
// must find out. A site is a line and column of a lock's header, and which of its orders.
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
using Where = std::source_location;

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

// An order one step weaker; a wake-up (`order` is of no meaning) is dropped.
struct Mutation {
  Site site;
  Order weaker;
};

// The steps down from a site's order: none where it is relaxed already, two from acq_rel.
std::vector<Mutation> mutations_of(const Site& site);

const char* name_of(Order order);

// "locks/mutex/ticket.hpp" of a file of ours, by whatever way the compiler came to it.
std::string_view short_name(std::string_view file);

// "locks/mutex/ticket.hpp:22: exchange acq_rel -> acquire"
std::string to_string(const Site& site);
std::string to_string(const Mutation& mutation);

}  // namespace faultline::check
