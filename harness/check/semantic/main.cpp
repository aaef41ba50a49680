// faultline-check-mutated: the checker over copies of locks/ that have mutants. `faultline check
// --mutants --semantic` starts it with its own arguments. Without --semantic it explores what
// faultline-check explores, since no mutant is chosen; only the columns of sites differ.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "harness/check/common/command_line.hpp"
#include "harness/check/semantic/check_semantic.hpp"
#include "harness/check/semantic/mutant.hpp"

namespace faultline::check {
namespace {

int semantic_command(int argc, char** argv) {
  CLI::App app("tries semantic mutants of locks/: the checker must catch each",
               "faultline check --mutants --semantic");
  CheckOptions options;
  bool flag = false;
  app.add_flag("--mutants,--semantic", flag, "choose this command");
  app.add_option("--at", options.at,
                 "only mutants whose text begins with this: \"locks/mutex/mcs.hpp\", or "
                 "\"locks/mutex/mcs.hpp:stale_successor\"");
  app.add_option_function<std::string>(
      "--executions",
      [&options](const std::string& text) {
        options.most_executions = parse_number("--executions", text, 1, ~u64{0});
      },
      "the most executions of each program in each search; 150 for mutants of address spaces and "
      "2000 for others if not given");
  app.add_option_function<std::string>(
      "--part",
      [&options](const std::string& text) {
        const auto slash = std::min(text.find('/'), text.size());
        try {
          options.parts = parse_number("", text.substr(slash).substr(1), 1, semantic::most_mutants);
          options.part = parse_number("", text.substr(0, slash), 1, options.parts);
        } catch (const std::exception&) {
          throw std::invalid_argument(fmt::format(
              "--part '{}': expected a part and the number of parts, such as 3/16", text));
        }
      },
      "K/N: deals the mutants out to N parts, and tries part K alone, from 1 to N");
  app.add_flag("--no-unit-tests", options.no_unit_tests,
               "leave out the unit tests, and the mutants that only they catch");
  add_search_options(app, options);
  if (const auto code = parse(app, argc, argv)) return *code;
  return check_semantic(options);
}

int run(int argc, char** argv) {
  const bool semantic = std::any_of(
      argv, argv + argc, [](const char* word) { return std::string_view(word) == "--semantic"; });
  return semantic ? semantic_command(argc, argv) : check_command(argc, argv);
}

}  // namespace
}  // namespace faultline::check

int main(int argc, char** argv) {
  return faultline::check::exit_code_of(faultline::check::run, argc, argv);
}
