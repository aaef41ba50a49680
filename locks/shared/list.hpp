// The reader-writer locks of the catalogue as types. Each is one line in shared/list.def. The build
// makes shared/all.hpp, which includes the header of each.
#pragma once

#include <tuple>
#include <type_traits>

#include "locks/shared/all.hpp"
#include "locks/star.hpp"

namespace faultline {
namespace shared_lines {

using namespace options;

// The policy of the catalogue's `rwsem`. The options are osq, reader_steal, writer_steal, handoff
// and prefetchw, in this order.
constexpr RwsemPolicy rwsem_policy(const Choices& choices, Layout layout) {
  return {.osq = choices[0] == 0,
          .reader_steal = choices[1] != 1,
          .writer_steal = choices[2] == 0,
          .handoff = choices[3] == 0,
          .phase_change = choices[1] == 2,
          .layout = layout};
}

template <class P, Choices choices, Layout layout>
using RwsemType = std::conditional_t<choices[4] == 0, Rwsem<P, rwsem_policy(choices, layout)>,
                                     PrefetchedRwsem<Rwsem<P, rwsem_policy(choices, layout)>>>;

// The locks that `bravo` can be over, in the order of its option `over`.
template <class P, Choices choices, Layout layout>
using BravoType =
    Bravo<P, std::tuple_element_t<choices[0],
                                  std::tuple<Rwsem<P, RwsemPolicy{.layout = layout}>, Rwsem2012<P>,
                                             PhaseFair<P>, NaiveRefcountLock<P>>>>;

// The rwsem of Linux 5.3 to 5.10, whose readers spin.
constexpr RwsemPolicy rwsem_5_3{.reader_steal = false, .reader_spin = true};

template <class P, Choices choices>
using Rwsem2019Version = std::conditional_t<choices[0] == 0, Rwsem2019<P>, Rwsem<P, rwsem_5_3>>;
template <class P, Choices choices>
using Rwsem2019Type = std::conditional_t<choices[1] == 0, Rwsem2019Version<P, choices>,
                                         PrefetchedRwsem<Rwsem2019Version<P, choices>>>;

#define FAULTLINE_SHARED(...) FAULTLINE_LINE(shared_family, __VA_ARGS__)
#include "locks/shared/list.def"

}  // namespace shared_lines

// Calls visit.operator()<Line>() for each line.
template <class Visit>
void for_each_shared(Visit&& visit) {
#define FAULTLINE_SHARED(name, ...) visit.template operator()<shared_lines::line_of_##name>();
#include "locks/shared/list.def"
}

template <class P>
auto shared_list() {
  return std::tuple_cat(
#define FAULTLINE_SHARED(name, ...) star_list<P, shared_lines::line_of_##name>(),
#include "locks/shared/list.def"
      std::tuple<>());
}

}  // namespace faultline
