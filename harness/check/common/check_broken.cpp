#include <fmt/format.h>

#include <algorithm>

#include "harness/check/common/hunt.hpp"
#include "harness/check/common/pool.hpp"

namespace faultline::check {
namespace {

struct Broken {
  Checked checked;
  bool sound = false;  // a control
};

// Whether a run on `lock` includes `broken`: both are of the same kind, and schemes have the same
// name before their options.
bool stands_for(const Checked& broken, const Checked& lock) {
  if (broken.family != lock.family) return false;
  const auto scheme_of = [](const Checked& one) {
    return std::string_view(one.name).substr(0, std::string_view(one.name).find(':'));
  };
  return lock.family != Family::space || scheme_of(broken) == "control" ||
         scheme_of(broken) == scheme_of(lock);
}

// A broken scheme is listed twice where both Relacy and PCT can explore it, since each must catch
// it.
std::vector<Broken> broken_of(const CheckOptions& options) {
  std::vector<Broken> all;
  for (const auto* list : {&control_list(), &broken_checked_list()})
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

}  // namespace

int check_broken(const CheckOptions& options) {
  const std::vector<Broken> locks = broken_of(options);
  std::vector<std::function<std::string()>> jobs;
  for (const Broken& broken : locks)
    jobs.push_back([&] { return hunt(broken.checked, nullptr, options).dump(); });
  const Hunts hunts = run_hunts(jobs, options.at_once);
  bool as_expected = true;
  fmt::print("broken by hand, of the kinds of the chosen locks, and sound controls\n");
  for (usize i = 0; i < locks.size(); ++i) {
    const Verdict& verdict = hunts.verdicts[i];
    if (!verdict.tried) continue;
    const auto& [checked, sound] = locks[i];
    as_expected &= verdict.caught != sound;
    fmt::print("  {:<9} {:<24} {}\n",
               verdict.caught ? sound ? "FAILS" : "caught"
               : sound        ? "sound"
                              : "SURVIVES",
               checked.name, verdict.text);
  }
  fmt::print("{}", untried(hunts));
  if (as_expected) end_by(hunts.stopped_by);
  return as_expected ? 0 : 1;
}

}  // namespace faultline::check
