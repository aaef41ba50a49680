#include <fmt/format.h>
#include <signal.h>

#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "harness/cli/build_info.hpp"
#include "harness/cli/commands.hpp"

namespace {

// Ignores SIGXFSZ, so that a write beyond the file-size limit fails with an error, as on a full
// disk, and does not kill the process.
void ignore_size_signal() {
  signal(SIGXFSZ, SIG_IGN);
}

// Returns 0 done; 1 a case or a check failed; 2 usage or bad input; 3 regression; 128 + n: signal n
// ended the run, which keeps what it measured until then.
int run(int argc, char** argv) {
  CLI::App app("faultline: lock contention in address spaces, measured side by side", "faultline");
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("faultline {} ({})", faultline::build_version,
                                                faultline::build_commit));
  int exit_code = 0;
  faultline::add_list_command(app, exit_code);
  faultline::add_run_command(app, exit_code);
  faultline::add_sim_command(app, exit_code);
  faultline::add_perturb_command(app, exit_code);
  faultline::add_calibrate_command(app, exit_code);
  faultline::add_record_command(app, exit_code);
  faultline::add_results_commands(app, exit_code);
  faultline::add_doctor_command(app, exit_code);
  faultline::add_check_command(app);
  faultline::add_torture_commands(app, exit_code);
  faultline::add_trial_commands(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    if (app.get_subcommands().empty() && argc > 1)
      line = fmt::format("'{}' is no command", argv[1]);
    const std::string command = app.get_subcommands().empty()
                                    ? "faultline"
                                    : "faultline " + app.get_subcommands().front()->get_name();
    throw std::invalid_argument(
        fmt::format("command line: {}, expected what `{} --help` shows", line, command));
  }
  return exit_code;
}

// Returns `exit_code`; 2 if standard output could not be written, so that a command whose output is
// lost does not look successful.
int flushed(int exit_code) {
  std::cout.flush();
  if (std::cout.good() && std::fflush(stdout) == 0) return exit_code;
  std::cerr << "faultline: standard output: cannot write, expected room on its disk\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  ignore_size_signal();
  try {
    return flushed(run(argc, argv));
  } catch (const std::invalid_argument& error) {
    std::cerr << "faultline: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "faultline: " << error.what() << '\n';
    return 1;
  }
}
