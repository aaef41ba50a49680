// The checker's executable: `faultline check` starts it with its own arguments.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>
#include <thread>

#include "harness/check/common/report.hpp"

namespace faultline::check {
namespace {

std::vector<const Checked*> chosen(const std::vector<std::string>& names) {
  std::vector<const Checked*> found;
  if (names.empty())
    for (const Checked& checked : checked_list()) found.push_back(&checked);
  for (const std::string& name : names) {
    found.push_back(find_checked(name));
    if (found.back() != nullptr) continue;
    std::string known;
    for (const Checked& checked : checked_list()) known += std::string(checked.name) + ", ";
    throw std::invalid_argument(
        fmt::format("check: no lock '{}': expected one of {}or busted", name, known));
  }
  return found;
}

int run(int argc, char** argv) {
  CLI::App app("explores what threads can do with a lock, and says what was explored",
               "faultline check");
  std::vector<std::string> names;
  bool weakened = false, broken = false, mutants = false;
  CheckOptions options;
  options.at_once = std::max(1U, std::thread::hardware_concurrency());
  app.add_option("NAME", names,
                 "locks, as `faultline list` names them, osq_queue, or vma_refcount; all if not "
                 "given");
  app.add_flag("--weakened", weakened,
               "weaken every memory order and drop every wake-up in turn: each must be noticed");
  app.add_option(
      "--at", options.at,
      "with --weakened: only sites whose text begins with this: \"locks/mutex/mcs.hpp\"");
  app.add_flag("--broken", broken, "check locks that are broken by hand: each must be caught");
  app.add_flag("--mutants", mutants)->group("");  // the former name of both
  app.add_flag("--deep", options.deep, "search for hours");
  app.add_option("--seed", options.seed,
                 "seed of everything that is drawn at random: the same seed gives the same "
                 "executions; 1 if not "
                 "given");
  app.add_option("--jobs", options.at_once, "processes at once")->check(CLI::Range(1, 1024));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(fmt::format(
        "command line: {}, expected what `faultline check --help` shows", error.what()));
  }
  options.chosen = chosen(names);
  if (mutants)
    throw std::invalid_argument(
        "check: --mutants: expected --weakened, --broken or both in its place, or --semantic "
        "beside it");
  if (!options.at.empty() && !weakened)
    throw std::invalid_argument("check: --at: expected --weakened beside it");
  if (!weakened && !broken) return check_locks(options);
  const int unnoticed = weakened ? check_weakened(options) : 0;
  const int uncaught = broken ? check_broken(options) : 0;
  return std::max(unnoticed, uncaught);
}

}  // namespace
}  // namespace faultline::check

int main(int argc, char** argv) {
  try {
    return faultline::check::run(argc, argv);
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "faultline: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "faultline: {}\n", error.what());
    return 1;
  }
}
