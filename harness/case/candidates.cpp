#include "harness/case/candidates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <stdexcept>
#include <tuple>

#include "harness/native/platform.hpp"
#include "harness/native/registry.hpp"
#include "harness/trial/roles.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

const WorkloadInfo& info_of(const std::string& workload) {
  const WorkloadInfo* info = find_workload<P>(workload);
  if (info == nullptr)
    throw std::invalid_argument("workload '" + workload +
                                "': expected one that `faultline list` names");
  return *info;
}

void require_scheme(const WorkloadInfo& info, const std::string& name) {
  if (info.needs_lock) {
    if (!visit_lock<P>(name, [](const auto&) {}))
      throw std::invalid_argument("lock '" + name +
                                  "' for lock_loop: expected one that `faultline list` names");
  } else if (find_scheme<P>(name) == nullptr) {
    throw std::invalid_argument("scheme '" + name + "': expected one that `faultline list` names");
  }
}

// Google Benchmark's reading of a filter: a regular expression to be found in the name, "-" before
// it turns it round, "all" is all.
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
      for (const std::string& placement : selection_.placements) add_entry(entry, placement);
      ++rank_;
    }
    if (groups_.empty()) refuse_nothing();
    for (auto& [key, group] : groups_) found_.groups.push_back(std::move(group));
    return std::move(found_);
  }

 private:
  // Stage, importance of the count, rank of the workload; and what else tells groups apart.
  using Key = std::tuple<Stage, usize, usize, std::string, std::string>;

  void check(const SuiteEntry& entry) {
    const WorkloadInfo& info = info_of(entry.workload);
    if (entry.schemes.empty())
      throw std::invalid_argument("workload " + entry.workload +
                                  ": none of the selected schemes is for it, expected one at "
                                  "least (a lock, for lock_loop)");
    for (const std::string& scheme : entry.schemes) require_scheme(info, scheme);
    make_workload<P>(entry.workload, entry.schemes.front(), 1);  // throws for bad parameters
    if (!entry.roles.empty() && !info.roles)
      throw std::invalid_argument(fmt::format(
          "roles for workload {}: expected a workload with faulters and updaters, such as mix",
          entry.workload));
  }

  std::vector<u32> counts_for(const SuiteEntry& entry, const std::string& placement) {
    if (!selection_.threads.empty()) {
      std::vector<u32> counts = selection_.threads;
      std::sort(counts.begin(), counts.end());
      counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
      return counts;
    }
    std::vector<u32> counts = topology_.thread_counts(placement);
    if (const u32 most = selection_.most_threads; most != 0)
      std::erase_if(counts, [most](u32 count) { return count > most; });
    // A recording's own number of threads stands in for the machine's.
    const u32 limit = thread_limit(entry.workload);
    if (limit >= counts.back()) return counts;
    std::erase_if(counts, [&](u32 count) { return count >= limit; });
    counts.push_back(limit);
    return counts;
  }

  void add_entry(const SuiteEntry& entry, const std::string& placement) {
    const std::vector<u32> counts = by_importance(counts_for(entry, placement));
    for (usize order = 0; order < counts.size(); ++order) {
      CaseSpec spec = selection_.defaults;
      spec.workload = entry.workload;
      spec.placement = placement;
      spec.threads = counts[order];
      spec.roles = entry.roles;
      for (const std::string& scheme : entry.schemes) {
        spec.scheme = scheme;
        add_case(spec, order, counts);
        if (order == 0 && selection_.every_option) add_options(spec);
      }
      add_ceiling(spec, order);
    }
  }

  void add_case(CaseSpec spec, usize order, const std::vector<u32>& counts) {
    const WorkloadInfo& info = info_of(spec.workload);
    if (const std::string why = impossible(spec, info); !why.empty()) {
      // One thread is all that some schemes and no roles are for, and it is among the counts.
      const bool expected = std::find(counts.begin(), counts.end(), 1U) != counts.end();
      if (!(expected && (is_alone(spec) || spec.threads == 1)))
        found_.impossible.push_back({fmt::format("{} on {} at {} thread(s)", spec.workload_name(),
                                                 spec.scheme, spec.threads),
                                     why});
      return;
    }
    const bool foremost = order == 0 || is_alone(spec);
    add(foremost ? Stage::most_threads : later_stage(spec), spec, order, selection_.repetitions, 0);
    if (!foremost && selection_.budget_s > 0) return;
    // One process shows the shape of the tail; more show how it varies.
    add(Stage::latency, spec, 0, 0, std::min(selection_.latency_repetitions, 1U));
    if (selection_.latency_repetitions > 1)
      add(Stage::more_latency, spec, 0, 0, selection_.latency_repetitions);
  }

  Stage later_stage(const CaseSpec& spec) const {
    if (rank_ == 0) return spec.threads == 1 ? Stage::first_ends : Stage::first_curve;
    return spec.threads == 1 ? Stage::one_thread : Stage::other_threads;
  }

  void add_ceiling(CaseSpec spec, usize order) {
    const WorkloadInfo& info = info_of(spec.workload);
    // At one thread it is `none` itself.
    if (!selection_.ceiling || selection_.defaults.private_spaces || spec.threads == 1 ||
        info.needs_peers || info.linux_only || !spec.roles.empty())
      return;
    spec.scheme = "none";
    spec.private_spaces = true;
    const bool first = rank_ == 0;
    const Stage stage = order == 0 ? (first ? Stage::first_ends : Stage::ceilings)
                                   : (first ? Stage::first_curve : Stage::other_threads);
    add(stage, spec, order, selection_.repetitions, 0);
  }

  void add_options(const CaseSpec& base) {
    const WorkloadInfo& info = info_of(base.workload);
    if (info.needs_lock || base.scheme == "linux" || !impossible(base, info).empty()) return;
    CaseSpec modelled = base;
    modelled.page_clear = "model";
    add(Stage::options, modelled, 0, selection_.repetitions, 0);
    for (const char* policy : {"precise", "broadcast"}) {
      CaseSpec flushing = base;
      flushing.shootdown = policy;
      add(Stage::options, flushing, 0, selection_.repetitions, 0);
    }
  }

  // Whether the scheme has one thread whatever is asked for.
  static bool is_alone(const CaseSpec& spec) {
    const Scheme<P>* scheme = find_scheme<P>(spec.scheme);
    return scheme != nullptr && scheme->max_threads == 1 && !spec.private_spaces;
  }

  // Asked for once a workload: to answer, a whole recording may have to be read.
  u32 thread_limit(const std::string& workload) {
    const auto [known, fresh] = limits_.try_emplace(workload, ~u32{0});
    const WorkloadInfo& info = info_of(workload);
    if (fresh && info.max_threads != nullptr) known->second = info.max_threads(workload);
    return known->second;
  }

  // Why the case cannot be, or empty.
  std::string impossible(const CaseSpec& spec, const WorkloadInfo& info) {
    if (const u32 limit = thread_limit(spec.workload); spec.threads > limit)
      return fmt::format("the recording has {} thread(s)", limit);
    if (!spec.roles.empty()) {
      if (spec.threads < 2) return "roles need two threads at least";
      try {
        assign_roles(spec.roles, spec.threads);
      } catch (const std::invalid_argument& error) {
        return error.what();
      }
    }
    if (info.needs_lock) return spec.private_spaces ? "a bare lock has no address space" : "";
    const Scheme<P>& scheme = *find_scheme<P>(spec.scheme);
    if (info.linux_only && spec.scheme != "linux")
      return "it needs files, which scheme linux alone has";
    if (spec.private_spaces && (info.needs_peers || !scheme.private_spaces))
      return "it cannot have one address space a thread";
    if (!spec.private_spaces && scheme.max_threads != 0 && spec.threads > scheme.max_threads)
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
        groups_[Key{stage, order, rank_, spec.placement, std::to_string(spec.private_spaces)}];
    group.stage = stage;
    group.order = order;
    group.threads = spec.threads;
    group.cases.push_back({std::move(spec), repetitions, latency_repetitions});
  }

  [[noreturn]] void refuse_nothing() const {
    if (possible_ != 0)
      throw std::invalid_argument(
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
  const NameFilter filter_;
  usize rank_ = 0;
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
