// The entries that names of a user or of a suite choose. All functions throw std::invalid_argument
// as choose() does. For a name of the former grammar, the message gives its present form.
#pragma once

#include <string>
#include <vector>

#include "workloads/catalogue.hpp"

namespace faultline {

Chosen scheme_named(const std::string& name);
Chosen lock_named(const std::string& name);
Chosen scheme_or_lock_named(const std::string& name);
Chosen workload_named(const std::string& name);

// The contestant that runs a workload: a lock for lock_loop, else a scheme.
Chosen contestant_named(const Entry& workload, const std::string& name);

// Every scheme, or every lock, with its default options and with each other value of one option
// alone. Natively these combinations are compiled.
std::vector<std::string> all_contestants(bool locks);

}  // namespace faultline
