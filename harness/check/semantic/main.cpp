// faultline-check-mutated: the checker over copies of locks/ that have mutants. `faultline check
// --mutants --semantic` starts it with its own arguments.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>
#include <thread>

#include "harness/check/semantic/check_semantic.hpp"

namespace faultline::check {
namespace {

int run(int argc, char** argv) {
  CLI::App app("tries semantic mutants of locks/: the checker must catch each",
               "faultline check --mutants --semantic");
  CheckOptions options;
  bool flag = false;
  options.at_once = std::max(1U, std::thread::hardware_concurrency());
  app.add_flag("--mutants,--semantic", flag, "choose this command");
  app.add_option("--at", options.at,
                 "only mutants whose text begins with this: \"locks/mutex/mcs.hpp\", or "
                 "\"locks/mutex/mcs.hpp:stale_successor\"");
  app.add_option("--executions", options.most_executions,
                 "at most so many executions of each program, in each search");
  app.add_option("--seed", options.seed,
                 "seed of everything that is drawn at random; 1 if not given");
  app.add_option("--jobs", options.at_once, "processes at once")->check(CLI::Range(1, 1024));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(
        fmt::format("command line: {}, expected what `faultline check --mutants --semantic --help` "
                    "shows",
                    error.what()));
  }
  return check_semantic(options);
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
