// The list of workloads. To add one: its header, and one line here.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "locks/registry.hpp"
#include "workloads/clear_pages.hpp"
#include "workloads/lock_loop.hpp"
#include "workloads/mapbench.hpp"
#include "workloads/mix.hpp"
#include "workloads/mmap_loop.hpp"
#include "workloads/page_fault.hpp"
#include "workloads/replay.hpp"
#include "workloads/threads.hpp"

namespace faultline {

struct WorkloadInfo {
  const char* name;
  const char* form;  // how it is written, with its parameters
  const char* summary;
  bool roles = false;        // faulters and updaters
  bool linux_only = false;   // needs files
  bool needs_lock = false;   // runs on a lock instead of a scheme
  bool needs_peers = false;  // means nothing alone: no ceiling by private address spaces
  u32 (*max_threads)(std::string_view text) =
      nullptr;  // where the text bounds the number of threads
};

template <class P>
struct WorkloadEntry : WorkloadInfo {
  std::unique_ptr<Workload<P>> (*make)(const Parameters& parameters, u32 threads);
};

template <class P, class W>
std::unique_ptr<Workload<P>> make_plain(const Parameters& parameters, u32) {
  return std::make_unique<W>(parameters);
}

template <class P>
const std::vector<WorkloadEntry<P>>& workload_list() {
  static const std::vector<WorkloadEntry<P>> list = {
      {{.name = "page_fault1",
        .form = PageFault<P>::form,
        .summary = "map anonymous memory, write every page, unmap"},
       make_plain<P, PageFault<P>>},
      {{.name = "page_fault2",
        .form = PageFault<P>::form,
        .summary = "page_fault1 on a private file",
        .linux_only = true},
       make_plain<P, PageFault<P>>},
      {{.name = "page_fault3",
        .form = PageFault<P>::form,
        .summary = "page_fault1 on a shared file",
        .linux_only = true},
       make_plain<P, PageFault<P>>},
      {{.name = "page_fault4",
        .form = PageFault<P>::form,
        .summary = "read every page of a private file",
        .linux_only = true},
       make_plain<P, PageFault<P>>},
      {{.name = "clear_pages",
        .form = ClearPages<P>::form,
        .summary = "clear page_fault1's pages and nothing else: the ceiling of memory"},
       [](const Parameters& parameters, u32 threads) -> std::unique_ptr<Workload<P>> {
         return std::make_unique<ClearPages<P>>(parameters, threads);
       }},
      {{.name = "mmap1", .form = MmapLoop<P>::form, .summary = "map and unmap, no touch"},
       make_plain<P, MmapLoop<P>>},
      {{.name = "local",
        .form = "local",
        .summary = "mapbench: each thread maps, writes, unmaps its own page"},
       make_plain<P, Local<P>>},
      {{.name = "pipeline",
        .form = "pipeline",
        .summary = "mapbench: pages handed from thread to thread",
        .needs_peers = true},
       make_plain<P, Pipeline<P>>},
      {{.name = "global",
        .form = "global",
        .summary = "mapbench: all write what all have mapped",
        .needs_peers = true},
       make_plain<P, Global<P>>},
      {{.name = "mix",
        .form = Mix<P>::form,
        .summary = "faults and updates at a ratio",
        .roles = true},
       make_plain<P, Mix<P>>},
      {{.name = "threads",
        .form = "threads",
        .summary = "threads that come and go: stack, TLS, guard page"},
       make_plain<P, ThreadsWorkload<P>>},
      {{.name = "lock_loop",
        .form = LockLoopShape::form,
        .summary = "a bare lock in a loop",
        .needs_lock = true,
        .needs_peers = true},
       nullptr},
  };
  return list;
}

// How many threads the recording of "replay:FILE" has.
inline u32 recorded_threads(std::string_view text) {
  return static_cast<u32>(read_trace(std::string(text.substr(7))).threads.size());
}

inline constexpr WorkloadInfo replay_info{.name = "replay",
                                          .form = "replay:FILE",
                                          .summary = "a recorded program's faults and calls",
                                          .needs_peers = true,
                                          .max_threads = recorded_threads};

// Calls visit(NamedLock) for every primitive of which `name` is the name; false when there is none.
template <class P, class F>
bool visit_lock(std::string_view name, F&& visit) {
  bool found = false;
  const auto look = [&](const auto& named) {
    if (name != named.name) return;
    visit(named);
    found = true;
  };
  std::apply([&](const auto&... named) { (look(named), ...); }, mutex_list<P>());
  std::apply([&](const auto&... named) { (look(named), ...); }, shared_list<P>());
  std::apply([&](const auto&... named) { (look(named), ...); }, range_list<P>());
  return found;
}

// What the workload of that text is, or null.
template <class P>
const WorkloadInfo* find_workload(std::string_view text) {
  const std::string_view name = text.substr(0, text.find(':'));
  if (name == replay_info.name) return &replay_info;
  for (const auto& entry : workload_list<P>())
    if (name == entry.name) return &entry;
  return nullptr;
}

// `lock` names the primitive for lock_loop. Throws std::invalid_argument for what does not exist or
// does not parse.
template <class P>
std::unique_ptr<Workload<P>> make_workload(std::string_view text, std::string_view lock,
                                           u32 threads) {
  const Parameters parameters(text);
  if (parameters.name() == "replay") {
    if (text.size() <= 7) parameters.refuse(replay_info.form);
    return std::make_unique<Replay<P>>(
        std::make_shared<const Trace>(read_trace(std::string(text.substr(7)))), threads);
  }
  if (parameters.name() == "lock_loop") {
    std::unique_ptr<Workload<P>> made;
    const bool found = visit_lock<P>(lock, [&](const auto& named) {
      using Lock = typename std::decay_t<decltype(named)>::Lock;
      made = std::make_unique<LockLoop<P, Lock>>(parameters);
    });
    if (!found)
      throw std::invalid_argument("lock '" + std::string(lock) +
                                  "' for lock_loop: expected one that `faultline list` names");
    return made;
  }
  for (const auto& entry : workload_list<P>())
    if (parameters.name() == entry.name) return entry.make(parameters, threads);
  throw std::invalid_argument("workload '" + std::string(text) +
                              "': expected one that `faultline list` names");
}

}  // namespace faultline
