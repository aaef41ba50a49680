#include "harness/counters/counters.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <set>
#include <thread>

#include "harness/topology/topology.hpp"

namespace faultline {
namespace {

using nlohmann::json;

// libpfm4 reads its environment once in a process, so every test sets it before the first use.
class Encodings : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("LIBPFM_ENCODE_INACTIVE", "1", 1); }
};

TEST_F(Encodings, EveryX86RowIsWhatLibpfmEncodes) {
  int encoded = 0;
  for (const EventRow& row : event_table()) {
    if (row.pmu == "zen5" || row.pmu.starts_with("arm_")) continue;  // libpfm4 4.13 has neither PMU
    const std::string name = fmt::format("{}::{}", row.pmu, row.event);
    const auto encoding = encode(name);
    ASSERT_TRUE(encoding) << name << " does not encode";
    EXPECT_EQ(*encoding, (Encoding{row.type, row.config, row.config1})) << name;
    ++encoded;
  }
  EXPECT_EQ(encoded, 56);
}

TEST_F(Encodings, RawRowsOfZen5SayTheirOwnCode) {
  ASSERT_EQ(events_of_pmu("zen5").size(), 7U);
  for (const EventRow& row : events_of_pmu("zen5")) {
    const auto encoding = encode(fmt::format("perf_raw::{}", row.event));
    ASSERT_TRUE(encoding) << row.event;
    EXPECT_EQ(*encoding, (Encoding{row.type, row.config, row.config1})) << row.event;
  }
}

TEST_F(Encodings, EventsKnownNotToExistDoNotEncode) {
  for (const char* name :
       {"icx::OCR:DEMAND_RFO_REMOTE_CACHE_SNOOP_HITM",
        "spr::OCR:DEMAND_RFO_REMOTE_CACHE_SNOOP_HITM", "spr::OFFCORE_REQUESTS:DEMAND_RFO",
        "icx::MEM_LOAD_L3_HIT_RETIRED:XSNP_FWD", "spr::MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM",
        "amd64_fam19h_zen3::RETIRED_LOCK_INSTRUCTIONS:CACHEABLE_LOCKS",
        "amd64_fam19h_zen4::RETIRED_LOCK_INSTRUCTIONS:CACHEABLE_LOCKS"})
    EXPECT_FALSE(encode(name)) << name;
}

TEST_F(Encodings, OffcoreRowsNameTheirSupplier) {
  // Without a supplier libpfm4 adds "any response", bit 16, and then the event filters nothing.
  constexpr u64 any_response = 0x10000;
  const auto trap = encode("skx::OFFCORE_RESPONSE_0:DMND_RFO:SNP_HITM");
  ASSERT_TRUE(trap);
  EXPECT_NE(trap->config1 & any_response, 0U);
  for (const EventRow& row : event_table())
    EXPECT_EQ(row.config1 & any_response, 0U) << row.pmu << " " << row.event;
}

// Ends the process: with 0 if `pmu`, when forced, makes its rows of the table the chosen ones.
[[noreturn]] void exit_by_forced(const char* pmu) {
  setenv("LIBPFM_FORCE_PMU", pmu, 1);
  bool same = !events_here().empty();
  for (const EventRow& row : events_here()) {
    const Encoding expected = {row.type, row.config, row.config1};
    same = same && row.pmu == pmu && encoding_of(row) == expected;
  }
  std::_Exit(same ? 0 : 1);
}

// Runs in a process of its own, since libpfm4 looks for PMUs once.
TEST(ForcedPmu, IsTheOneThatIsCounted) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const char* pmu :
       {"skx", "clx", "icx", "spr", "amd64_fam17h_zen2", "amd64_fam19h_zen3", "amd64_fam19h_zen4"})
    EXPECT_EXIT(exit_by_forced(pmu), testing::ExitedWithCode(0), "") << pmu;
}

TEST(EventTable, HasRowsForEachPmuSideBySideAndNoneTwice) {
  std::map<std::string_view, usize> rows;
  std::set<std::pair<std::string_view, std::string_view>> names;
  for (const EventRow& row : event_table()) {
    ++rows[row.pmu];
    EXPECT_TRUE(names.insert({row.pmu, row.event}).second) << row.pmu << " " << row.event;
    EXPECT_FALSE(row.meaning.empty());
  }
  for (const auto& [pmu, count] : rows) EXPECT_EQ(events_of_pmu(pmu).size(), count) << pmu;
  const std::map<std::string_view, usize> expected = {{"skx", 11},
                                                      {"clx", 11},
                                                      {"icx", 7},
                                                      {"spr", 7},
                                                      {"zen5", 7},
                                                      {"perf", 3},
                                                      {"arm_n1", 7},
                                                      {"arm_v1", 7},
                                                      {"arm_n2", 7},
                                                      {"arm_v2", 7},
                                                      {"amd64_fam17h_zen2", 3},
                                                      {"amd64_fam19h_zen3", 7},
                                                      {"amd64_fam19h_zen4", 7}};
  EXPECT_EQ(rows, expected);
  EXPECT_TRUE(events_of_pmu("pentium").empty());
}

TEST(EventTable, ArmHasProxiesOnly) {
  for (const EventRow& row : event_table()) {
    if (!row.pmu.starts_with("arm_")) continue;
    EXPECT_EQ(row.role, EventRole::proxy) << row.event;
  }
}

TEST(ChoosePmu, TakesWhatLibpfmDetectsFirst) {
  EXPECT_EQ(choose_pmu({"ix86arch", "icx"}, {"GenuineIntel", 6, 0x6a}), "icx");
  EXPECT_EQ(choose_pmu({"amd64_fam19h_zen4"}, {"AuthenticAMD", 0x19, 0x11}), "amd64_fam19h_zen4");
}

TEST(ChoosePmu, GoesByModelWhereLibpfmIsBehind) {
  EXPECT_EQ(choose_pmu({}, {"AuthenticAMD", 0x19, 0x61}), "amd64_fam19h_zen4");
  EXPECT_EQ(choose_pmu({}, {"AuthenticAMD", 0x19, 0x01}), "amd64_fam19h_zen3");
  EXPECT_EQ(choose_pmu({}, {"AuthenticAMD", 0x1a, 0x02}), "zen5");
  EXPECT_EQ(choose_pmu({}, {"AuthenticAMD", 0x17, 0x31}), "amd64_fam17h_zen2");
  EXPECT_EQ(choose_pmu({}, {"GenuineIntel", 6, 0xcf}), "spr");
  EXPECT_EQ(choose_pmu({}, {"0x41", 0, 0xd40}), "arm_v1");
}

TEST(ChoosePmu, FallsBackToTheGenericEvents) {
  EXPECT_EQ(choose_pmu({}, {"GenuineIntel", 6, 0xad}), "perf");
  EXPECT_EQ(choose_pmu({"nhm"}, {"AuthenticAMD", 0x17, 0x01}), "perf");
  EXPECT_EQ(choose_pmu({}, {}), "perf");
}

TEST(ReadIdentity, ReadsX86AndArm) {
  const CpuIdentity x86 = read_identity(
      "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\n"
      "model name\t: AMD EPYC 9755\n");
  EXPECT_EQ(x86.vendor, "AuthenticAMD");
  EXPECT_EQ(x86.family, 26U);
  EXPECT_EQ(x86.model, 2U);
  const CpuIdentity arm =
      read_identity("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");
  EXPECT_EQ(choose_pmu({}, arm), "arm_n1");
}

// The kernel's own events replace hardware events, since a virtual machine has them too.
constexpr EventRow software_rows[] = {
    {"software", "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 0, EventRole::proxy,
     "page faults"},
    {"software", "task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, 0, EventRole::proxy,
     "nanoseconds on a CPU"}};

void touch_pages(usize pages) {
  const usize page = static_cast<usize>(sysconf(_SC_PAGESIZE));
  void* memory =
      mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  madvise(memory, pages * page, MADV_NOHUGEPAGE);
  for (usize i = 0; i < pages; ++i) static_cast<volatile char*>(memory)[i * page] = 1;
  munmap(memory, pages * page);
}

bool kernel_is_counted(const ThreadCounters& counters) {
  return counters.absent().empty() && !counters.readings().front().name.ends_with(":u");
}

TEST(ThreadCounters, CountsInTheWindowAlone) {
  ThreadCounters counters(software_rows);
  if (!kernel_is_counted(counters)) GTEST_SKIP() << "the kernel may not be counted here";
  touch_pages(1000);
  counters.start();
  touch_pages(64);
  counters.stop();
  touch_pages(1000);
  const EventReading& faults = counters.readings().at(0);
  EXPECT_EQ(faults.name, "software::page-faults");
  EXPECT_GE(faults.value, 64U);
  EXPECT_LT(faults.value, 500U);
  EXPECT_GT(faults.enabled_ns, 0U);
  EXPECT_EQ(faults.running_ns, faults.enabled_ns);
}

TEST(ThreadCounters, CountsItsOwnThreadAlone) {
  ThreadCounters counters(software_rows);
  if (!kernel_is_counted(counters)) GTEST_SKIP() << "the kernel may not be counted here";
  counters.start();
  std::jthread([] { touch_pages(5000); });
  counters.stop();
  EXPECT_LT(counters.readings().at(0).value, 1000U);
}

TEST(ThreadCounters, SaysInOneLineThatThereIsNoPmu) {
  // A type that no kernel assigns behaves as a machine without a PMU does.
  constexpr EventRow row[] = {{"none", "NOTHING", 0x7ffffff0, 0, 0, EventRole::transfer, "none"}};
  ThreadCounters counters(row);
  counters.start();
  counters.stop();
  EXPECT_FALSE(counters.absent().empty());
  EXPECT_EQ(counters.absent().find('\n'), std::string::npos);
  EXPECT_TRUE(counters.readings().empty());
  EXPECT_EQ(counters_json({&counters}), (json{{"absent", counters.absent()}}));
}

TEST(ThreadCounters, SaysThatTheTableHasNoRow) {
  const ThreadCounters counters(std::span<const EventRow>{});
  EXPECT_EQ(counters.absent(), "the event table has no row for this CPU");
}

TEST(ThreadCounters, AddsUpThreadsByEvent) {
  ThreadCounters first(software_rows);
  if (!kernel_is_counted(first)) GTEST_SKIP() << "the kernel may not be counted here";
  first.start();
  touch_pages(10);
  first.stop();
  json both;
  u64 value = 0;
  std::jthread([&] {
    ThreadCounters second(software_rows);
    second.start();
    touch_pages(20);
    second.stop();
    both = counters_json({&first, &second});
    value = second.readings().at(0).value;
  }).join();
  EXPECT_EQ(both["events"].size(), 2U);
  EXPECT_EQ(both["events"]["software::page-faults"]["value"], first.readings().at(0).value + value);
  EXPECT_GE(value, 20U);
}

TEST(ThreadCounters, SaysWhyOneOfItsEventsIsAbsent) {
  constexpr EventRow rows[] = {software_rows[0],
                               {"none", "NOTHING", 0x7ffffff0, 0, 0, EventRole::transfer, "none"}};
  ThreadCounters counters(rows);
  if (!kernel_is_counted(counters)) GTEST_SKIP() << "the kernel may not be counted here";
  counters.start();
  touch_pages(10);
  counters.stop();
  const json events = counters_json({&counters}).at("events");
  EXPECT_TRUE(events.at("software::page-faults").contains("value"));
  EXPECT_EQ(events.at("none::NOTHING"),
            (json{{"absent", "neither the CPU nor the kernel has this event"}}));
}

TEST(EventsJson, IsAbsentWhereNotEveryThreadCounted) {
  const EventReading counted = {"e", 100, 1000, 500};
  const EventReading idle = {"e", 0, 1000, 0};
  const EventReading refused = {"e", 0, 0, 0, "too many open files"};
  const auto event = [](const std::vector<std::vector<EventReading>>& threads) {
    return events_json(threads).at("e");
  };
  EXPECT_EQ(event({{counted}, {counted}}),
            (json{{"value", 200}, {"enabled_ns", 2000}, {"running_ns", 1000}}));
  EXPECT_EQ(event({{counted}, {refused}}),
            (json{{"absent", "1 of 2 threads could not count it: too many open files"}}));
  EXPECT_EQ(event({{}, {counted}, {}}), (json{{"absent", "2 of 3 threads could not count it"}}));
  EXPECT_EQ(event({{refused}, {refused}}), (json{{"absent", "too many open files"}}));
  EXPECT_EQ(event({{idle}, {counted}}).at("absent"),
            "1 of 2 threads could not count it: it never had one of the CPU's counters");
  EXPECT_EQ(event({{idle}}).at("absent"), "it never had one of the CPU's counters");
}

TEST(ThreadCounters, CountsMigrationsWhereItCan) {
  const Topology here = Topology::here();
  if (here.cpus().size() < 2) GTEST_SKIP() << "one CPU: nowhere to migrate to";
  std::jthread([&] {
    here.bind_self(here.cpus().front().os);
    ThreadCounters counters(software_rows);
    counters.start();
    here.bind_self(here.cpus().back().os);
    here.bind_self(here.cpus().front().os);
    counters.stop();
    if (!counters.migrations()) return;
    EXPECT_EQ(*counters.migrations(), 2U);
  });
}

TEST(EventReading, ScalesByTheShareOfTimeOnACounter) {
  EXPECT_EQ((EventReading{"e", 100, 1000, 250}).scaled(), 400.0);
  EXPECT_EQ((EventReading{"e", 0, 1000, 0}).scaled(), std::nullopt);
}

TEST(CountersSummary, IsEitherEventsOrAReason) {
  const json summary = counters_summary();
  if (summary["available"]) {
    EXPECT_FALSE(summary["events"].empty());
    EXPECT_EQ(counters_absent(), std::nullopt);
  } else {
    EXPECT_EQ(counters_absent(), summary["reason"].get<std::string>());
  }
}

}  // namespace
}  // namespace faultline
