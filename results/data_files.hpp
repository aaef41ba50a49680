// Finds the files that the program reads at run time: machines, suites, published curves, the
// report's pages, the sample trace.
#pragma once

#include <filesystem>
#include <string>

namespace faultline {

// The path of data file `name`, such as "machines/e7-8870.json". The files lie in share/faultline,
// in the program's folder (a build) or beside it (an installation). The program's folder is found
// at run time, so both can be moved. The file itself may be missing; the code that opens it reports
// that.
std::filesystem::path data_file(const std::string& name);

}  // namespace faultline
