// `faultline torture`: parses its command line and runs the torture.
#include "harness/torture/torture.hpp"

#include <fmt/format.h>

#include <iostream>
#include <random>
#include <stdexcept>

#include "harness/cli/commands.hpp"
#include "harness/cli/parse.hpp"
#include "harness/native/platform.hpp"
#include "locks/catalogue.hpp"

namespace faultline {
namespace {

struct Arguments {
  std::vector<std::string> names;
  std::string duration = "10s";
  std::string threads;
  std::string seed;
  std::string patience = "30s";
};

std::vector<std::string> names_of(const Arguments& arguments) {
  const std::vector<std::string> names =
      arguments.names.empty() ? torture::sound_victims() : arguments.names;
  for (const std::string& name : names)
    if (torture::find_victim(name) == nullptr) {
      const std::string why = left_out(name);
      throw std::invalid_argument(
          fmt::format("torture '{}': {}", name,
                      why.empty() ? "expected a lock or scheme that `faultline list` names" : why));
    }
  return names;
}

torture::Options options_of(const Arguments& arguments) {
  torture::Options options;
  options.duration_s = parse_seconds("--duration", arguments.duration);
  options.patience_s = parse_seconds("--patience", arguments.patience);
  if (!arguments.threads.empty())
    options.threads =
        static_cast<u32>(parse_number("--threads", arguments.threads, 1, native::max_threads - 1));
  options.seed = arguments.seed.empty() ? std::random_device{}()
                                        : parse_number("--seed", arguments.seed, 0, INT64_MAX);
  return options;
}

int run_torture(const Arguments& arguments) {
  const std::vector<std::string> names = names_of(arguments);
  const torture::Options options = options_of(arguments);
  std::cerr << fmt::format("{} name(s), {:g} s each, seed {}\n", names.size(), options.duration_s,
                           options.seed);
  return torture::torture_all(names, options, {"/proc/self/exe", "torture-one"}, std::cout);
}

}  // namespace

void add_torture_commands(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "torture",
      "runs locks and schemes while it signals, moves, ends and replaces their threads; "
      "exit code 1 when one fails");
  command->add_option("NAME", arguments->names, "locks or schemes; all if none is given");
  command->add_option("--duration", arguments->duration, "time for each lock or scheme")
      ->capture_default_str();
  command->add_option("--threads", arguments->threads,
                      "threads at once; four more than there are CPUs if not given");
  command->add_option("--seed", arguments->seed,
                      "seed of the random choices; drawn and printed if not given");
  command
      ->add_option("--patience", arguments->patience,
                   "how long a thread may take to leave a lock after the order to stop")
      ->capture_default_str();
  command->callback([arguments, &exit_code] { exit_code = run_torture(*arguments); });
  // `faultline torture` starts this hidden command for each name, in a process of its own.
  CLI::App* one = app.add_subcommand("torture-one", "")->group("");
  one->callback([] { torture::torture_by_spec(std::cin); });
}

}  // namespace faultline
