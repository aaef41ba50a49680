// Results that were written before names had the form `name[:key=value]...` are read as if they had
// it: "mmap_sem:no-osq" is "mmap_sem:osq=off", "mix:1:1,shared" is "mix:faults=1:shared=on".
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace faultline {

// The present name of a scheme or lock, or of a workload; a name that is none of the old ones comes
// back as it is.
std::string present_scheme(std::string_view name);
std::string present_workload(std::string_view name);

// Gives all names in the `faultline` object of a result, or in a record of a journal, their present
// form, and a case of the running kernel the member `kernel`.
void rename_old(nlohmann::json& part);

}  // namespace faultline
