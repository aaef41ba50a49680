// Subcommands that only pass their arguments to a function elsewhere.
#include <signal.h>
#include <sys/prctl.h>

#include <filesystem>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/record.hpp"
#include "harness/native/trial.hpp"
#include "harness/sim/trial.hpp"
#include "harness/topology/check_placement.hpp"
#include "harness/topology/doctor.hpp"
#include "plots/report.hpp"
#include "results/bars.hpp"
#include "results/compare.hpp"
#include "results/fit.hpp"
#include "results/questions.hpp"
#include "results/summary.hpp"
#include "results/writer.hpp"

namespace faultline {
namespace {

int run_trial_command() {
  // A trial must not outlive its run, even if a signal kills the run.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string text((std::istreambuf_iterator<char>(std::cin)),
                         std::istreambuf_iterator<char>());
  const nlohmann::json spec = nlohmann::json::parse(text, nullptr, false);
  if (!spec.is_object())
    throw std::invalid_argument(
        "standard input: expected a trial's spec, as `faultline run` writes it");
  const auto trial = spec.get<TrialSpec>();
  const auto run = trial.trial_case.simulated() ? run_sim_trial : run_trial;
  std::cout << run(trial).dump() << '\n';
  return 0;
}

std::string result_name(const std::string& journal) {
  const std::filesystem::path path(journal);
  if (path.extension() != ".journal")
    throw std::invalid_argument("recover: " + journal +
                                ": expected a name that ends in .journal, or -o FILE");
  return std::filesystem::path(path).replace_extension().string();
}

void add_compare(CLI::App& app, int& exit_code) {
  struct Arguments {
    std::string base;
    std::string changed;
    CompareOptions options;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* compare_app = app.add_subcommand("compare",
                                             "shows the change between two results and its "
                                             "significance; exit code 3 on a regression, 1 if NEW "
                                             "lacks a case");
  compare_app->add_option("BASE", arguments->base, "a result file")->required();
  compare_app->add_option("NEW", arguments->changed, "a result file")->required();
  compare_app
      ->add_option("--threshold", arguments->options.threshold,
                   "fraction by which a median must fall to count as a regression")
      ->capture_default_str();
  compare_app
      ->add_option("--alpha", arguments->options.alpha, "chance of a false alarm over all cases")
      ->capture_default_str();
  compare_app->callback([arguments, &exit_code] {
    exit_code = compare(arguments->base, arguments->changed, arguments->options, std::cout);
  });
}

void add_report(CLI::App& app, int& exit_code) {
  struct Arguments {
    std::vector<std::string> files;
    std::string out;
    std::string svg;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* report_app =
      app.add_subcommand("report", "draws results: one self-contained HTML file, and SVGs");
  report_app->add_option("FILE", arguments->files, "result files")->required();
  report_app->add_option("-o,--out", arguments->out, "the HTML file");
  report_app->add_option("--svg", arguments->svg, "a directory for SVGs");
  report_app->callback([arguments, &exit_code] {
    if (arguments->out.empty() && arguments->svg.empty())
      throw std::invalid_argument("report: expected -o FILE.html, --svg DIRECTORY, or both");
    exit_code = report(arguments->files, arguments->out, arguments->svg);
  });
}

struct FitArguments {
  std::vector<std::string> files;
  std::vector<std::string> references;
  std::string bars;
};

// Returns 1 if a curve exceeds its bar.
int fit_command(const FitArguments& arguments) {
  const Bars bars = arguments.bars.empty() ? Bars{} : read_bars(arguments.bars);
  const auto& given = arguments.references;
  const std::vector<nlohmann::json> fits =
      print_fit(arguments.files, given.empty() ? published_curves() : given, std::cout);
  const std::vector<std::string> broken = broken_bars(fits, bars);
  for (const std::string& line : broken) std::cerr << "faultline: bar broken: " << line << '\n';
  return broken.empty() ? 0 : 1;
}

void add_fit(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<FitArguments>();
  CLI::App* fit =
      app.add_subcommand("fit",
                         "shows how far simulated results are from published curves; exit code 1 "
                         "if a curve exceeds its bar");
  fit->add_option("FILE", arguments->files, "results of `faultline sim`")->required();
  fit->add_option("--reference", arguments->references,
                  "a file of published curves; may be repeated; all of the project's if not given")
      ->allow_extra_args(false);
  fit->add_option("--bars", arguments->bars,
                  "a file with the greatest mean error of each curve, as results/bars has them");
  fit->callback([arguments, &exit_code] { exit_code = fit_command(*arguments); });
}

void add_answers(CLI::App& app, int& exit_code) {
  auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* answers = app.add_subcommand(
      "answers", "answers questions that people argued over, such as those of 2019, from results");
  answers
      ->add_option("FILE", *files,
                   "result files, native or simulated, such as those of suite lwn-2019")
      ->required();
  answers->callback([files, &exit_code] {
    if (!print_answers_of(*files, std::cout))
      throw std::invalid_argument(
          "answers: no comparison has its cases in these files, expected results of suite "
          "lwn-2019 (`faultline run --suite lwn-2019`, `faultline sim --suite lwn-2019`)");
    exit_code = 0;
  });
}

void add_recover(CLI::App& app, int& exit_code) {
  struct Arguments {
    std::string journal;
    std::string out;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* recover_app =
      app.add_subcommand("recover", "makes the result file of a killed run from its journal");
  recover_app
      ->add_option("JOURNAL", arguments->journal,
                   "FILE.json.journal, in the folder of the missing result")
      ->required();
  recover_app->add_option("-o,--out", arguments->out,
                          "the result file; the journal's name without .journal if not given");
  recover_app->callback([arguments, &exit_code] {
    const std::string out =
        arguments->out.empty() ? result_name(arguments->journal) : arguments->out;
    print_summary(std::cout, recover(arguments->journal, out));
    std::cout << "results: " << out << '\n';
    exit_code = 0;
  });
}

}  // namespace

void add_results_commands(CLI::App& app, int& exit_code) {
  add_compare(app, exit_code);
  add_report(app, exit_code);
  add_fit(app, exit_code);
  add_answers(app, exit_code);
  add_recover(app, exit_code);
}

void add_record_command(CLI::App& app, int& exit_code) {
  auto request = std::make_shared<RecordRequest>();
  CLI::App* record_app = app.add_subcommand(
      "record",
      "records page faults and address-space calls of a real program, for replay:file=PATH");
  record_app->add_option("-o,--out", request->output, "the trace; compressed if it ends in .xz")
      ->required();
  record_app->add_option("COMMAND", request->command, "after --: the program and its arguments")
      ->required();
  record_app->callback([request, &exit_code] { exit_code = record(*request); });
}

void add_doctor_command(CLI::App& app, int& exit_code) {
  app.add_subcommand("doctor", "shows what would spoil a measurement here, and how to mend it")
      ->callback([&exit_code] { exit_code = print_doctor(std::cout); });
}

void add_trial_commands(CLI::App& app, int& exit_code) {
  app.add_subcommand("trial", "runs one trial, whose spec it reads from standard input")
      ->group("")
      ->callback([&exit_code] { exit_code = run_trial_command(); });
  struct Arguments {
    std::string placement;
    u32 threads = 0;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* check =
      app.add_subcommand("check-placement", "pins threads and says where they and their pages are")
          ->group("");
  check->add_option("PLACEMENT", arguments->placement)->required();
  check->add_option("THREADS", arguments->threads, "0: one for each usable CPU");
  check->callback([arguments, &exit_code] {
    exit_code = check_placement(arguments->placement, arguments->threads, std::cout);
  });
}

}  // namespace faultline
