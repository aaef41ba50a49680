#include "results/data_files.hpp"

#include <sys/auxv.h>

namespace faultline {
namespace {

namespace fs = std::filesystem;

// Without /proc, the path by which the program was executed.
fs::path program_folder() {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) program = fs::absolute(reinterpret_cast<const char*>(getauxval(AT_EXECFN)), error);
  return program.parent_path();
}

fs::path find_data_folder() {
  const fs::path inside = program_folder() / "share/faultline";
  const fs::path beside = program_folder().parent_path() / "share/faultline";
  std::error_code error;
  return fs::exists(inside, error) ? inside : beside;
}

}  // namespace

fs::path data_file(const std::string& name) {
  static const fs::path folder = find_data_folder();
  return folder / name;
}

}  // namespace faultline
