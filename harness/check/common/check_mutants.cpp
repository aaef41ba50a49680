#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "harness/check/common/plan.hpp"
#include "harness/check/common/pool.hpp"
#include "harness/check/common/report.hpp"
#include "results/data_files.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

constexpr usize most_sites = 512;
constexpr u64 most_for_sites = 5'000;  // executions of a program

// The stages of a search for a flaw: those that are soon through first, and none until the end. By
// executions, so that a slow machine finds what a fast one does.
std::vector<Stage> hunt_of(const Checked& checked, bool deep, u64 seed) {
  std::vector<Stage> hunt = stages_of(checked, false, seed);
  for (Stage& stage : hunt) {
    stage.limits.seconds = 600;
    const bool is_slow =
        checked.family == Family::space && stage.options.search != Search::priorities;
    const u64 most = deep ? 5'000'000 : is_slow ? 2'000 : 30'000;
    stage.limits.executions = std::min(stage.limits.executions, most);
    stage.limits.seconds_for_shorter = 0;
  }
  const auto rank = [](const Stage& stage) {
    const Search search = stage.options.search;
    if (search == Search::random || search == Search::priorities) return 0;
    return stage.options.light ? 1 : 2;
  };
  std::stable_sort(hunt.begin(), hunt.end(),
                   [&](const Stage& a, const Stage& b) { return rank(a) < rank(b); });
  return hunt;
}

// Until the first failure.
json hunt(const Checked& checked, const Mutation* mutation, const CheckOptions& options) {
  const bool is_order = mutation != nullptr && mutation->site.kind != SiteKind::wake;
  u64 executions = 0;
  for (const Stage& stage : hunt_of(checked, options.deep, options.seed)) {
    if (is_order && stage.options.search == Search::priorities) continue;
    for (const Program& program : stage.programs) {
      const Outcome outcome = explore(checked, program, stage.options, stage.limits, mutation);
      executions += outcome.executions;
      if (outcome.failure)
        return {{"executions", executions},
                {"caught", outcome.failure->what},
                {"program", stage.what + ": " + to_string(program)}};
    }
  }
  return {{"executions", executions}};
}

json sites_of(const Checked& checked, const CheckOptions& options) {
  std::vector<Site> sites;
  sites.reserve(most_sites);
  for (const Stage& stage : hunt_of(checked, false, options.seed))
    for (const Program& program : stage.programs) {
      SearchLimits limits = stage.limits;
      limits.executions = std::min(limits.executions, most_for_sites);
      explore(checked, program, stage.options, limits, nullptr, &sites);
    }
  std::sort(sites.begin(), sites.end(), [](const Site& a, const Site& b) {
    const int files = std::strcmp(a.file, b.file);
    return files != 0 ? files < 0 : std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  json answer = json::array();
  for (const Site& site : sites)
    answer.push_back({site.file, site.line, site.column, static_cast<int>(site.kind),
                      static_cast<int>(site.order)});
  return answer;
}

// The locks' own: what the checker's programs and broken locks contribute is not on trial. A scheme
// stands for the orders of what is its alone: the locks inside it are tried by themselves.
bool is_on_trial(const Site& site, const Checked& checked) {
  const std::string_view file = short_name(site.file);
  if (!file.starts_with("locks/")) return false;
  if (checked.family != Family::space || site.kind == SiteKind::wake) return true;
  return !file.starts_with("locks/mutex/") && !file.starts_with("locks/shared/") &&
         !file.starts_with("locks/range/");
}

struct Trial {
  std::vector<const Checked*> locks;  // that come by the site
  Mutation mutation;
};

Site site_of(const json& entry) {
  // Kept for good: a Site points to its file's name.
  static std::set<std::string> files;
  return {files.insert(entry[0].get<std::string>()).first->c_str(), entry[1].get<u32>(),
          entry[2].get<u32>(), static_cast<SiteKind>(entry[3].get<int>()),
          static_cast<Order>(entry[4].get<int>())};
}

// A scheme, no ablation of one, whose orders Relacy explores.
bool is_scheme(const Checked& checked) {
  return checked.family == Family::space && checked.make != nullptr && !checked.is_ablation();
}

// Part of what address spaces are made of: each scheme asks other things of it, as readers under
// RCU do of a tree.
bool is_of_spaces(const Site& site) {
  return short_name(site.file).starts_with("locks/address_space/");
}

// Each site with the first lock of the list that comes by it, the simplest that does.
std::vector<Trial> trials_of(const CheckOptions& options) {
  std::vector<std::function<std::string()>> jobs;
  for (const Checked* checked : options.chosen)
    jobs.push_back([checked, &options] { return sites_of(*checked, options).dump(); });
  std::vector<json> found(jobs.size());
  run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
    if (answer.text) found[job] = json::parse(*answer.text);
  });
  std::vector<Trial> trials;
  for (usize i = 0; i < found.size(); ++i)
    for (const json& entry : found[i]) {
      const Site site = site_of(entry);
      if (!is_on_trial(site, *options.chosen[i])) continue;
      bool known = false;
      for (Trial& trial : trials) {
        if (!(trial.mutation.site == site)) continue;
        known = true;
        if (is_of_spaces(site) && is_scheme(*options.chosen[i]))
          trial.locks.push_back(options.chosen[i]);
      }
      if (known) continue;
      for (const Mutation& mutation : mutations_of(site))
        trials.push_back({{options.chosen[i]}, mutation});
    }
  return trials;
}

// Until one of the locks fails.
json hunt(const Trial& trial, const CheckOptions& options) {
  u64 executions = 0;
  for (const Checked* lock : trial.locks) {
    json found = hunt(*lock, &trial.mutation, options);
    executions += found["executions"].get<u64>();
    if (!found.contains("caught")) continue;
    found["executions"] = executions;
    found["lock"] = lock->name;
    return found;
  }
  return {{"executions", executions}, {"lock", trial.locks.back()->name}};
}

// Whether the comment above the site says why a weaker order survives there.
bool is_explained(const Site& site) {
  std::ifstream stream(data_file("source") / short_name(site.file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line) && lines.size() < site.line;)
    lines.push_back(line);
  bool in_comment = false;
  for (usize above = 1; above < lines.size() && above <= 16; ++above) {
    const std::string& line = lines[lines.size() - 1 - above];
    const bool comment = line.find_first_not_of(' ') == line.find("//");
    if (comment && line.find("survives") != std::string::npos) return true;
    if (in_comment && !comment) return false;
    in_comment = comment;
  }
  return false;
}

struct Verdict {
  bool caught = false;
  std::string text;
  std::string lock = {};  // the last that was tried; empty where the process crashed
};

Verdict verdict_of(const Answer& answer) {
  if (!answer.text) return {true, answer.reason};
  const json found = json::parse(*answer.text);
  const u64 executions = found["executions"].get<u64>();
  const std::string lock = found.value("lock", "");
  if (!found.contains("caught")) return {false, fmt::format("{} executions", executions), lock};
  return {true,
          fmt::format("{} executions, {} in {}", executions, found["caught"].get<std::string>(),
                      found["program"].get<std::string>()),
          lock};
}

std::vector<Verdict> run_hunts(const std::vector<std::function<std::string()>>& jobs,
                               usize at_once) {
  std::vector<Verdict> verdicts(jobs.size());
  run_in_children(jobs, at_once,
                  [&](usize job, const Answer& answer) { verdicts[job] = verdict_of(answer); });
  return verdicts;
}

bool check_weakened(const CheckOptions& options) {
  const std::vector<Trial> trials = trials_of(options);
  std::vector<std::function<std::string()>> jobs;
  for (const Trial& trial : trials)
    jobs.push_back([&trial, &options] { return hunt(trial, options).dump(); });
  const std::vector<Verdict> verdicts = run_hunts(jobs, options.at_once);
  fmt::print("weakened one step, or dropped\n");
  usize caught = 0, explained = 0;
  for (usize i = 0; i < trials.size(); ++i) {
    const Mutation& mutation = trials[i].mutation;
    const bool told = !verdicts[i].caught && is_explained(mutation.site);
    caught += verdicts[i].caught ? 1 : 0;
    explained += told ? 1 : 0;
    fmt::print("  {:<9} {:<15} {:<68} {}\n",
               verdicts[i].caught ? "caught"
               : told             ? "explained"
                                  : "SURVIVES",
               verdicts[i].lock.empty() ? trials[i].locks.front()->name : verdicts[i].lock,
               to_string(mutation), verdicts[i].text);
  }
  fmt::print("{} of {} caught, {} survive as their header explains\n", caught, trials.size(),
             explained);
  return !trials.empty() && caught + explained == trials.size();
}

struct Broken {
  Checked checked;
  bool sound = false;  // a control
};

// Whether a lock that is broken by hand stands for that one: it is of its kind, or of the scheme's
// own name.
bool stands_for(const Checked& broken, const Checked& lock) {
  if (broken.family != lock.family) return false;
  const auto scheme_of = [](const Checked& one) {
    return std::string_view(one.name).substr(0, std::string_view(one.name).find(':'));
  };
  return lock.family != Family::space || scheme_of(broken) == "control" ||
         scheme_of(broken) == scheme_of(lock);
}

// What two searches can carry must be found out by each.
std::vector<Broken> broken_of(const CheckOptions& options) {
  std::vector<Broken> all;
  for (const auto* list : {&control_list(), &mutant_list()})
    for (const Checked& checked : *list) {
      if (std::none_of(options.chosen.begin(), options.chosen.end(),
                       [&](const Checked* one) { return stands_for(checked, *one); }))
        continue;
      const bool both = checked.make != nullptr && checked.make_space != nullptr;
      all.push_back({checked, list == &control_list()});
      if (!both) continue;
      all.push_back(all.back());
      all[all.size() - 2].checked.make = nullptr;
      all.back().checked.make_space = nullptr;
    }
  return all;
}

bool check_broken(const CheckOptions& options) {
  const std::vector<Broken> locks = broken_of(options);
  std::vector<std::function<std::string()>> jobs;
  for (const Broken& broken : locks)
    jobs.push_back([&] { return hunt(broken.checked, nullptr, options).dump(); });
  const std::vector<Verdict> verdicts = run_hunts(jobs, options.at_once);
  bool as_expected = true;
  fmt::print("\nbroken by hand, and their controls\n");
  for (usize i = 0; i < locks.size(); ++i) {
    const auto& [checked, sound] = locks[i];
    as_expected &= verdicts[i].caught != sound;
    fmt::print("  {:<9} {:<24} {}\n",
               verdicts[i].caught ? sound ? "FAILS" : "caught"
               : sound            ? "sound"
                                  : "SURVIVES",
               checked.name, verdicts[i].text);
  }
  return as_expected;
}

}  // namespace

int check_mutants(const CheckOptions& options) {
  const bool orders = check_weakened(options);
  const bool broken = check_broken(options);
  return orders && broken ? 0 : 1;
}

}  // namespace faultline::check
