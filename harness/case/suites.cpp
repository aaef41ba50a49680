#include "harness/case/suites.hpp"

#include "harness/case/names.hpp"

namespace faultline {
namespace {

const std::vector<std::string> main_schemes = {"mmap_sem", "range_lock", "lock_in_tree",
                                               "refcount", "linux",      "none"};

std::vector<std::string> all_schemes() {
  std::vector<std::string> schemes = main_schemes;
  for (const char* variant :
       {"mmap_sem:osq=off", "mmap_sem:steal=off", "mmap_sem:handoff=off", "mmap_sem:lock=rwsem_2012",
        "mmap_sem:lock=pthread_rwlock", "mmap_sem:lock=std_shared_mutex", "range_lock:structure=mcs",
        "range_lock:structure=rwsem", "full_range"})
    schemes.emplace_back(variant);
  return schemes;
}

const std::vector<std::string> locks = {
    "ticket",           "mcs",        "rwsem",          "rwsem:osq=off",      "rwsem:steal=off",
    "rwsem:handoff=off", "rwsem_2012", "pthread_rwlock", "std_shared_mutex", "tree_range_lock"};

Suite smoke(const std::string& replay) {
  return {.name = "smoke",
          .summary = "every part once, for a test: too short to conclude anything from",
          .budget_s = 60,
          .repetitions = 2,
          .duration_s = 0.05,
          .entries = {{"page_fault1", main_schemes},
                      {"mix:faults=1", main_schemes},
                      {replay, main_schemes},
                      {"lock_loop", {"ticket", "rwsem"}}}};
}

Suite quick(const std::string& replay) {
  return {.name = "quick",
          .summary = "the main schemes under the main workloads",
          .budget_s = 120,
          .entries = {{"page_fault1", main_schemes},
                      {"clear_pages", {"none"}},
                      {"local", main_schemes},
                      {"mix", main_schemes},
                      {"mix:faults=1", main_schemes},
                      {"threads", main_schemes},
                      {replay, main_schemes}}};
}

Suite full(const std::string& replay) {
  Suite suite = quick(replay);
  suite.name = "full";
  suite.summary = "everything: all schemes, ablations, workloads and bare locks";
  suite.budget_s = 900;
  const std::vector<std::string> every = all_schemes();
  for (SuiteEntry& entry : suite.entries)
    if (entry.schemes == main_schemes) entry.schemes = every;
  const std::vector<SuiteEntry> more = {
      {"page_fault1:size=128M", main_schemes},
      {"clear_pages:size=128M", {"none"}},
      {"mmap1", every},
      {"pipeline", main_schemes},
      {"global", main_schemes},
      {"mix", main_schemes, {{"roles", {"faulters:N-1,updaters:1"}}}},
      {"mix:faults=1:shared=on", main_schemes},
      {"mix:discard=on", main_schemes},
      {"page_fault2", {"linux"}},
      {"page_fault3", {"linux"}},
      {"page_fault4", {"linux"}},
      {"lock_loop", locks},
      {"lock_loop:section=100:gap=100:read=90", locks},
      {"lock_loop:section=100:gap=100:read=50:ranges=random", {"tree_range_lock"}},
      {"lock_loop:section=100:gap=100:ranges=disjoint", {"tree_range_lock"}}};
  suite.entries.insert(suite.entries.end(), more.begin(), more.end());
  return suite;
}

// All schemes that a modelled machine can run.
Suite sim_quick(const std::string& replay) {
  std::vector<std::string> every = all_schemes();
  std::erase_if(every, [](const std::string& name) {
    return scheme_named(name).is_native_only();
  });
  return {.name = "sim-quick",
          .summary = "all schemes on two modelled machines, up to 128 CPUs",
          .budget_s = 120,
          .repetitions = 3,
          .duration_s = 0.002,
          .simulated = true,
          .machines = {"e7-8870", "epyc-7742x2"},
          .most_threads = 128,
          .entries = {{"page_fault1:size=64K", every},
                      {"clear_pages:size=64K", {"none"}},
                      {"local", every},
                      {"pipeline", every},
                      {"mix", every},
                      {replay, every}}};
}

}  // namespace

std::vector<Suite> suite_list(const std::string& small_trace) {
  const std::string replay = "replay:file=" + small_trace;
  return {quick(replay), full(replay), smoke(replay), sim_quick(replay)};
}

}  // namespace faultline
