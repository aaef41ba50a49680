// The broken mutexes of the catalogue as types. Each is one line in mutex/broken.def.
#pragma once

#include "locks/mutex/busted.hpp"
#include "locks/star.hpp"

namespace faultline {
namespace broken_lines {

using namespace options;
#define FAULTLINE_BROKEN(...) FAULTLINE_LINE(broken_family, __VA_ARGS__)
#include "locks/mutex/broken.def"

}  // namespace broken_lines

// Calls visit.operator()<Line>() for each line.
template <class Visit>
void for_each_broken(Visit&& visit) {
#define FAULTLINE_BROKEN(name, ...) visit.template operator()<broken_lines::line_of_##name>();
#include "locks/mutex/broken.def"
}

template <class P>
auto broken_list() {
  return std::tuple_cat(
#define FAULTLINE_BROKEN(name, ...) star_list<P, broken_lines::line_of_##name>(),
#include "locks/mutex/broken.def"
      std::tuple<>());
}

}  // namespace faultline
