// What a trial's threads work on, on any platform: a workload, with the address space that it uses
// or the bare lock that it contains.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/case/names.hpp"
#include "harness/case/spec.hpp"
#include "harness/trial/roles.hpp"
#include "workloads/registry.hpp"

namespace faultline {

// All threads share one arena; in a `private` case each thread has its own.
template <class P>
struct Arena {
  std::unique_ptr<AddressSpace> space;  // null for a bare lock
  std::unique_ptr<Workload<P>> workload;
};

template <class P>
using Arenas = std::vector<std::unique_ptr<Arena<P>>>;

// Makes the arena for `threads` threads. The first of these threads calls it.
template <class P>
using MakeArena = std::function<Arena<P>(u32 threads)>;

// A thread's place in its case.
template <class P>
struct Seat {
  Arena<P>* arena = nullptr;
  u32 index = 0;    // among the threads that share the arena
  u32 threads = 1;  // how many threads share the arena
  Role role = Role::all;
};

// Adds the arenas, still empty, to `arenas` and returns each thread's seat at one of them.
template <class P>
std::vector<Seat<P>> seat_threads(const CaseSpec& spec, Arenas<P>& arenas) {
  const bool apart = spec.is_on("private");
  for (u32 i = 0; i < (apart ? spec.threads : 1); ++i)
    arenas.push_back(std::make_unique<Arena<P>>());
  const std::vector<Role> roles = assign_roles(spec.value("roles"), spec.threads);
  std::vector<Seat<P>> seats;
  for (u32 i = 0; i < spec.threads; ++i)
    seats.push_back(
        {arenas[apart ? i : 0].get(), apart ? 0 : i, apart ? 1 : spec.threads, roles[i]});
  return seats;
}

inline void validate_scheme(const CaseSpec& spec, const Entry& workload) {
  const Entry& scheme = scheme_named(spec.scheme).entry();
  const u32 sharing = spec.is_on("private") ? 1 : spec.threads;
  if (scheme.max_threads != 0 && !workload.bare && sharing > scheme.max_threads)
    refuse_case(spec, fmt::format("{} threads on scheme {}: expected at most {}", sharing,
                                  spec.scheme, scheme.max_threads));
  if (spec.is_on("private") && !scheme.can_be_private)
    refuse_case(spec, fmt::format("private on scheme {}: a process has only one", spec.scheme));
  if (workload.needs_files && !scheme.kernel)
    refuse_case(spec, "the workload needs files: expected scheme linux");
}

// Throws std::invalid_argument for a case whose names do not exist or do not go together.
inline void validate(const CaseSpec& spec) {
  const Entry& workload = workload_named(spec.workload).entry();
  validate_options(spec);
  if (spec.simulated() && contestant_named(workload, spec.scheme).is_native_only())
    refuse_case(spec, fmt::format("{} runs natively only: expected a scheme or lock of locks/, "
                                  "whose source the simulator runs",
                                  spec.scheme));
  if (!workload.needs_lock) validate_scheme(spec, workload);
  if (!spec.value("roles").empty() && !workload.roles)
    refuse_case(spec, "roles: expected a workload that has faulters and updaters, such as mix");
  if (spec.is_on("private") && workload.needs_peers)
    refuse_case(spec, "private: the workload needs threads that share its address space or lock");
  assign_roles(spec.value("roles"), spec.threads);
}

inline AddressSpaceOptions options_of(const CaseSpec& spec, u32 threads) {
  AddressSpaceOptions options;
  options.threads = threads;
  options.clear_pages = spec.value("page_clear") == "memset";
  options.merge = spec.is_on("merge");
  options.thp = spec.is_on("thp");
  if (spec.value("page_table") == "per_cpu") options.page_table = page_table_per_cpu;
  if (spec.value("shootdown") == "precise") options.shootdown = shootdown_precise;
  if (spec.value("shootdown") == "broadcast") options.shootdown = shootdown_broadcast;
  options.layout = *layout_of(spec.value("layout"));
  options.anon_vma_in_fault = spec.value("anon_vma") == "in_fault";
  options.oracle = false;
  return options;
}

// Makes the workload, and the address space unless the workload brings a lock instead. Throws
// std::invalid_argument for names that do not exist, std::bad_alloc if memory does not suffice.
template <class P>
Arena<P> make_arena(const CaseSpec& spec, u32 threads) {
  Arena<P> arena;
  arena.workload =
      make_workload<P>(spec.workload, spec.scheme, threads, *layout_of(spec.value("layout")));
  if (choose_workload(spec.workload).entry().needs_lock) return arena;
  AddressSpaceOptions options = options_of(spec, threads);
  arena.workload->demands(options);
  arena.space = make_scheme<P>(scheme_named(spec.scheme), options);
  return arena;
}

// The locks' and workloads' event counts by name, summed over all arenas. Any thread may call it
// while others work.
template <class P>
nlohmann::json sum_events(const Arenas<P>& arenas) {
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

// The event counts since sum_events() returned `before`.
template <class P>
nlohmann::json events_since(const Arenas<P>& arenas, const nlohmann::json& before) {
  nlohmann::json events = sum_events(arenas);
  for (auto& [name, total] : events.items())
    total = total.template get<u64>() - before.value(name, u64{0});
  return events;
}

// One line for each lock that a thread holds, as far as racy reads can tell.
template <class P>
std::vector<std::string> holders(const Arenas<P>& arenas) {
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

// With all threads at rest: the first fault that the oracle finds; empty if it finds none.
template <class P>
std::string check(const Arenas<P>& arenas) {
  for (const auto& arena : arenas) {
    if (!arena->space) continue;
    if (std::string wrong = arena->space->check(); !wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace faultline
