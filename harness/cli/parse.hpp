// Parses texts of the command line. Every function throws std::invalid_argument, with one line that
// names the option, the text and what was expected, if the text does not fit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// A time such as "200ms", "0.2s", "0.2", "2m" or "1h", in seconds: above zero and at most a day.
double parse_seconds(const std::string& option, const std::string& text);

// A whole number from `least` to `most`.
u64 parse_number(const std::string& option, const std::string& text, u64 least, u64 most);

// A number from 0 to 1, such as "0.1".
double parse_share(const std::string& option, const std::string& text);

// Numbers such as "1,2,4". "all" and the empty text give an empty list, which stands for the
// machine's own thread counts.
std::vector<u32> parse_counts(const std::string& option, const std::string& text);

// The parts between commas, none of which may be empty.
std::vector<std::string> split_list(const std::string& option, const std::string& text);

// As split_list, but a part whose text before the first ':' is none of `names` belongs to the part
// before it: "replay:file=a,b.txt,local" gives "replay:file=a,b.txt" and "local".
std::vector<std::string> split_workloads(const std::string& text,
                                         const std::vector<std::string>& names);

// As split_list for --scheme, but a part that names no scheme and no lock belongs to the part
// before it where that ends in a list: "range_lock:narrow=fault,unmap,mmap_sem" gives
// "range_lock:narrow=fault,unmap" and "mmap_sem".
std::vector<std::string> split_schemes(const std::string& text);

// As split_list, but CPU numbers stay together: "compact,0,2-3" gives "compact" and "0,2-3".
std::vector<std::string> split_placements(const std::string& text);

// Throws unless `text` is one of `allowed`.
void require_one_of(const std::string& option, const std::string& text,
                    const std::vector<std::string>& allowed);

}  // namespace faultline
