// `faultline perturb`: what each constant of the modelled machines does to the curves of the
// ladder. A constant that moves nothing is not determined by any curve, and one that moves a single
// curve may have been fitted to it by accident.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "harness/case/machines.hpp"
#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/parse.hpp"
#include "harness/cli/run_arguments.hpp"
#include "harness/cli/work_folder.hpp"
#include "harness/sim/machine/machine.hpp"
#include "harness/sim/machine/perturbed.hpp"
#include "results/data_files.hpp"
#include "results/files.hpp"
#include "results/fit.hpp"
#include "results/shifts.hpp"
#include "results/writer.hpp"

namespace faultline {
namespace {

using nlohmann::json;

struct PerturbArguments {
  RunArguments run;
  std::string percent = "20";
  std::string only;  // the beginning of a constant's key
};

class Perturber {
 public:
  explicit Perturber(const PerturbArguments& arguments)
      : factor_(1 + static_cast<double>(parse_number("--by", arguments.percent, 1, 100)) / 100),
        only_(arguments.only),
        selection_(make_selection(arguments.run)),
        options_(make_run_options(arguments.run)),
        plan_(plan_machines(selection_)) {}

  int run() {
    const std::vector<json> before = simulate(plan_);
    for (const std::string& machine : modelled_machines(selection_)) perturb(machine, before);
    if (interrupts_.signal() != 0) return 128 + interrupts_.signal();
    fmt::print(
        "each constant times {:g}; for each rung: the curves that move by {:g} decades or more, of "
        "those simulated; the greatest shift of a curve; the change of the mean error\n",
        factor_, moved_from);
    std::fflush(stdout);
    print_shifts(std::cout, constants_);
    return 0;
  }

 private:
  void perturb(const std::string& machine, const std::vector<json>& before) {
    const std::string file =
        machine.ends_with(".json") ? machine : data_file("machines/" + machine + ".json").string();
    const json text = json::parse(read_text(file, "a machine file"));
    const auto all = sim::perturbed(text, factor_);
    for (usize i = 0; i < all.size() && interrupts_.signal() == 0; ++i) {
      if (!all[i].key.starts_with(only_)) continue;
      std::cerr << fmt::format("{}: constant {} of {}, {}\n", machine, i + 1, all.size(),
                               all[i].key);
      constants_.push_back(effect_of(machine, all[i], before));
    }
  }

  ShiftedConstant effect_of(const std::string& machine, const sim::PerturbedMachine& changed,
                            const std::vector<json>& before) {
    ShiftedConstant constant{machine, changed.key, changed.value, "", {}};
    if (changed.file.is_null()) {
      constant.why_not = "it is 0";
      return constant;
    }
    Plan plan;
    for (PlannedCase planned : plan_.cases) {
      if (planned.spec.machine != machine) continue;
      // The file has the machine's name, so that the cases keep theirs.
      planned.spec.machine = scratch_.file(planned.spec.machine_name() + ".json");
      plan.cases.push_back(std::move(planned));
    }
    const std::string& file = plan.cases.front().spec.machine;
    write_atomically(file, changed.file.dump());
    try {
      sim::Machine::load(file);
      constant.shifts = shifts_between(before, simulate(plan));
    } catch (const std::invalid_argument& error) {
      constant.why_not = error.what();
    }
    return constant;
  }

  // The fits of the plan's cases.
  std::vector<json> simulate(const Plan& plan) {
    const std::string path = scratch_.file("journal");
    Journal journal(path, sim_header("", options_.seed, {}, plan));
    run_plan(plan, options_, journal, interrupts_);
    journal.append({{"ended", true}});
    return fits_of({build_results(read_journal(path), path)["faultline"]}, published_curves());
  }

  const double factor_;
  const std::string only_;
  const Selection selection_;
  RunOptions options_;
  const Plan plan_;
  const WorkFolder scratch_{std::filesystem::temp_directory_path() / "faultline-perturb"};
  Interrupts interrupts_;
  std::vector<ShiftedConstant> constants_;
};

}  // namespace

void add_perturb_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<PerturbArguments>();
  CLI::App* perturb =
      app.add_subcommand("perturb",
                         "changes each constant of the modelled machines and shows which published "
                         "curves it moves");
  set_sim_defaults(arguments->run);
  arguments->run.suite = "ladder-points";
  perturb->add_option("--suite", arguments->run.suite, "the suite whose cases are simulated")
      ->capture_default_str();
  perturb->add_option("--by", arguments->percent, "by how many percent, 1 to 100, constants rise")
      ->capture_default_str();
  perturb->add_option("--only", arguments->only,
                      "only constants whose key begins so, such as latency.rmw");
  perturb->add_option("--processes", arguments->run.processes,
                      "simulations at once; by default one for each CPU of this machine");
  perturb->callback([arguments, &exit_code] { exit_code = Perturber(*arguments).run(); });
}

}  // namespace faultline
