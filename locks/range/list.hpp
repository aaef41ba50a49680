// The range locks of the catalogue as types. Each is one line in range/list.def. The build
// makes range/all.hpp, which includes the header of each.
#pragma once

#include "locks/range/all.hpp"
#include "locks/star.hpp"

namespace faultline {
namespace range_lines {

using namespace options;
#define FAULTLINE_RANGE(...) FAULTLINE_LINE(range_family, __VA_ARGS__)
#include "locks/range/list.def"

}  // namespace range_lines

// Calls visit.operator()<Line>() for each line.
template <class Visit>
void for_each_range(Visit&& visit) {
#define FAULTLINE_RANGE(name, ...) visit.template operator()<range_lines::line_of_##name>();
#include "locks/range/list.def"
}

template <class P>
auto range_list() {
  return std::tuple_cat(
#define FAULTLINE_RANGE(name, ...) star_list<P, range_lines::line_of_##name>(),
#include "locks/range/list.def"
      std::tuple<>());
}

}  // namespace faultline
