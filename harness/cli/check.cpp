// `faultline check` becomes the executable faultline-check, which lies beside this one. The checker
// is an executable of its own because Relacy replaces the global operator new.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "harness/cli/commands.hpp"

namespace faultline {
namespace {

[[noreturn]] void become_checker(std::vector<std::string> arguments) {
  const auto has = [&](const char* option) {
    return std::find(arguments.begin(), arguments.end(), option) != arguments.end();
  };
  const bool semantic = has("--semantic");
  if (semantic && !has("--mutants"))
    throw std::invalid_argument("check: --semantic: expected --mutants beside it");
  const char* name = semantic ? "faultline-check-mutated" : "faultline-check";
  const auto checker =
      std::filesystem::read_symlink("/proc/self/exe").replace_filename(name).string();
  arguments.insert(arguments.begin(), checker);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(checker.c_str(), pointers.data());
  throw std::invalid_argument(fmt::format(
      "check: {}: {}, expected the checker, which `cmake --build build{}` makes (but not "
      "with a sanitizer)",
      checker, std::strerror(errno), semantic ? " --target mutants" : ""));
}

}  // namespace

void add_check_command(CLI::App& app) {
  CLI::App* check = app.add_subcommand(
      "check", "model-checks locks and schemes; says at the end what it explored");
  // The checker parses all arguments that follow, including --help.
  check->prefix_command()->set_help_flag();
  check->callback([check] { become_checker(check->remaining()); });
}

}  // namespace faultline
