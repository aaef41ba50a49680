// The files for a run's result and journal.
#pragma once

#include <ostream>
#include <string>

namespace faultline {

// The result's file: `given`, or results/runs/TIME-NAME/results.json if that is empty. Throws
// std::invalid_argument if it cannot be written, or if a journal lies beside it. A killed run has
// left that journal, and its trials are in no result yet.
std::string choose_out(const std::string& given, const std::string& name);

// The journal's file, beside the result's.
std::string journal_for(const std::string& out);

// Makes the result from the journal, removes the journal, and prints the table.
void finish(const std::string& journal, const std::string& out, std::ostream& table);

std::string host_name();

}  // namespace faultline
