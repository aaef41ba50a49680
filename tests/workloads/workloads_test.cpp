#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "tests/harness/fake_space.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = NativePlatform;

struct FakeRun {
  json record;
  std::vector<Call> calls;
};

// Runs `text` over a fake, with `threads` threads. The calls are kept after the trial's end.
FakeRun run_fake(const std::string& text, u32 threads, const std::string& roles = "") {
  TrialSpec spec = short_trial(text, "fake", threads);
  spec.trial_case.settings.set("roles", roles);
  spec.counters = false;
  std::vector<Call> calls;
  const json record = run_trial_on(spec, [&](u32 sharing) {
    auto space = std::make_unique<FakeSpace>(&calls);
    return Arena<P>{std::move(space), make_workload<P>(text, "", sharing)};
  });
  EXPECT_EQ(record["status"], "ok") << text << ": " << record["reason"];
  return {record, calls};
}

std::vector<Call> of_thread(const std::vector<Call>& calls, u32 thread) {
  std::vector<Call> own;
  std::copy_if(calls.begin(), calls.end(), std::back_inserter(own),
               [thread](const Call& call) { return call.thread == thread; });
  return own;
}

std::string refusal(const std::string& text) {
  try {
    make_workload<P>(text, "rwsem", 2);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Workloads, ATextThatDoesNotFitIsRefusedWithWhatExists) {
  const std::map<std::string, std::string> expected = {
      {"page_fault1:2M", "'2M' is not KEY=VALUE, expected size=SIZE"},
      {"page_fault1:size=0M", "expected a multiple of 4K"},
      {"page_fault1:size=1236K", "accepted"},
      {"page_fault1:size=3K", "expected a multiple of 4K"},
      {"page_fault1:size=99999999999999999999M", "expected a multiple of 4K"},
      {"page_fault1:size=-2M", "expected a multiple of 4K"},
      {"page_fault1:size=2M:size=2M", "size is given twice"},
      {"page_fault1:", "is not KEY=VALUE"},
      {"pipeline:size=1M", "there is no option size, expected no options"},
      {"local:spacing=512M", "expected a multiple of 4K up to 256M, such as 1M"},
      {"mix:updates=0", "expected a whole number from 1"},
      {"mix:faults=513", "expected at most 512 faults to an update"},
      {"mix:faults=512", "accepted"},
      {"mix:faults=9.5", "expected a whole number"},
      {"mix:shared=both", "expected off or on"},
      {"lock_loop:read=101", "expected a whole number from 0 to 100"},
      {"lock_loop:ranges=half", "expected full or disjoint or interleaved or random"},
      {"lock_loop:gaps=1", "expected one of section, gap, read_section, read_gap, read"},
      {"lock_loop:read_gap=same", "expected a whole number from 0"},
      {"lock_loop:update=on", "expected none or beside or apart"},
      {"global:order=random", "expected same or own"},
      {"nonsense", "expected one of page_fault1, page_fault2"},
      {"", "expected one of page_fault1, page_fault2"},
      {"replay", "expected file=PATH"},
      {"replay:file=", "expected a file's path"}};
  for (const auto& [text, part] : expected) {
    const std::string said = refusal(text);
    EXPECT_NE(said.find(part), std::string::npos) << text << ": " << said;
    EXPECT_EQ(said.find("workload '" + text + "': "), part == "accepted" ? said.npos : 0) << said;
  }
}

TEST(Workloads, LockLoopNamesTheUnknownLock) {
  EXPECT_THROW(make_workload<P>("lock_loop", "mutex", 1), std::invalid_argument);
}

// The workloads that need nothing but a scheme.
std::vector<std::string> plain_workloads() {
  std::vector<std::string> names;
  for (const Entry& entry : workload_catalogue())
    if (!entry.needs_lock && entry.name != std::string("replay")) names.emplace_back(entry.name);
  return names;
}

class EveryWorkload : public testing::TestWithParam<std::string> {};

TEST_P(EveryWorkload, RunsCleanOnItsSchemes) {
  const bool needs_files = choose_workload(GetParam()).entry().needs_files;
  for (const std::string scheme : {"mmap_sem", "refcount", "linux"}) {
    if (needs_files && scheme != "linux") continue;
    TrialSpec spec = short_trial(GetParam(), scheme, 2);
    spec.trial_case.duration_s = 0.02;
    const json record = run_long_enough(spec);
    EXPECT_EQ(record["status"], "ok") << spec.trial_case.name() << ": " << record["reason"];
    for (const auto& [kind, counts] : record["kinds"].items())
      EXPECT_EQ(counts["errors"], 0) << spec.trial_case.name() << " " << kind;
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryWorkload, testing::ValuesIn(plain_workloads()),
                         [](const auto& parameter) { return parameter.param; });

TEST(Workloads, LockLoopRunsOnEveryPrimitive) {
  for (const std::string& lock : stars_of(lock_families, true))
    for (const char* text :
         {"lock_loop", "lock_loop:section=50:gap=50:read=50:ranges=random",
          "lock_loop:section=50:read_section=20:read_gap=9:write_every=4:update=beside",
          "lock_loop:readers=1:update=apart"}) {
      TrialSpec spec = short_trial(text, lock, 2);
      spec.trial_case.duration_s = 0.02;
      const json record = run_long_enough(spec);
      EXPECT_EQ(record["status"], "ok") << spec.trial_case.name() << ": " << record["reason"];
      EXPECT_GT(record["kinds"]["lock"]["count"].get<u64>(), 0u) << spec.trial_case.name();
    }
}

TEST(PageFault, TouchesEveryPageOnceBetweenMapAndUnmap) {
  const std::vector<Call> calls = run_fake("page_fault1:size=64K", 1).calls;
  constexpr usize pages = 16;
  ASSERT_GT(calls.size(), 2 * (pages + 2));
  for (usize round = 0; round < 2; ++round) {
    const Call* call = &calls[round * (pages + 2)];
    const u64 region = call->address;
    EXPECT_EQ(call->kind, Operation::map);
    EXPECT_EQ(call->length, pages * page_size);
    for (usize page = 0; page < pages; ++page) {
      EXPECT_EQ((++call)->kind, Operation::fault);
      EXPECT_EQ(call->address, region + page * page_size);
    }
    EXPECT_EQ((++call)->kind, Operation::unmap);
    EXPECT_EQ(call->address, region);
    EXPECT_EQ(call->length, pages * page_size);
  }
}

TEST(SmallAllocs, ReadsEveryPageOnceAndUnmapsNothingAtFirst) {
  const std::vector<Call> calls = run_fake("small_allocs", 1).calls;
  constexpr usize pages = 10;
  ASSERT_GT(calls.size(), 3 * (pages + 1));
  for (usize region = 0; region < 3; ++region) {
    const Call* call = &calls[region * (pages + 1)];
    const u64 start = call->address;
    EXPECT_EQ(call->kind, Operation::map);
    EXPECT_EQ(call->length, pages * page_size);
    EXPECT_EQ(call->prot, prot_read);
    for (usize page = 0; page < pages; ++page) {
      EXPECT_EQ((++call)->kind, Operation::fault);
      EXPECT_EQ(call->address, start + page * page_size);
    }
  }
}

TEST(Stack, GrowsPageByPageAndIsUnmappedAsAWhole) {
  const std::vector<Call> calls = run_fake("stack:pages=4", 1).calls;
  constexpr usize pages = 4;
  ASSERT_GT(calls.size(), pages + 2);
  const u64 end = calls[0].address + page_size;
  EXPECT_EQ(calls[0].kind, Operation::map);
  EXPECT_EQ(calls[0].length, page_size);
  for (usize page = 1; page <= pages; ++page) {
    EXPECT_EQ(calls[page].kind, Operation::fault);
    EXPECT_EQ(calls[page].address, end - page * page_size);
  }
  EXPECT_EQ(calls[pages + 1].kind, Operation::unmap);
  EXPECT_EQ(calls[pages + 1].address, end - pages * page_size);
  EXPECT_EQ(calls[pages + 1].length, pages * page_size);
}

TEST(ClearPages, CountsFaultsAndAsksNothingOfTheAddressSpace) {
  const FakeRun run = run_fake("clear_pages:size=64K", 2);
  EXPECT_GT(run.record["kinds"]["fault"]["count"].get<u64>(), 0u);
  EXPECT_TRUE(run.calls.empty());
}

TEST(Line, CountsLoadsAsReadsAndAllElseAsWrites) {
  const auto counts = [](const std::string& workload, u32 threads) {
    const FakeRun run = run_fake(workload, threads);
    EXPECT_TRUE(run.calls.empty());
    std::set<std::string> kinds;
    for (const auto& [kind, entry] : run.record["kinds"].items())
      if (entry["count"].get<u64>() > 0) kinds.insert(kind);
    return kinds;
  };
  const std::set<std::string> reads = {"read"}, writes = {"write"};
  EXPECT_EQ(counts("line:op=load", 2), reads);
  EXPECT_EQ(counts("line:op=read_write", 1), writes);
  for (const char* writing : {"line", "line:op=store", "line:op=cas", "line:own=on", "line:gap=50"})
    EXPECT_EQ(counts(writing, 2), writes) << writing;
}

TEST(PageFault, ThreadsStartOutOfStep) {
  const std::vector<Call> calls = run_fake("page_fault1:size=64K", 4).calls;
  std::set<u64> depths;
  for (u32 thread = 0; thread < 4; ++thread) {
    const std::vector<Call> own = of_thread(calls, thread);
    if (own.size() < 2) GTEST_SKIP() << "thread " << thread << " did not get to run";
    depths.insert(own[1].address - own[0].address);
  }
  EXPECT_EQ(depths.size(), 4u);
}

void expect_places_apart(const std::string& workload, u64 bytes) {
  const std::vector<Call> calls = run_fake(workload, 2).calls;
  std::map<u32, std::set<u64>> places;
  for (const Call& call : calls) places[call.thread].insert(call.address);
  ASSERT_EQ(places.size(), 2u) << workload;
  EXPECT_EQ(places[0].size(), 1u) << workload;
  EXPECT_EQ(places[1].size(), 1u) << workload;
  EXPECT_EQ(*places[1].begin() - *places[0].begin(), bytes) << workload;
}
TEST(Local, PlacesAreAMebibyteApartOrAsFarAsAsked) {
  expect_places_apart("local", u64{1} << 20);
  expect_places_apart("local:spacing=2M", u64{2} << 20);
}

u64 count_of(const json& record, const char* kind) {
  return record["kinds"].contains(kind) ? record["kinds"][kind]["count"].get<u64>() : 0;
}

TEST(Local, AFaultIsAPartOfItsPageWrite) {
  const FakeRun run = run_fake("local", 1);
  const std::vector<Operation> turn = {Operation::map, Operation::fault, Operation::write,
                                       Operation::unmap};
  ASSERT_GT(run.calls.size(), turn.size());
  for (usize i = 0; i < turn.size(); ++i) EXPECT_EQ(run.calls[i].kind, turn[i]) << i;
  EXPECT_EQ(count_of(run.record, "write"), count_of(run.record, "fault"));
  EXPECT_EQ(run.record["operations"], count_of(run.record, "map") + count_of(run.record, "write") +
                                          count_of(run.record, "unmap"));
}

TEST(Pipeline, EachPageIsWrittenByItsOwnerThenWrittenAndUnmappedByTheOneBefore) {
  constexpr u32 threads = 3;
  const FakeRun run = run_fake("pipeline", threads);
  std::map<u64, std::vector<Call>> by_page;
  for (const Call& call : run.calls) by_page[call.address].push_back(call);
  EXPECT_GT(by_page.size(), threads);
  const std::vector<Operation> turn = {Operation::map, Operation::fault, Operation::write,
                                       Operation::write, Operation::unmap};
  for (const auto& [page, calls] : by_page)
    for (usize i = 0; i < std::min(calls.size(), turn.size()); ++i) {
      EXPECT_EQ(calls[i].kind, turn[i]) << i;
      const u32 owner = calls[0].thread;
      EXPECT_EQ(calls[i].thread, i < 3 ? owner : (owner + threads - 1) % threads) << i;
    }
}

TEST(Pipeline, EachThreadMapsItsPlacesInTurnFarFromTheOthers) {
  const std::vector<Call> calls = run_fake("pipeline", 2).calls;
  std::map<u32, std::vector<u64>> maps;
  for (const Call& call : calls)
    if (call.kind == Operation::map) maps[call.thread].push_back(call.address);
  ASSERT_GT(maps[0].size(), 2u);
  ASSERT_FALSE(maps[1].empty());
  for (const auto& [thread, pages] : maps)
    for (usize round = 1; round < pages.size(); ++round)
      ASSERT_EQ(pages[round] - pages[0], round % 80 * (u64{1} << 20)) << thread << " " << round;
  EXPECT_EQ(maps[1][0] - maps[0][0], u64{16} << 30);
}

// The pages that each thread wrote in its rounds, in order.
std::map<u32, std::vector<std::vector<u64>>> rounds_of(const std::vector<Call>& calls) {
  std::map<u32, std::vector<std::vector<u64>>> rounds;
  for (const Call& call : calls) {
    EXPECT_NE(call.kind, Operation::unmap);
    if (call.kind == Operation::map) rounds[call.thread].emplace_back();
    if (call.kind == Operation::write) rounds[call.thread].back().push_back(call.address);
  }
  return rounds;
}

TEST(Global, AThreadWritesEachPageThatItDrawsOnceARound) {
  constexpr u32 threads = 3;
  constexpr usize pages = 16 * threads;
  const FakeRun run = run_fake("global", threads);
  for (auto& [thread, rounds] : rounds_of(run.calls)) {
    ASSERT_GT(rounds.size(), 1u);
    rounds.pop_back();  // the calls that are kept may end in it
    for (const std::vector<u64>& written : rounds) {
      const std::set<u64> distinct(written.begin(), written.end());
      EXPECT_EQ(distinct.size(), written.size());
      EXPECT_LE(*distinct.rbegin() - *distinct.begin(), (pages - 1) * page_size);
      EXPECT_GT(written.size(), pages / 3);
      EXPECT_LT(written.size(), pages * 9 / 10);
    }
  }
}

TEST(Global, AllThreadsWriteInOneOrderOrEachInItsOwn) {
  for (const char* order : {"same", "own"}) {
    auto rounds = rounds_of(run_fake(std::string("global:order=") + order, 2).calls);
    ASSERT_FALSE(rounds[0].empty());
    ASSERT_FALSE(rounds[1].empty());
    EXPECT_EQ(rounds[0][0] == rounds[1][0], order == std::string("same")) << order;
  }
}

TEST(Global, AWindowHoldsWholeRoundsAndOneAtLeast) {
  constexpr u64 threads = 3;
  for (double duration_s : {1e-6, 0.05}) {
    TrialSpec spec = short_trial("global", "fake", threads);
    spec.trial_case.duration_s = duration_s;
    spec.counters = false;
    const json record = run_trial_on(spec, fake_arenas(spec, [](FakeSpace&) {}));
    ASSERT_EQ(record["status"], "ok") << record["reason"];
    EXPECT_GE(count_of(record, "map"), threads);
    EXPECT_EQ(count_of(record, "map") % threads, 0u);
    // In one order all threads write the same pages of a round.
    EXPECT_EQ(count_of(record, "write") % threads, 0u);
    EXPECT_GT(count_of(record, "write"), count_of(record, "map"));
  }
}

TEST(Mix, KeepsItsRatioAndEveryFaultFindsItsPageMissing) {
  for (const auto& [text, faults, updates] : std::vector<std::tuple<std::string, double, double>>{
           {"mix", 9, 1},
           {"mix:faults=1", 1, 1},
           {"mix:faults=1:updates=3", 1, 3},
           {"mix:faults=40:updates=3:discard=on", 40, 3},
           {"mix:faults=0", 0, 1}}) {
    const FakeRun run = run_fake(text, 1);
    double faulted = 0;
    double updated = 0;
    for (const Call& call : run.calls) {
      faulted += call.kind == Operation::fault;
      updated += call.kind == Operation::unmap || call.kind == Operation::discard;
      if (call.kind == Operation::fault) {
        ASSERT_TRUE(call.fresh) << text;
      }
    }
    EXPECT_NEAR(faulted * updates, updated * faults, (faults + updates) * updates) << text;
    EXPECT_GT(updated, 10) << text;
  }
}

TEST(Mix, PrivateRegionsDoNotOverlap) {
  const std::vector<Call> calls = run_fake("mix", 3).calls;
  std::map<u32, Range> regions;
  for (const Call& call : calls) {
    Range& region = regions.try_emplace(call.thread, Range{~u64{0}, 0}).first->second;
    region.start = std::min(region.start, call.address);
    region.end = std::max(region.end, call.address + page_size);
  }
  for (const auto& [thread, region] : regions)
    for (const auto& [other, others] : regions)
      if (thread != other) {
        EXPECT_FALSE(region.overlaps(others)) << thread << " " << other;
      }
}

TEST(Mix, FaultersFaultAndUpdatersUpdate) {
  const FakeRun run = run_fake("mix", 2, "faulters:1,updaters:1");
  for (const Call& call : of_thread(run.calls, 0)) {
    ASSERT_TRUE(call.kind == Operation::fault || call.kind == Operation::discard ||
                call.length == 64 * 16 * page_size);  // the region itself
    ASSERT_TRUE(call.kind != Operation::fault || call.fresh);
  }
  for (const Call& call : of_thread(run.calls, 1)) ASSERT_NE(call.kind, Operation::fault);
}

TEST(Mix, FaultsOnASharedRegionThatIsBeingReplacedAreCountedAsErrors) {
  TrialSpec spec = short_trial("mix:shared=on", "mmap_sem", 4);
  spec.trial_case.duration_s = 0.3;
  const json record = run_long_enough(spec);
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_LT(record["kinds"]["fault"]["errors"].get<u64>(),
            record["kinds"]["fault"]["count"].get<u64>());
}

TEST(Threads, StackHasAGuardPageThatIsNeverTouched) {
  const std::vector<Call> calls = run_fake("threads", 1).calls;
  ASSERT_GT(calls.size(), 13u);
  EXPECT_EQ(calls[0].kind, Operation::map);
  EXPECT_EQ(calls[1].kind, Operation::protect);
  EXPECT_EQ(calls[1].address, calls[0].address);
  EXPECT_EQ(calls[1].length, page_size);
  EXPECT_EQ(calls[1].prot, prot_none);
  std::set<u64> guards;
  u64 maps = 0;
  u64 unmaps = 0;
  for (const Call& call : calls) {
    if (call.kind == Operation::protect) guards.insert(call.address);
    maps += call.kind == Operation::map;
    unmaps += call.kind == Operation::unmap;
    if (call.kind == Operation::fault) {
      ASSERT_FALSE(guards.contains(page_floor(call.address)));
    }
  }
  EXPECT_NEAR(static_cast<double>(maps), static_cast<double>(unmaps), 3);
}

TEST(LockLoop, DisjointAndInterleavedRangesNeverWaitForOneAnother) {
  for (const char* ranges : {"disjoint", "interleaved"}) {
    TrialSpec spec =
        short_trial(std::string("lock_loop:section=200:ranges=") + ranges, "tree_range_lock", 2);
    const json record = run_long_enough(spec);
    ASSERT_EQ(record["status"], "ok") << record["reason"];
    u64 acquired = 0;
    for (const auto& [name, count] : record["events"].items()) {
      if (name.find("wait") != std::string::npos) {
        EXPECT_EQ(count, 0) << ranges << " " << name;
      }
      ++acquired;
    }
    EXPECT_GT(acquired, 0u) << ranges;
  }
}

// An arrival does not take the line on which the others wait.
static_assert(sizeof(Barrier<P>) == 2 * cache_line);

TEST(Barrier, OpensForAllWhenAllHaveCome) {
  constexpr u32 threads = 3;
  Window<P> window;
  Barrier<P> barrier;
  std::atomic<u32> together{0};
  std::atomic<u32> out_of_step{0};
  std::vector<std::thread> running;
  for (u32 i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      const NativeThread registered(i, 0, 0, 1);
      Worker<P> worker(nullptr, window, i, threads, Role::all, false, nullptr);
      for (u32 round = 0; round < 200; ++round) {
        ++together;
        EXPECT_TRUE(barrier.wait(worker));
        if (together.load() < (round + 1) * threads) ++out_of_step;
        EXPECT_FALSE(worker.excused());
      }
    });
  for (std::thread& thread : running) thread.join();
  EXPECT_EQ(out_of_step, 0u);
}

TEST(Barrier, AFailedThreadFreesThoseWhoWait) {
  Window<P> window;
  Barrier<P> barrier;
  std::atomic<bool> came_back{false};
  std::thread waiting([&] {
    const NativeThread registered(0, 0, 0, 1);
    Worker<P> worker(nullptr, window, 0, 2, Role::all, false, nullptr);
    EXPECT_FALSE(barrier.wait(worker));
    EXPECT_TRUE(worker.excused());
    came_back = true;
  });
  // The window's close does not free it: the other thread completes the round.
  window.phase.store(phase_stop);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(came_back);
  window.phase.store(phase_failed);
  waiting.join();
}

TEST(Worker, CountsWhatCompletedUpToTheLastWholeRound) {
  const NativeThread registered(0, 0, 0, 1);
  Window<P> window;
  Worker<P> worker(nullptr, window, 0, 1, Role::all, false, nullptr);
  const auto work = [&](u32 operations) {
    for (u32 i = 0; i < operations; ++i) worker.count(Operation::lock, [] { return true; });
  };
  worker.begin_rounds();
  work(5);
  window.phase.store(phase_measure);
  work(7);  // in the round in which the window opens
  EXPECT_TRUE(worker.end_round(worker.phase()));
  for (u32 round = 0; round < 2; ++round) {
    work(10);
    EXPECT_TRUE(worker.end_round(worker.phase()));
  }
  const u64 ended = P::now();
  work(3);  // in the round in which the window closes
  window.phase.store(phase_stop);
  worker.finish();
  EXPECT_EQ(worker.tally().operations[static_cast<usize>(Operation::lock)], 20u);
  EXPECT_EQ(worker.tally().rounds, 2u);
  EXPECT_LE(worker.tally().last_ns, ended);
}

TEST(Worker, AnAccessToAMappedPageIsNoFault) {
  const NativeThread registered(0, 0, 0, 1);
  Window<P> window;
  FakeSpace space;
  space.map(page_size, page_size, prot_read | prot_write, map_fixed);
  Worker<P> worker(&space, window, 0, 1, Role::all, false, nullptr);
  window.phase.store(phase_measure);
  worker.count(Operation::lock, [] { return true; });  // opens the count
  EXPECT_EQ(worker.fault(page_size, Access::write), Error::none);
  EXPECT_EQ(worker.fault(page_size, Access::write), Error::none);
  EXPECT_EQ(worker.read(page_size), Error::none);
  EXPECT_EQ(worker.write(2 * page_size), Error::segv);
  window.phase.store(phase_stop);
  worker.finish();
  const auto count = [&](Operation kind) {
    return worker.tally().operations[static_cast<usize>(kind)];
  };
  EXPECT_EQ(count(Operation::fault), 2u);
  EXPECT_EQ(count(Operation::write), 2u);
  EXPECT_EQ(count(Operation::read), 1u);
  EXPECT_EQ(worker.tally().nested, 1u);
  EXPECT_EQ(worker.tally().errors[static_cast<usize>(Operation::write)], 1u);
}

TEST(Worker, AnIdleThreadsCountEndsWhenItBeganToWait) {
  const NativeThread registered(0, 0, 0, 1);
  Window<P> window;
  Worker<P> worker(nullptr, window, 0, 2, Role::all, false, nullptr);
  window.phase.store(phase_measure);
  for (u32 i = 0; i < 5; ++i) worker.count(Operation::lock, [] { return true; });
  worker.about_to_wait();
  const u64 waiting = P::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  window.phase.store(phase_stop);
  worker.finish();
  EXPECT_EQ(worker.tally().operations[static_cast<usize>(Operation::lock)], 4u);
  EXPECT_LE(worker.tally().last_ns, waiting);
}

}  // namespace
}  // namespace faultline
