// Plans the cases of a selection on modelled machines.
#pragma once

#include "harness/case/plan.hpp"

namespace faultline {

// The machines of all entries, in the order in which they are named.
std::vector<std::string> modelled_machines(const Selection& selection);

// The cases of `selection` on each of its machines. The machines take turns; each puts its most
// important case first. Cases that cannot be simulated, and thread counts for which a machine has
// too few CPUs, are left out with the reason. Throws std::invalid_argument as make_plan does, and
// for machines that cannot be read or share a name, for thread counts that exceed every machine's
// CPUs, and for more simulated time than a simulation can hold.
Plan plan_machines(const Selection& selection);

}  // namespace faultline
