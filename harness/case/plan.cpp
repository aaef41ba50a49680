#include "harness/case/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

#include "harness/case/candidates.hpp"

namespace faultline {
namespace {

// The error that is allowed for the estimate, as a share of the budget.
constexpr double margin = 0.08;

const char* kind_of(const Group& group, const CaseSpec& spec) {
  if (group.stage == Stage::latency) return "latency";
  if (group.stage == Stage::more_latency) return "further latency trials";
  return spec.is_on("private") ? "the ceiling" : "throughput";
}

// Overhead by workload, interpolated between the fewest and the most threads.
class Costs {
 public:
  Costs(const Selection& selection, const Candidates& candidates) : selection_(selection) {
    if (selection.budget_s <= 0) return;
    for (const Group& group : candidates.groups)
      for (const PlannedCase& planned : group.cases) widen(planned.spec);
    for (auto& [workload, range] : ranges_) measure(range);
  }

  double spent_s() const { return spent_s_; }

  double trial_s(const CaseSpec& spec) const {
    const auto range = ranges_.find(spec.workload);
    const double overhead =
        range == ranges_.end() ? Overhead{}.seconds : interpolate(range->second, spec.threads);
    return spec.warmup_s + spec.duration_s + overhead;
  }

 private:
  struct Range {
    CaseSpec fewest;
    CaseSpec most;
    double at_fewest_s = 0;
    double at_most_s = 0;
  };

  void widen(const CaseSpec& spec) {
    const auto [range, fresh] = ranges_.try_emplace(spec.workload, Range{spec, spec});
    if (spec.threads < range->second.fewest.threads) range->second.fewest = spec;
    if (spec.threads > range->second.most.threads) range->second.most = spec;
  }

  void measure(Range& range) {
    const Overhead most = selection_.overhead(range.most);
    range.at_most_s = range.at_fewest_s = most.seconds;
    spent_s_ += most.spent_s;
    // On a small machine the two hardly differ, and each measurement costs time.
    if (range.most.threads < 4 * range.fewest.threads) return;
    const Overhead fewest = selection_.overhead(range.fewest);
    range.at_fewest_s = fewest.seconds;
    spent_s_ += fewest.spent_s;
  }

  static double interpolate(const Range& range, u32 threads) {
    if (range.most.threads == range.fewest.threads) return range.at_most_s;
    const double share = static_cast<double>(threads - range.fewest.threads) /
                         (range.most.threads - range.fewest.threads);
    return range.at_fewest_s + share * (range.at_most_s - range.at_fewest_s);
  }

  const Selection& selection_;
  std::map<std::string, Range> ranges_;
  double spent_s_ = 0;
};

class Planner {
 public:
  Planner(const Selection& selection, Candidates candidates)
      : selection_(selection), candidates_(std::move(candidates)), costs_(selection, candidates_) {
    plan_.left_out = candidates_.impossible;
    plan_.seconds = costs_.spent_s();
  }

  Plan make() {
    for (const Group& group : candidates_.groups) take(group);
    if (plan_.cases.empty()) refuse_budget();
    tell_drops();
    return std::move(plan_);
  }

 private:
  double cost_s(const PlannedCase& planned) const {
    return costs_.trial_s(planned.spec) * (planned.repetitions + planned.latency_repetitions);
  }
  bool fits(double seconds) const {
    return selection_.budget_s <= 0 ||
           plan_.seconds + seconds <= (1 - margin) * selection_.budget_s;
  }

  void take(const Group& group) {
    double together = 0;
    for (const PlannedCase& planned : group.cases) together += cost_s(more(planned));
    const bool whole = fits(together);
    for (const PlannedCase& planned : group.cases) {
      const bool taken =
          whole || (group.stage == Stage::most_threads && fits(cost_s(more(planned))));
      const bool timed = group.stage == Stage::latency || group.stage == Stage::more_latency;
      const bool bare =
          timed && !index_.contains(planned.spec.name()) && selection_.repetitions != 0;
      if (bare) continue;  // the throughput is left out already, and that entry says enough
      if (taken) {
        accept(planned);
      } else {
        const auto key =
            std::tuple{kind_of(group, planned.spec), planned.spec.workload_name(), group.threads};
        dropped_[key].push_back(planned.spec.scheme);
      }
    }
  }

  // The part of a case that is not taken yet, since a case that a suite names twice runs once.
  PlannedCase more(const PlannedCase& planned) const {
    const auto place = index_.find(planned.spec.name());
    if (place == index_.end()) return planned;
    const PlannedCase& known = plan_.cases[place->second];
    return {planned.spec, std::max(known.repetitions, planned.repetitions) - known.repetitions,
            std::max(known.latency_repetitions, planned.latency_repetitions) -
                known.latency_repetitions};
  }

  void accept(const PlannedCase& planned) {
    const PlannedCase added = more(planned);
    const auto [place, fresh] = index_.try_emplace(planned.spec.name(), plan_.cases.size());
    if (fresh) plan_.cases.push_back({planned.spec, 0, 0});
    plan_.seconds += cost_s(added);
    plan_.cases[place->second].repetitions += added.repetitions;
    plan_.cases[place->second].latency_repetitions += added.latency_repetitions;
  }

  [[noreturn]] void refuse_budget() const {
    const PlannedCase& first = candidates_.groups.front().cases.front();
    throw std::invalid_argument(
        fmt::format("budget {:g} s: not one case fits, expected {:.1f} s or more",
                    selection_.budget_s, (costs_.spent_s() + cost_s(first)) / (1 - margin)));
  }

  // Writes one line for all numbers of threads at which the same case is left out.
  void tell_drops() {
    std::map<std::tuple<std::string, std::string, std::string>, std::set<u32>> lines;
    for (const auto& [key, schemes] : dropped_) {
      const auto& [kind, workload, threads] = key;
      lines[{kind, workload, fmt::format("{}", fmt::join(schemes, ", "))}].insert(threads);
    }
    for (const auto& [key, threads] : lines) {
      const auto& [kind, workload, schemes] = key;
      const std::string where = kind == "the ceiling" ? "" : " on " + schemes;
      plan_.left_out.push_back({fmt::format("{} of {}{} at {} thread(s)", kind, workload, where,
                                            fmt::join(threads, ", ")),
                                fmt::format("budget of {:g} s", selection_.budget_s)});
    }
  }

  const Selection& selection_;
  const Candidates candidates_;
  const Costs costs_;
  std::map<std::string, usize> index_;
  std::map<std::tuple<std::string, std::string, u32>, std::vector<std::string>> dropped_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const Selection& selection, const Topology& topology) {
  return Planner(selection, find_candidates(selection, topology)).make();
}

usize Plan::trials() const {
  usize sum = 0;
  for (const PlannedCase& planned : cases) sum += planned.repetitions + planned.latency_repetitions;
  return sum;
}

nlohmann::json left_out_json(const std::vector<LeftOut>& left_out) {
  nlohmann::json entries = nlohmann::json::array();
  for (const LeftOut& entry : left_out)
    entries.push_back({{"what", entry.what}, {"why", entry.why}});
  return entries;
}

std::vector<LeftOut> LeftOutTrials::list() const {
  std::vector<LeftOut> entries;
  for (const auto& [which, trials] : trials_)
    entries.push_back({fmt::format("{} trial(s) of {}", trials, which.first), which.second});
  return entries;
}

}  // namespace faultline
