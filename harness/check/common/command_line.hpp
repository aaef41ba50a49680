// What the checker's two programs do alike with their command lines.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "harness/check/common/report.hpp"
#include "harness/cli/parse.hpp"

namespace faultline::check {

// The options of every search.
inline void add_search_options(CLI::App& app, CheckOptions& options) {
  options.at_once = std::max(1U, std::thread::hardware_concurrency());
  app.add_option_function<std::string>(
      "--seed",
      [&options](const std::string& text) {
        options.seed = parse_number("--seed", text, 0, ~u64{0});
      },
      "seed of everything that is drawn at random: the same seed gives the same executions; 1 if "
      "not given");
  app.add_option("--jobs", options.at_once, "processes at once")->check(CLI::Range(1, 1024));
}

// Parses the command line. Answers an exit code if the program must end, after --help. Throws
// std::invalid_argument, in one line, for a command line that does not fit.
inline std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(fmt::format("command line: {}, expected what `{} --help` shows",
                                            error.what(), app.get_name()));
  }
  return std::nullopt;
}

// Does what the arguments of `faultline check` ask for, and answers the exit code. Throws
// std::invalid_argument, in one line, for arguments that do not fit.
int check_command(int argc, char** argv);

// Runs the program. Answers its exit code: 2 for bad input, 1 for other errors, each told in one
// line.
template <class Run>
int exit_code_of(Run run, int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "faultline: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "faultline: {}\n", error.what());
    return 1;
  }
}

}  // namespace faultline::check
