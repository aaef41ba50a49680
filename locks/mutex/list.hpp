// The mutexes of the catalogue as types. Each is one line in mutex/list.def. The build
// makes mutex/all.hpp, which includes the header of each.
#pragma once

#include "locks/mutex/all.hpp"
#include "locks/star.hpp"

namespace faultline {
namespace mutex_lines {

using namespace options;
#define FAULTLINE_MUTEX(...) FAULTLINE_LINE(mutex_family, __VA_ARGS__)
#include "locks/mutex/list.def"

}  // namespace mutex_lines

// Calls visit.operator()<Line>() for each line.
template <class Visit>
void for_each_mutex(Visit&& visit) {
#define FAULTLINE_MUTEX(name, ...) visit.template operator()<mutex_lines::line_of_##name>();
#include "locks/mutex/list.def"
}

template <class P>
auto mutex_list() {
  return std::tuple_cat(
#define FAULTLINE_MUTEX(name, ...) star_list<P, mutex_lines::line_of_##name>(),
#include "locks/mutex/list.def"
      std::tuple<>());
}

}  // namespace faultline
