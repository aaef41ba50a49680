// Texts of the command line as values. All throw std::invalid_argument in one line: the option, the
// text, what was expected.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// "200ms", "0.2s", "0.2", "2m", "1h": seconds, above zero and at most a day.
double parse_seconds(const std::string& option, const std::string& text);

// A whole number from `least` to `most`.
u64 parse_number(const std::string& option, const std::string& text, u64 least, u64 most);

// "0.1": from 0 to 1.
double parse_share(const std::string& option, const std::string& text);

// "1,2,4"; "all" or nothing: empty, the machine's own counts.
std::vector<u32> parse_counts(const std::string& option, const std::string& text);

// The parts between commas; an empty one is refused.
std::vector<std::string> split_list(const std::string& option, const std::string& text);

// As split_list, but a part that begins with none of `names` (up to a ':') belongs to the one
// before it: "replay:file=a,b.txt,local" are "replay:file=a,b.txt" and "local".
std::vector<std::string> split_workloads(const std::string& text,
                                         const std::vector<std::string>& names);

// As split_list, but CPU numbers stay together: "compact,0,2-3" are "compact" and "0,2-3".
std::vector<std::string> split_placements(const std::string& text);

void require_one_of(const std::string& option, const std::string& text,
                    const std::vector<std::string>& allowed);

}  // namespace faultline
