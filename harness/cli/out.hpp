// Where a run's result and journal go.
#pragma once

#include <ostream>
#include <string>

namespace faultline {

// `given`, or results/runs/TIME-NAME/results.json for none. Throws std::invalid_argument where that
// cannot be written, or a journal lies beside it: one that a killed run left holds trials that
// nobody has yet.
std::string choose_out(const std::string& given, const std::string& name);

std::string journal_for(const std::string& out);

// Makes the result from the journal, removes that, and prints the table.
void finish(const std::string& journal, const std::string& out, std::ostream& table);

std::string host_name();

}  // namespace faultline
