// Results that are older than the present names.
#include "results/old_names.hpp"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "harness/case/names.hpp"

namespace faultline {
namespace {

TEST(OldNames, OfSchemesAndLocksHaveTheirPresentForm) {
  for (const auto& [old, now] : std::map<std::string, std::string>{
           {"mmap_sem:no-handoff", "mmap_sem:handoff=off"},
           {"mmap_sem:no-steal", "mmap_sem:reader_steal=off:writer_steal=off"},
           {"mmap_sem:steal=off", "mmap_sem:reader_steal=off:writer_steal=off"},
           {"rwsem:no-steal", "rwsem:reader_steal=off:writer_steal=off"},
           {"rwsem:osq=off:steal=off:handoff=off",
            "rwsem:osq=off:reader_steal=off:writer_steal=off:handoff=off"},
           {"mmap_sem:rwsem_2012", "mmap_sem:lock=rwsem_2012"},
           {"mmap_sem:std::shared_mutex", "mmap_sem:lock=std_shared_mutex"},
           {"range_lock:mcs", "range_lock:structure=mcs"},
           {"range_lock:full", "full_range"},
           {"rwsem:no-osq", "rwsem:osq=off"},
           {"std::shared_mutex", "std_shared_mutex"},
           {"mmap_sem:lock=refcount_naive", "mmap_sem:lock=naive_refcount_lock"},
           {"bravo:over=refcount_naive", "bravo:over=naive_refcount_lock"},
           {"refcount_naive", "refcount_naive"},
           {"refcount", "refcount"}}) {
    EXPECT_EQ(present_scheme(old), now);
    EXPECT_EQ(scheme_or_lock_named(now).text(), now);
  }
}

// What is a scheme now was a lock.
TEST(OldNames, AreOfALockWhereTheWorkloadRunsOnOne) {
  EXPECT_EQ(present_lock("refcount_naive"), "naive_refcount_lock");
  EXPECT_EQ(present_lock("rwsem:no-osq"), "rwsem:osq=off");
  EXPECT_EQ(lock_named("naive_refcount_lock").text(), "naive_refcount_lock");
  EXPECT_EQ(scheme_named("refcount_naive").entry().family, scheme_family);
  try {
    lock_named("refcount_naive");
    FAIL() << "a scheme is taken for a lock";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "'refcount_naive' is the old name of 'naive_refcount_lock': expected that");
  }
  nlohmann::json part = {{"cases",
                          {{{"name", "lock_loop/refcount_naive/compact/threads:2"},
                            {"workload", "lock_loop"},
                            {"scheme", "refcount_naive"}},
                           {{"name", "mix/refcount_naive/compact/threads:2"},
                            {"workload", "mix"},
                            {"scheme", "refcount_naive"}}}}};
  rename_old(part);
  EXPECT_EQ(part["cases"][0]["name"], "lock_loop/naive_refcount_lock/compact/threads:2");
  EXPECT_EQ(part["cases"][0]["scheme"], "naive_refcount_lock");
  EXPECT_EQ(part["cases"][1]["name"], "mix/refcount_naive/compact/threads:2");
  EXPECT_EQ(part["cases"][1]["scheme"], "refcount_naive");
}

TEST(OldNames, OfWorkloadsHaveTheirPresentCanonicalForm) {
  for (const auto& [old, now] :
       std::map<std::string, std::string>{{"page_fault1:2M", "page_fault1"},
                                          {"page_fault1:64K", "page_fault1:size=64K"},
                                          {"mmap1:128M", "mmap1"},
                                          {"mix:9:1", "mix"},
                                          {"mix:1:1,shared", "mix:faults=1:shared=on"},
                                          {"mix:9:1,private,discard", "mix:discard=on"},
                                          {"mix:40:3", "mix:faults=40:updates=3"},
                                          {"lock_loop:section=100,gap=100,read=50,layout=random",
                                           "lock_loop:section=100:gap=100:read=50:ranges=random"},
                                          {"lock_loop:layout=random", "lock_loop:ranges=random"},
                                          {"lock_loop:section=100:read_gap=5:write_every=64",
                                           "lock_loop:section=100:read_gap=5:write_every=64"},
                                          {"replay:pack", "replay:file=pack"},
                                          {"local", "local"}}) {
    EXPECT_EQ(present_workload(old), now);
    EXPECT_EQ(present_workload(now), now);
    EXPECT_EQ(workload_named(now).text(), now);
  }
}

TEST(OldNames, StandInCasesFailuresAndRecords) {
  nlohmann::json part = {
      {"cases",
       {{{"name", "mix:1:1,shared/mmap_sem:no-osq/compact/threads:2"},
         {"workload", "mix:1:1,shared"},
         {"workload_text", "mix:1:1,shared"},
         {"scheme", "mmap_sem:no-osq"}},
        {{"name", "local/linux/compact/threads:1"}, {"workload", "local"}, {"scheme", "linux"}}}},
      {"failures", {{{"case", "mix:9:1/range_lock:full/compact/threads:2"}, {"reason", "x"}}}}};
  rename_old(part);
  EXPECT_EQ(part["cases"][0]["name"], "mix:faults=1:shared=on/mmap_sem:osq=off/compact/threads:2");
  EXPECT_EQ(part["cases"][0]["workload_text"], "mix:faults=1:shared=on");
  EXPECT_EQ(part["cases"][0]["scheme"], "mmap_sem:osq=off");
  EXPECT_FALSE(part["cases"][0].contains("kernel"));
  EXPECT_EQ(part["cases"][1]["kernel"], true);
  EXPECT_EQ(part["failures"][0]["case"], "mix/full_range/compact/threads:2");
  nlohmann::json record = {{"case", {{"scheme", "std::shared_mutex"}, {"workload", "lock_loop"}}}};
  rename_old(record);
  EXPECT_EQ(record["case"]["scheme"], "std_shared_mutex");
}

}  // namespace
}  // namespace faultline
