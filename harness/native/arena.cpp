#include "harness/native/arena.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "harness/native/registry.hpp"
#include "harness/native/roles.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

[[noreturn]] void refuse(const CaseSpec& spec, const std::string& why) {
  throw std::invalid_argument(fmt::format("case '{}': {}", spec.name(), why));
}

void validate_options(const CaseSpec& spec) {
  if (spec.threads == 0 || spec.threads > P::max_threads)
    refuse(spec, fmt::format("{} threads: expected 1 to {}", spec.threads, P::max_threads));
  if (spec.cpus.size() != spec.threads)
    refuse(spec, fmt::format("{} CPUs: expected one for each thread", spec.cpus.size()));
  if (!(spec.duration_s > 0)) refuse(spec, "a window without duration: expected more than 0 s");
  if (!(spec.warmup_s >= 0)) refuse(spec, "a negative warm-up: expected 0 s or more");
  if (spec.page_clear != "memset" && spec.page_clear != "model")
    refuse(spec, "page-clear '" + spec.page_clear + "': expected memset or model");
  if (spec.shootdown != "cpumask" && spec.shootdown != "precise" && spec.shootdown != "broadcast")
    refuse(spec, "shootdown '" + spec.shootdown + "': expected cpumask, precise or broadcast");
}

void validate_scheme(const CaseSpec& spec, const WorkloadInfo& info) {
  const Scheme<P>* scheme = find_scheme<P>(spec.scheme);
  if (scheme == nullptr)
    throw std::invalid_argument("scheme '" + spec.scheme +
                                "': expected one that `faultline list` names");
  const u32 sharing = spec.private_spaces ? 1 : spec.threads;
  if (scheme->max_threads != 0 && sharing > scheme->max_threads)
    refuse(spec, fmt::format("{} threads on scheme {}: expected at most {}", sharing, spec.scheme,
                             scheme->max_threads));
  if (spec.private_spaces && !scheme->private_spaces)
    refuse(spec, fmt::format("private on scheme {}: there is one a process", spec.scheme));
  if (info.linux_only && spec.scheme != "linux")
    refuse(spec, "the workload needs files: expected scheme linux");
}

AddressSpaceOptions options_of(const CaseSpec& spec, u32 threads) {
  AddressSpaceOptions options;
  options.threads = threads;
  options.clear_pages = spec.page_clear == "memset";
  options.merge = spec.merge;
  options.thp = spec.thp;
  if (spec.shootdown == "precise") options.shootdown = shootdown_precise;
  if (spec.shootdown == "broadcast") options.shootdown = shootdown_broadcast;
  return options;
}

}  // namespace

void validate(const CaseSpec& spec) {
  const WorkloadInfo* info = find_workload<P>(spec.workload);
  if (info == nullptr)
    throw std::invalid_argument("workload '" + spec.workload +
                                "': expected one that `faultline list` names");
  validate_options(spec);
  if (!info->needs_lock) validate_scheme(spec, *info);
  if (!spec.roles.empty() && !info->roles)
    refuse(spec, "roles: expected a workload that has faulters and updaters, such as mix");
  if (spec.private_spaces && info->needs_peers)
    refuse(spec, "private: the workload means nothing without other threads");
  assign_roles(spec.roles, spec.threads);
}

Arena make_arena(const CaseSpec& spec, u32 threads) {
  Arena arena;
  arena.workload = make_workload<P>(spec.workload, spec.scheme, threads);
  if (find_workload<P>(spec.workload)->needs_lock) return arena;
  AddressSpaceOptions options = options_of(spec, threads);
  arena.workload->demands(options);
  arena.space = find_scheme<P>(spec.scheme)->make(options);
  return arena;
}

nlohmann::json sum_events(const Arenas& arenas) {
  nlohmann::json totals = nlohmann::json::object();
  for (const auto& arena : arenas) {
    Events events;
    if (arena->space) arena->space->append_events(events);
    if (arena->workload) arena->workload->append_events(events);
    for (const EventCount& event : events)
      totals[event.name] = totals.value(event.name, u64{0}) + event.value;
  }
  return totals;
}

std::vector<std::string> holders(const Arenas& arenas) {
  std::vector<std::string> all;
  const auto append = [&](const std::vector<std::string>& lines) {
    all.insert(all.end(), lines.begin(), lines.end());
  };
  for (const auto& arena : arenas) {
    if (arena->space) append(arena->space->holders());
    if (arena->workload) append(arena->workload->holders());
  }
  return all;
}

std::string check(const Arenas& arenas) {
  for (const auto& arena : arenas) {
    if (!arena->space) continue;
    if (std::string wrong = arena->space->check(); !wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace faultline
