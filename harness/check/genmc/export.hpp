// `faultline check --export-genmc NAME`: one C++ file that contains a lock's header, everything
// that the header includes from this tree, a platform over std::atomic and POSIX threads, and a
// program.
#pragma once

#include <string>

namespace faultline::check {

// The file's text. Throws std::invalid_argument for a name that is no lock's of locks/mutex,
// locks/shared or locks/range, or whose source belongs to a library.
std::string exported(const std::string& name);

}  // namespace faultline::check
