#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/check/plan.hpp"
#include "harness/check/pool.hpp"
#include "harness/check/report.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

constexpr usize most_sites = 512;

// The stages of a search for a flaw: shorter than those that are to complete.
std::vector<Stage> hunt_of(const Checked& checked, bool deep) {
  std::vector<Stage> hunt = stages_of(checked, false);
  for (Stage& stage : hunt) {
    stage.limits.seconds = std::min(stage.limits.seconds, deep ? 60.0 : 1.0);
    stage.limits.seconds_for_shorter = 0;
  }
  // Random search first reaches what is deep, and soon.
  std::rotate(hunt.begin(), hunt.end() - 1, hunt.end());
  return hunt;
}

// Until the first failure.
json hunt(const Checked& checked, const Mutation* mutation, bool deep) {
  u64 executions = 0;
  for (const Stage& stage : hunt_of(checked, deep))
    for (const Program& program : stage.programs) {
      const Outcome outcome = explore(checked, program, stage.options, stage.limits, mutation);
      executions += outcome.executions;
      if (outcome.failure)
        return {{"executions", executions},
                {"caught", outcome.failure->what},
                {"program", stage.what + ": " + to_string(program)}};
    }
  return {{"executions", executions}};
}

json sites_of(const Checked& checked) {
  std::vector<Site> sites;
  sites.reserve(most_sites);
  for (const Stage& stage : hunt_of(checked, false))
    for (const Program& program : stage.programs) {
      SearchLimits limits = stage.limits;
      limits.seconds = 0.2;
      explore(checked, program, stage.options, limits, nullptr, &sites);
    }
  json answer = json::array();
  for (const Site& site : sites)
    answer.push_back({site.file, site.line, site.column, static_cast<int>(site.kind),
                      static_cast<int>(site.order)});
  return answer;
}

// The locks' own: what the checker's programs and broken locks contribute is not on trial.
bool is_on_trial(const Site& site) {
  return std::strstr(site.file, "locks/") != nullptr;
}

struct Trial {
  const Checked* checked;
  Mutation mutation;
};

std::vector<Trial> trials_of(const CheckOptions& options, std::vector<std::string>& files) {
  std::vector<std::function<std::string()>> jobs;
  for (const Checked* checked : options.chosen)
    jobs.push_back([checked] { return sites_of(*checked).dump(); });
  std::vector<json> found(jobs.size());
  run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
    if (answer.text) found[job] = json::parse(*answer.text);
  });
  files.reserve(jobs.size() * most_sites);
  std::vector<Trial> trials;
  for (usize i = 0; i < found.size(); ++i)
    for (const json& entry : found[i]) {
      files.push_back(entry[0].get<std::string>());
      const Site site{files.back().c_str(), entry[1].get<u32>(), entry[2].get<u32>(),
                      static_cast<SiteKind>(entry[3].get<int>()),
                      static_cast<Order>(entry[4].get<int>())};
      if (!is_on_trial(site)) continue;
      for (const Mutation& mutation : mutations_of(site))
        trials.push_back({options.chosen[i], mutation});
    }
  std::stable_sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) {
    return a.checked == b.checked && to_string(a.mutation) < to_string(b.mutation);
  });
  return trials;
}

struct Verdict {
  bool caught = false;
  std::string text;
};

Verdict verdict_of(const Answer& answer) {
  if (!answer.text) return {true, answer.reason};
  const json found = json::parse(*answer.text);
  const u64 executions = found["executions"].get<u64>();
  if (!found.contains("caught")) return {false, fmt::format("{} executions", executions)};
  return {true,
          fmt::format("{} executions, {} in {}", executions, found["caught"].get<std::string>(),
                      found["program"].get<std::string>())};
}

std::vector<Verdict> run_hunts(const std::vector<std::function<std::string()>>& jobs,
                               usize at_once) {
  std::vector<Verdict> verdicts(jobs.size());
  run_in_children(jobs, at_once,
                  [&](usize job, const Answer& answer) { verdicts[job] = verdict_of(answer); });
  return verdicts;
}

bool check_broken(const CheckOptions& options) {
  std::vector<std::function<std::string()>> jobs;
  std::vector<const Checked*> locks;
  for (const auto* list : {&control_list(), &mutant_list()})
    for (const Checked& checked : *list) {
      locks.push_back(&checked);
      jobs.push_back(
          [&checked, deep = options.deep] { return hunt(checked, nullptr, deep).dump(); });
    }
  const std::vector<Verdict> verdicts = run_hunts(jobs, options.at_once);
  bool as_expected = true;
  fmt::print("\nbroken by hand, and their controls\n");
  for (usize i = 0; i < locks.size(); ++i) {
    const bool control = i < control_list().size();
    as_expected &= verdicts[i].caught != control;
    fmt::print("  {:<9} {:<26} {}\n",
               verdicts[i].caught ? "caught"
               : control          ? "sound"
                                  : "SURVIVES",
               locks[i]->name, verdicts[i].text);
  }
  return as_expected;
}

}  // namespace

int check_mutants(const CheckOptions& options) {
  std::vector<std::string> files;
  const std::vector<Trial> trials = trials_of(options, files);
  std::vector<std::function<std::string()>> jobs;
  for (const Trial& trial : trials)
    jobs.push_back([&trial, deep = options.deep] {
      return hunt(*trial.checked, &trial.mutation, deep).dump();
    });
  const std::vector<Verdict> verdicts = run_hunts(jobs, options.at_once);
  fmt::print("weakened one step, or dropped\n");
  usize caught = 0;
  for (usize i = 0; i < trials.size(); ++i) {
    caught += verdicts[i].caught ? 1 : 0;
    fmt::print("  {:<9} {:<18} {:<68} {}\n", verdicts[i].caught ? "caught" : "survives",
               trials[i].checked->name, to_string(trials[i].mutation), verdicts[i].text);
  }
  fmt::print("{} of {} caught\n", caught, trials.size());
  const bool as_expected = check_broken(options);
  return as_expected && !trials.empty() ? 0 : 1;
}

}  // namespace faultline::check
