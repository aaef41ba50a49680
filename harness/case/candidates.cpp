#include "harness/case/candidates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <stdexcept>
#include <tuple>

#include "harness/case/names.hpp"
#include "harness/trial/roles.hpp"

namespace faultline {
namespace {

// A filter as Google Benchmark reads it: a regular expression that must occur in the name. "-"
// before it negates it; "all" matches every name.
class NameFilter {
 public:
  explicit NameFilter(const std::string& text) : negative_(text.starts_with("-")) {
    const std::string pattern = negative_ ? text.substr(1) : text;
    try {
      expression_.assign(text.empty() || text == "all" ? "." : pattern);
    } catch (const std::regex_error&) {
      throw std::invalid_argument("--filter '" + text + "': expected a regular expression");
    }
  }
  bool matches(const std::string& name) const {
    return std::regex_search(name, expression_) != negative_;
  }

 private:
  bool negative_;
  std::regex expression_;
};

class Finder {
 public:
  Finder(const Selection& selection, const Topology& topology)
      : selection_(selection), topology_(topology), filter_(selection.filter) {}

  Candidates find() {
    for (const SuiteEntry& entry : selection_.entries) {
      check(entry);
      repetitions_ = entry.repetitions.value_or(selection_.repetitions);
      if (entry.placement)
        add_entry(entry, *entry.placement);
      else
        for (const std::string& placement : selection_.placements) add_entry(entry, placement);
      ++rank_;
    }
    if (groups_.empty()) refuse_nothing();
    for (auto& [key, group] : groups_) found_.groups.push_back(std::move(group));
    return std::move(found_);
  }

 private:
  // Stage, importance of the count, rank of the workload, and two texts that tell groups apart.
  using Key = std::tuple<Stage, usize, usize, std::string, std::string>;

  void check(const SuiteEntry& entry) {
    const Entry& info = workload_named(entry.workload).entry();
    require_own_name(entry.workload);
    if (entry.schemes.empty())
      throw std::invalid_argument("workload " + entry.workload +
                                  ": none of the selected schemes is for it, expected one at "
                                  "least (a lock, for lock_loop)");
    for (const std::string& scheme : entry.schemes) {
      const Chosen chosen = contestant_named(info, scheme);
      if (!selection_.defaults.simulated()) require_star(chosen, Layout::linux_6_18);
    }
    for (const Settings& settings : combinations(selection_.defaults.settings, entry.axes))
      check_settings(entry.workload, info, settings);
  }

  // Throws where two recordings would be one workload in the result, which names a recording by its
  // file without folders and extensions.
  void require_own_name(const std::string& workload) {
    CaseSpec spec;
    spec.workload = workload;
    const auto [known, fresh] = named_.emplace(spec.workload_name(), workload);
    if (!fresh && known->second != workload)
      throw std::invalid_argument(
          fmt::format("workload {}: the result would call it {}, as it calls {}, expected files "
                      "with different names",
                      workload, known->first, known->second));
  }

  void check_settings(const std::string& workload, const Entry& info, const Settings& settings) {
    if (settings.value("roles").empty() || info.roles) return;
    throw std::invalid_argument(
        fmt::format("roles for workload {}: expected a workload with faulters and updaters, such "
                    "as mix",
                    workload));
  }

  // Answers why the contestant is not compiled natively with the layout, or an empty string.
  static std::string not_compiled(const CaseSpec& spec, const Entry& workload) {
    if (spec.simulated()) return "";
    try {
      require_star(contestant_named(workload, spec.scheme), *layout_of(spec.value("layout")));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  }

  // The numbers that the entry or the user gives; empty where the machine's decide.
  const std::vector<u32>& given_counts(const SuiteEntry& entry) const {
    return entry.cpus.empty() ? selection_.threads : entry.cpus;
  }

  std::vector<u32> counts_for(const SuiteEntry& entry, const std::string& placement) {
    if (std::vector<u32> counts = given_counts(entry); !counts.empty()) {
      std::sort(counts.begin(), counts.end());
      counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
      return counts;
    }
    std::vector<u32> counts = topology_.thread_counts(placement);
    if (const u32 most = selection_.most_threads; most != 0)
      std::erase_if(counts, [most](u32 count) { return count > most; });
    // A recording's own number of threads replaces the machine's.
    const u32 limit = thread_limit(entry.workload);
    if (limit >= counts.back()) return counts;
    std::erase_if(counts, [&](u32 count) { return count >= limit; });
    counts.push_back(limit);
    return counts;
  }

  void add_entry(const SuiteEntry& entry, const std::string& placement) {
    std::vector<u32> counts = by_importance(counts_for(entry, placement));
    if (const u32 most = selection_.most_counts; most != 0 && given_counts(entry).empty())
      counts.resize(std::min<usize>(most, counts.size()));
    const std::vector<Settings> every = combinations(selection_.defaults.settings, entry.axes);
    for (usize order = 0; order < counts.size(); ++order)
      for (const Settings& settings : every) {
        CaseSpec spec = selection_.defaults;
        spec.duration_s = entry.duration_s.value_or(spec.duration_s);
        spec.warmup_s = std::max(spec.warmup_s, entry.warmup_s);
        spec.workload = entry.workload;
        spec.placement = placement;
        spec.threads = counts[order];
        spec.settings = settings;
        for (const std::string& scheme : entry.schemes) {
          spec.scheme = scheme;
          add_case(spec, order, counts);
        }
        add_ceiling(spec, order);
      }
  }

  void add_case(CaseSpec spec, usize order, const std::vector<u32>& counts) {
    const Entry& info = workload_named(spec.workload).entry();
    if (const std::string why = impossible(spec, info); !why.empty()) {
      // A scheme for one thread cannot run at other counts, and one thread cannot divide roles.
      // Neither is reported if the counts include one at which the scheme, or the roles, can run.
      const auto [fewest, most] = std::minmax_element(counts.begin(), counts.end());
      const bool alone = is_alone(spec) && *fewest == 1;
      const bool undivided = spec.threads == 1 && !spec.value("roles").empty() && *most > 1;
      if (!alone && !undivided)
        found_.impossible.push_back({fmt::format("{} on {} at {} thread(s)", spec.workload_name(),
                                                 spec.scheme, spec.threads),
                                     why});
      return;
    }
    const bool foremost = order == 0 || is_alone(spec);
    add(foremost ? Stage::most_threads : later_stage(spec), spec, order, repetitions_, 0);
    if (!foremost && selection_.budget_s > 0) return;
    // One process shows the shape of the tail. More processes show how it varies. Only the foremost
    // cases have their throughput before Stage::latency.
    const u32 latency = selection_.latency_repetitions;
    if (foremost) add(Stage::latency, spec, 0, 0, std::min(latency, 1U));
    if (!foremost || latency > 1) add(Stage::more_latency, spec, 0, 0, latency);
  }

  Stage later_stage(const CaseSpec& spec) const {
    if (rank_ == 0) return spec.threads == 1 ? Stage::first_ends : Stage::first_curve;
    return spec.threads == 1 ? Stage::one_thread : Stage::other_threads;
  }

  void add_ceiling(CaseSpec spec, usize order) {
    const Entry& info = workload_named(spec.workload).entry();
    // At one thread the ceiling is `none` itself.
    if (!selection_.ceiling || spec.is_on("private") || spec.threads == 1 || info.needs_peers ||
        info.needs_files || !spec.value("roles").empty())
      return;
    spec.scheme = "none";
    spec.settings.turn_on("private");
    const bool first = rank_ == 0;
    const Stage stage = order == 0 ? (first ? Stage::first_ends : Stage::ceilings)
                                   : (first ? Stage::first_curve : Stage::other_threads);
    add(stage, spec, order, repetitions_, 0);
  }

  // Whether the scheme runs one thread, whatever count is asked for.
  static bool is_alone(const CaseSpec& spec) {
    return scheme_or_lock_named(spec.scheme).max_threads() == 1 && !spec.is_on("private") &&
           !workload_named(spec.workload).entry().bare;
  }

  // Called once per workload, since the answer may need a whole recording to be read.
  u32 thread_limit(const std::string& workload) {
    const auto [known, fresh] = limits_.try_emplace(workload, ~u32{0});
    if (!fresh) return known->second;
    if (const u32 limit = workload_named(workload).max_threads(); limit != 0) known->second = limit;
    return known->second;
  }

  // Answers why the case cannot run, or an empty string.
  std::string impossible(const CaseSpec& spec, const Entry& info) {
    if (const u32 limit = thread_limit(spec.workload); spec.threads > limit)
      return fmt::format("the recording has {} thread(s)", limit);
    if (!spec.value("roles").empty()) {
      if (spec.threads < 2) return "roles need two threads at least";
      try {
        assign_roles(spec.value("roles"), spec.threads);
      } catch (const std::invalid_argument& error) {
        return error.what();
      }
    }
    if (const std::string why = not_compiled(spec, info); !why.empty()) return why;
    if (info.needs_lock) return spec.is_on("private") ? "a bare lock has no address space" : "";
    const Entry& scheme = scheme_named(spec.scheme).entry();
    if (info.needs_files && !scheme.kernel) return "it needs files, which scheme linux alone has";
    if (spec.is_on("private") && (info.needs_peers || !scheme.can_be_private))
      return "it cannot have one address space for each thread";
    if (!spec.is_on("private") && !info.bare && scheme.max_threads != 0 &&
        spec.threads > scheme.max_threads)
      return fmt::format("scheme {} is for {} thread", spec.scheme, scheme.max_threads);
    return {};
  }

  void add(Stage stage, CaseSpec spec, usize order, u32 repetitions, u32 latency_repetitions) {
    if (repetitions + latency_repetitions == 0) return;
    ++possible_;
    if (!filter_.matches(spec.name())) return;
    spec.cpus = topology_.place(spec.placement, spec.threads);
    spec.oversubscribed = topology_.oversubscribed(spec.placement, spec.threads);
    Group& group =
        groups_[Key{stage, order, rank_, spec.placement, std::to_string(spec.is_on("private"))}];
    group.stage = stage;
    group.order = order;
    group.threads = spec.threads;
    group.cases.push_back({std::move(spec), repetitions, latency_repetitions});
  }

  [[noreturn]] void refuse_nothing() const {
    if (possible_ != 0)
      throw NothingMatches(
          fmt::format("--filter '{}': matches none of the selection's cases, expected one at "
                      "least (--list-cases shows them)",
                      selection_.filter));
    if (found_.impossible.empty())
      throw std::invalid_argument("the selection: empty, expected one case at least");
    const LeftOut& first = found_.impossible.front();
    throw std::invalid_argument("the selection: " + first.what + ": " + first.why +
                                ", expected one case at least that can run");
  }

  const Selection& selection_;
  const Topology& topology_;
  std::map<std::string, std::string> named_;  // the workload of each name in the result
  const NameFilter filter_;
  usize rank_ = 0;
  u32 repetitions_ = 0;  // of each case of the entry
  usize possible_ = 0;
  std::map<std::string, u32> limits_;
  std::map<Key, Group> groups_;
  Candidates found_;
};

}  // namespace

Candidates find_candidates(const Selection& selection, const Topology& topology) {
  return Finder(selection, topology).find();
}

std::vector<u32> by_importance(const std::vector<u32>& counts) {
  std::vector<u32> rest = counts;
  std::vector<u32> ordered;
  const auto distance = [&](u32 count) {
    double nearest = INFINITY;
    for (u32 other : ordered)
      nearest = std::min(nearest, std::abs(std::log2(static_cast<double>(count) / other)));
    return nearest;
  };
  while (!rest.empty()) {
    const auto farthest =
        ordered.empty() ? std::max_element(rest.begin(), rest.end())
                        : std::max_element(rest.begin(), rest.end(),
                                           [&](u32 a, u32 b) { return distance(a) < distance(b); });
    ordered.push_back(*farthest);
    rest.erase(farthest);
  }
  return ordered;
}

}  // namespace faultline
