// The sources that the checker was built from: locks/ for the excuses of weakened orders, and with
// harness/check/ for the lines that a story quotes. The build copies them into the program
// (embed_sources.cmake). So they always match the program's line numbers, and the program runs
// without the files.
#pragma once

#include <string_view>
#include <vector>

namespace faultline::check {

struct Source {
  std::string_view name;  // "locks/mutex/ticket.hpp"
  std::string_view text;
};

const std::vector<Source>& sources();

// Empty where no source has that name.
std::string_view source_text(std::string_view name);

}  // namespace faultline::check
