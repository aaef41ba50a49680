#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <tuple>

#include "harness/check/common/excuses.hpp"
#include "harness/check/common/hunt.hpp"
#include "harness/check/common/pool.hpp"
#include "locks/catalogue.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

constexpr usize most_sites = 512;
constexpr u64 most_for_sites = 5'000;  // executions of a program

json sites_of(const Checked& checked, const CheckOptions& options) {
  std::vector<Site> sites;
  sites.reserve(most_sites);
  for (const Stage& stage : hunt_stages(checked, false, options.seed))
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

Site site_of(const json& entry) {
  // The set is never destroyed, since a Site points to its file's name.
  static std::set<std::string> files;
  return {files.insert(entry[0].get<std::string>()).first->c_str(), entry[1].get<u32>(),
          entry[2].get<u32>(), static_cast<SiteKind>(entry[3].get<int>()),
          static_cast<Order>(entry[4].get<int>())};
}

// Whether the site belongs to the structures of address spaces. Only a scheme uses all of these
// structures. For example, readers under RCU walk the tree of an address space, but not the tree of
// a range lock.
bool is_of_spaces(const Site& site) {
  const std::string_view file = short_name(site.file);
  return file.starts_with("locks/address_space/") || file.starts_with("locks/vmas/") ||
         file == "locks/rbtree.hpp";
}

std::string_view entry_name(const Checked& checked) {
  const std::string_view name = checked.name;
  return name.substr(0, name.find(':'));
}
bool is_over_another(const Checked& checked) {
  const Entry* entry = find_entry(lock_families, entry_name(checked));
  if (entry == nullptr) return false;
  return std::any_of(entry->options.begin(), entry->options.end(), [](const Option& option) {
    return option.key != nullptr && option.key == std::string_view("over");
  });
}
bool is_own_file(std::string_view file, const Checked& checked) {
  return file.ends_with("/" + std::string(entry_name(checked)) + ".hpp");
}

// Of the sites that `checked` reaches, those in locks/ are on trial, without the sites of its
// parts: the locks inside a scheme, and those under another lock, have trials of their own, and the
// schemes try the structures of address spaces. A wake-up is on trial with every lock that reaches
// it.
bool is_on_trial(const Site& site, const Checked& checked) {
  const std::string_view file = short_name(site.file);
  if (!file.starts_with("locks/")) return false;
  if (site.kind == SiteKind::wake) return true;
  if (checked.family == Family::tree) return file.starts_with("locks/vmas/");
  if (checked.family != Family::space)
    return !is_of_spaces(site) && (!is_over_another(checked) || is_own_file(file, checked));
  return !file.starts_with("locks/mutex/") && !file.starts_with("locks/shared/") &&
         !file.starts_with("locks/range/");
}

struct Trial {
  std::vector<const Checked*> locks;  // these are searched until one fails
  Weakening weakening;
};

// Whether `checked` is a scheme, not an ablation of one, whose orders Relacy explores.
bool is_modelled_scheme(const Checked& checked) {
  return checked.family == Family::space && checked.make != nullptr && !checked.is_ablation();
}

// The sites that each of the chosen locks reaches.
std::vector<json> find_sites(const CheckOptions& options) {
  std::vector<std::function<std::string()>> jobs;
  for (const Checked* checked : options.chosen)
    jobs.push_back([checked, &options] { return sites_of(*checked, options).dump(); });
  std::vector<json> found(jobs.size());
  const int stopped_by =
      run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
        if (!answer.text)
          throw std::runtime_error(fmt::format("check: {}: {} while its sites were collected",
                                               options.chosen[job]->name, answer.reason));
        found[job] = json::parse(*answer.text);
      });
  end_early(stopped_by, "while the sites were collected; no weakening was tried");
  return found;
}

// The first lock that reaches a site is the simplest that does. Schemes use a structure of address
// spaces differently. So a site in such a structure is searched with every scheme, even one that
// was not chosen.
std::vector<const Checked*> locks_for(const Site& site, const Checked& first) {
  std::vector<const Checked*> locks = {&first};
  if (is_of_spaces(site) && first.family == Family::space)
    for (const Checked& checked : checked_list())
      if (is_modelled_scheme(checked) && &checked != &first) locks.push_back(&checked);
  return locks;
}

std::string example_of(const std::vector<json>& found) {
  for (const json& sites : found)
    for (const json& entry : sites)
      if (const std::string text = to_string(site_of(entry)); text.starts_with("locks/"))
        return text;
  return "none: these locks have no site";
}

std::vector<Trial> trials_of(const CheckOptions& options) {
  const std::vector<json> found = find_sites(options);
  std::vector<Trial> trials;
  for (usize i = 0; i < found.size(); ++i)
    for (const json& entry : found[i]) {
      const Site site = site_of(entry);
      if (!to_string(site).starts_with(options.at)) continue;
      const bool is_known = std::any_of(trials.begin(), trials.end(), [&](const Trial& trial) {
        return trial.weakening.site == site;
      });
      if (is_known || !is_on_trial(site, *options.chosen[i])) continue;
      for (const Weakening& weakening : weakenings_of(site))
        trials.push_back({locks_for(site, *options.chosen[i]), weakening});
    }
  if (trials.empty() && !options.at.empty())
    throw std::invalid_argument(fmt::format(
        "--at '{}': no memory order of the chosen locks stands there, expected the beginning of a "
        "site's text, for example {}",
        options.at, example_of(found)));
  return trials;
}

// Searches one lock after the other until one fails.
json hunt(const Trial& trial, const CheckOptions& options) {
  u64 executions = 0;
  for (const Checked* lock : trial.locks) {
    json found = hunt(*lock, &trial.weakening, options);
    executions += found["executions"].get<u64>();
    if (!found.contains("caught")) continue;
    found["executions"] = executions;
    found["lock"] = lock->name;
    return found;
  }
  return {{"executions", executions}, {"lock", trial.locks.back()->name}};
}

Hunts run_trials(const std::vector<Trial>& trials, const CheckOptions& options) {
  std::vector<std::function<std::string()>> jobs;
  for (const Trial& trial : trials)
    jobs.push_back([&trial, &options] { return hunt(trial, options).dump(); });
  return run_hunts(jobs, options.at_once);
}

void print_trial(const Trial& trial, const Verdict& verdict, const Excuse* excuse) {
  const std::string reason = excuse == nullptr ? "" : fmt::format("; {}", name_of(excuse->reason));
  fmt::print("  {:<9} {:<15} {:<68} {}{}\n",
             verdict.caught      ? "caught"
             : excuse != nullptr ? "excused"
                                 : "SURVIVES",
             verdict.lock.empty() ? trial.locks.front()->name : verdict.lock,
             to_string(trial.weakening), verdict.text, reason);
}

}  // namespace

int check_weakened(const CheckOptions& options) {
  const std::vector<Excuse> excuses = excuses_in_locks();
  const std::vector<Trial> trials = trials_of(options);
  const Hunts hunts = run_trials(trials, options);
  std::vector<Tried> tried;
  std::vector<usize> places;  // of the tried ones in `trials`
  for (usize i = 0; i < trials.size(); ++i) {
    if (!hunts.verdicts[i].tried) continue;
    tried.push_back({trials[i].weakening, hunts.verdicts[i].caught});
    places.push_back(i);
  }
  const bool tried_all = options.at.empty() && options.chosen.size() == checked_list().size() &&
                         places.size() == trials.size();
  Judgement judgement = judge(excuses, tried, tried_all);
  fmt::print("orders weakened one step, and wake-ups dropped\n");
  usize caught = 0, excused = 0;
  for (usize i = 0; i < places.size(); ++i) {
    const Excuse* excuse = judgement.excuse_of[i];
    const Verdict& verdict = hunts.verdicts[places[i]];
    print_trial(trials[places[i]], verdict, excuse);
    caught += verdict.caught ? 1 : 0;
    excused += excuse != nullptr ? 1 : 0;
  }
  fmt::print("{} of {} caught, {} excused\n{}", caught, places.size(), excused, untried(hunts));
  if (hunts.stopped_by != 0) {
    // What an excuse covers may be among the sites that were not tried.
    judgement.errors.clear();
    fmt::print("whether the excuses are right was not judged\n");
  }
  for (const std::string& error : judgement.errors) fmt::print("WRONG EXCUSE {}\n", error);
  const bool all_told = !trials.empty() && caught + excused == places.size();
  if (!all_told || !judgement.errors.empty()) return 1;
  end_by(hunts.stopped_by);
  return 0;
}

}  // namespace faultline::check
