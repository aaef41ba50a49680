// The sources that the checker was built from: locks/ for the excuses of weakened orders, and with
// harness/check/ for the lines that a story quotes. The build copies them into the program
// (embed_sources.cmake), so that they always match its line numbers and it runs without them.
#pragma once

#include <string_view>
#include <vector>

namespace faultline::check {

struct Source {
  std::string_view name;  // "locks/mutex/ticket.hpp"
  std::string_view text;
};

const std::vector<Source>& sources();

// Empty where there is none of that name.
std::string_view source_text(std::string_view name);

}  // namespace faultline::check
