// The containers of VMAs of the catalogue as types. Each is one line in vmas/list.def. The build
// makes vmas/all.hpp, which includes the header of each.
#pragma once

#include "locks/star.hpp"
#include "locks/vmas/all.hpp"

namespace faultline {
namespace vmas_lines {

using namespace options;
#define FAULTLINE_VMAS(...) FAULTLINE_LINE(vmas_family, __VA_ARGS__)
#include "locks/vmas/list.def"

}  // namespace vmas_lines

// Calls visit.operator()<Line>() for each line. The family is `Line::Lock<P, {}>` for any P.
template <class Visit>
void for_each_container(Visit&& visit) {
#define FAULTLINE_VMAS(name, ...) visit.template operator()<vmas_lines::line_of_##name>();
#include "locks/vmas/list.def"
}

}  // namespace faultline
