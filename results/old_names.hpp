// Results that are older than the form `name[:key=value]...` of names are read as if they had it:
// "mmap_sem:no-osq" becomes "mmap_sem:osq=off", "mix:1:1,shared" becomes "mix:faults=1:shared=on".
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace faultline {

// The present name of a scheme, of a lock, or of a workload. A name that is not an old one is
// returned unchanged.
std::string present_scheme(std::string_view name);
std::string present_lock(std::string_view name);
std::string present_workload(std::string_view name);

// Gives all names in the `faultline` object of a result, or in a record of a journal, their present
// form. Gives a case of the running kernel the member `kernel`.
void rename_old(nlohmann::json& part);

}  // namespace faultline
