// The subcommands. Each function adds its subcommands to the command line; the subcommand that the
// user calls stores its exit code in `exit_code`.
#pragma once

#include <CLI/CLI.hpp>

namespace faultline {

void add_run_command(CLI::App& app, int& exit_code);
void add_sim_command(CLI::App& app, int& exit_code);
void add_perturb_command(CLI::App& app, int& exit_code);
void add_calibrate_command(CLI::App& app, int& exit_code);
void add_list_command(CLI::App& app, int& exit_code);
void add_trial_commands(CLI::App& app, int& exit_code);  // hidden: trial, check-placement
void add_record_command(CLI::App& app, int& exit_code);
void add_results_commands(CLI::App& app, int& exit_code);  // compare, report, fit, recover
void add_doctor_command(CLI::App& app, int& exit_code);
void add_torture_commands(CLI::App& app, int& exit_code);  // torture, and hidden: torture-one
void add_check_command(CLI::App& app);                     // replaces the process by the checker

}  // namespace faultline
