#include "harness/check/common/hunt.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace faultline::check {

using nlohmann::json;

Verdict verdict_of(const Answer& answer) {
  if (!answer.text) return {true, true, answer.reason};
  const json found = json::parse(*answer.text);
  const u64 executions = found["executions"].get<u64>();
  const std::string lock = found.value("lock", "");
  if (!found.contains("caught"))
    return {true, false, fmt::format("{} executions", executions), lock};
  return {true, true,
          fmt::format("{} executions, {} in {}", executions, found["caught"].get<std::string>(),
                      found["program"].get<std::string>()),
          lock};
}

std::vector<Stage> hunt_stages(const Checked& checked, bool deep, u64 seed) {
  std::vector<Stage> stages = stages_of(checked, Extent::whole, seed);
  for (Stage& stage : stages) {
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
  std::stable_sort(stages.begin(), stages.end(),
                   [&](const Stage& a, const Stage& b) { return rank(a) < rank(b); });
  return stages;
}

json hunt(const Checked& checked, const Weakening* weakening, const CheckOptions& options,
          const std::function<void()>& before_program) {
  // PCT explores sequentially consistent executions, in which a weaker order changes nothing.
  const bool is_order = weakening != nullptr && weakening->site.kind != SiteKind::wake;
  u64 executions = 0;
  for (Stage stage : hunt_stages(checked, options.deep, options.seed)) {
    stage.limits.executions = std::min(stage.limits.executions, options.most_executions);
    if (is_order && stage.options.search == Search::priorities) continue;
    for (const Program& program : stage.programs) {
      before_program();
      const Outcome outcome = explore(checked, program, stage.options, stage.limits, weakening);
      executions += outcome.executions;
      if (outcome.failure)
        return {{"executions", executions},
                {"caught", outcome.failure->what},
                {"program", stage.what + ": " + to_string(program)}};
    }
  }
  return {{"executions", executions}};
}

Hunts run_hunts(const std::vector<std::function<std::string()>>& jobs, usize at_once) {
  Hunts hunts;
  hunts.verdicts.resize(jobs.size());
  hunts.stopped_by = run_in_children(jobs, at_once, [&](usize job, const Answer& answer) {
    hunts.verdicts[job] = verdict_of(answer);
  });
  return hunts;
}

std::string untried(usize left, usize all) {
  return left == 0 ? "" : fmt::format("stopped: {} of {} were not tried\n", left, all);
}

std::string untried(const Hunts& hunts) {
  const auto left = std::count_if(hunts.verdicts.begin(), hunts.verdicts.end(),
                                  [](const Verdict& one) { return !one.tried; });
  return untried(static_cast<usize>(left), hunts.verdicts.size());
}

}  // namespace faultline::check
