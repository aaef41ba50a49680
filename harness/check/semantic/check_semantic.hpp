// The search for semantic mutants (mutant.hpp): each must be caught by an execution that fails.
#pragma once

#include <string>

#include "harness/check/common/report.hpp"

namespace faultline::check {

// Tries each mutant whose text, "FILE:NAME", begins with options.at (CheckOptions), and prints what
// caught it, or that it survives, and a table by file. The locks are those that reach the mutant,
// not options.chosen. Tries one part of these mutants alone where options.parts says so. Answers
// the exit code: 1 if a mutant survives and is not called equivalent, or if one that is called
// equivalent is caught. Throws std::invalid_argument where no mutant has such a text or is in such
// a part.
int check_semantic(const CheckOptions& options);

}  // namespace faultline::check
