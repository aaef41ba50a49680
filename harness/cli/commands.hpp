// The subcommands: each adds itself to the command line, and leaves its exit code behind when it
// was the one called.
#pragma once

#include <CLI/CLI.hpp>

namespace faultline {

void add_run_command(CLI::App& app, int& exit_code);
void add_sim_command(CLI::App& app, int& exit_code);
void add_calibrate_command(CLI::App& app, int& exit_code);
void add_list_command(CLI::App& app, int& exit_code);
void add_trial_commands(CLI::App& app, int& exit_code);  // hidden: trial, check-placement
void add_record_command(CLI::App& app, int& exit_code);
void add_results_commands(CLI::App& app, int& exit_code);  // compare, report, fit, recover
void add_doctor_command(CLI::App& app, int& exit_code);
void add_torture_commands(CLI::App& app, int& exit_code);  // and hidden: torture-one
void add_check_command(CLI::App& app);                     // becomes another program

}  // namespace faultline
