#include "harness/check/common/sources.hpp"

#include <algorithm>

namespace faultline::check {

std::string_view source_text(std::string_view name) {
  const auto found = std::find_if(sources().begin(), sources().end(),
                                  [&](const Source& source) { return source.name == name; });
  return found == sources().end() ? std::string_view() : found->text;
}

}  // namespace faultline::check
