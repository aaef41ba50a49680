#include "harness/case/suites.hpp"

namespace faultline {
namespace {

const std::vector<std::string> main_schemes = {"mmap_sem", "range_lock", "lock_in_tree",
                                               "refcount", "linux",      "none"};

std::vector<std::string> all_schemes() {
  std::vector<std::string> schemes = main_schemes;
  for (const char* variant :
       {"mmap_sem:no-osq", "mmap_sem:no-steal", "mmap_sem:no-handoff", "mmap_sem:rwsem_2012",
        "mmap_sem:pthread_rwlock", "mmap_sem:std::shared_mutex", "range_lock:mcs",
        "range_lock:rwsem", "range_lock:full"})
    schemes.emplace_back(variant);
  return schemes;
}

const std::vector<std::string> locks = {
    "ticket",           "mcs",        "rwsem",          "rwsem:no-osq",      "rwsem:no-steal",
    "rwsem:no-handoff", "rwsem_2012", "pthread_rwlock", "std::shared_mutex", "tree_range_lock"};

Suite smoke(const std::string& replay) {
  return {.name = "smoke",
          .summary = "every part once, for a test: too short to conclude anything from",
          .budget_s = 60,
          .repetitions = 2,
          .duration_s = 0.05,
          .entries = {{"page_fault1:2M", main_schemes, ""},
                      {"mix:1:1", main_schemes, ""},
                      {replay, main_schemes, ""},
                      {"lock_loop", {"ticket", "rwsem"}, ""}}};
}

Suite quick(const std::string& replay) {
  return {.name = "quick",
          .summary = "the main schemes under the main workloads",
          .budget_s = 120,
          .entries = {{"page_fault1:2M", main_schemes, ""},
                      {"clear_pages:2M", {"none"}, ""},
                      {"local", main_schemes, ""},
                      {"mix:9:1", main_schemes, ""},
                      {"mix:1:1", main_schemes, ""},
                      {"threads", main_schemes, ""},
                      {replay, main_schemes, ""}}};
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
      {"page_fault1:128M", main_schemes, ""},
      {"clear_pages:128M", {"none"}, ""},
      {"mmap1", every, ""},
      {"pipeline", main_schemes, ""},
      {"global", main_schemes, ""},
      {"mix:9:1", main_schemes, "faulters:N-1,updaters:1"},
      {"mix:1:1,shared", main_schemes, ""},
      {"mix:9:1,discard", main_schemes, ""},
      {"page_fault2", {"linux"}, ""},
      {"page_fault3", {"linux"}, ""},
      {"page_fault4", {"linux"}, ""},
      {"lock_loop", locks, ""},
      {"lock_loop:section=100,gap=100,read=90", locks, ""},
      {"lock_loop:section=100,gap=100,read=50,layout=random", {"tree_range_lock"}, ""},
      {"lock_loop:section=100,gap=100,layout=disjoint", {"tree_range_lock"}, ""}};
  suite.entries.insert(suite.entries.end(), more.begin(), more.end());
  return suite;
}

// All schemes that a modelled machine can run.
Suite sim_quick(const std::string& replay) {
  std::vector<std::string> every = all_schemes();
  std::erase_if(every, [](const std::string& name) {
    return name == "linux" || name.find("::") != std::string::npos ||
           name.find("pthread") != std::string::npos;
  });
  return {.name = "sim-quick",
          .summary = "all schemes on two modelled machines, up to 128 CPUs",
          .budget_s = 120,
          .repetitions = 3,
          .duration_s = 0.002,
          .simulated = true,
          .machines = {"e7-8870", "epyc-7742x2"},
          .most_threads = 128,
          .entries = {{"page_fault1:64K", every, ""},
                      {"clear_pages:64K", {"none"}, ""},
                      {"local", every, ""},
                      {"pipeline", every, ""},
                      {"mix:9:1", every, ""},
                      {replay, every, ""}}};
}

}  // namespace

std::vector<Suite> suite_list(const std::string& small_trace) {
  const std::string replay = "replay:" + small_trace;
  return {quick(replay), full(replay), smoke(replay), sim_quick(replay)};
}

}  // namespace faultline
