// `faultline sim` as users run it.
#include <signal.h>

#include "results/reader.hpp"
#include "tests/harness/command_line.hpp"
#include "tests/harness/sim_threads.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;

const std::string tiny =
    "sim --workload local --scheme mmap_sem,refcount,linux --machine ideal-8 --cpus 1,4 "
    "--duration 100us --warmup 10us --seeds 2 --latency-repetitions 1 ";

class BadSimulation : public CommandLine, public testing::WithParamInterface<const char*> {};

TEST_P(BadSimulation, IsOneLineAndExitCode2AndLeavesNothing) {
  expect_refused(run(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, BadSimulation,
    testing::Values("sim --machine no_such", "sim --machine no_such.json",
                    "sim --workload local --machine e7-8870 --cpus 81",
                    "sim --workload local --machine ideal-8,ideal-4 --cpus 9",
                    "sim --workload local --cpus 0", "sim --workload local --cpus 1,two",
                    "sim --workload local --scheme no_such",
                    "sim --workload local --scheme linux --cpus 1",
                    "sim --workload local --scheme mmap_sem:lock=pthread_rwlock --cpus 1",
                    "sim --workload page_fault2 --cpus 1", "sim --workload no_such",
                    "sim --suite no_such", "run --suite sim-quick", "sim --seed -1",
                    "sim --seeds 0", "sim --processes 0", "sim --duration 0",
                    "sim --workload local --placement nowhere",
                    "sim --workload local --machine ideal-4 --placement 0-1 --cpus 4",
                    "sim --threads 2", "sim --workload local --cpus 1 --out no_such_folder/x.json",
                    "sim --workload local --machine ideal-8,ideal-4 --filter no_such",
                    "perturb --by 0", "perturb --suite no_such"));

class Simulation : public CommandLine {
 protected:
  void SetUp() override {
    if (!simulator_runs) GTEST_SKIP() << no_simulator;
  }
};

TEST_F(Simulation, TheSameCommandGivesTheSameBytes) {
  ASSERT_EQ(run(tiny + "--out a.json").exit_code, 0);
  const std::string first = sample::text_of(folder_.file("a.json"));
  ASSERT_EQ(run(tiny + "--out a.json").exit_code, 0);
  EXPECT_EQ(sample::text_of(folder_.file("a.json")), first);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"a.json"});
}

TEST_F(Simulation, TheResultSaysSimulatedMachineSeedsAndWhatWasLeftOut) {
  const Outcome outcome = run(tiny + "--seed 7 --out a.json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_NE(outcome.out.find("simulated on ideal-8, seeds 7-8"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("left out: linux: it runs natively only"), std::string::npos);
  const json part = load_results(folder_.file("a.json"))["faultline"];
  EXPECT_EQ(part["mode"], "sim");
  EXPECT_FALSE(part.contains("date"));
  EXPECT_EQ(part["machine"]["models"][0]["name"], "ideal-8");
  // Two schemes at two counts, and the ceiling at the greater count.
  ASSERT_EQ(part["cases"].size(), 5u);
  for (const json& one : part["cases"]) {
    EXPECT_EQ(one["machine"], "ideal-8");
    EXPECT_EQ(one["sim"]["seeds"], (json{7, 8}));
    EXPECT_EQ(one["throughput"]["repetitions"].size(), 2u);
  }
}

TEST_F(Simulation, CannotBeComparedWithAMeasurement) {
  ASSERT_EQ(run(tiny + "--out sim.json").exit_code, 0);
  ASSERT_EQ(
      run("run --workload local --scheme mmap_sem --threads 1 --duration 50ms --repetitions 1 "
          "--no-latency --steal-limit 1 --out native.json")
          .exit_code,
      0);
  const Outcome outcome = run("compare native.json sim.json");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.errors.find("expected the same mode"), std::string::npos) << outcome.errors;
}

TEST_F(Simulation, AMachineFileIsTakenAndABrokenOneRefused) {
  const std::string preset = FAULTLINE_SOURCE_DIR "/harness/sim/machine/presets/graviton3.json";
  json machine = json::parse(sample::text_of(preset));
  sample::put_text(folder_.file("mine.json"), machine.dump());
  const std::string arguments =
      "sim --workload local --scheme mmap_sem --machine mine.json --cpus 2 --duration 50us "
      "--warmup 10us --seeds 1 --no-latency --no-ceiling --out a.json";
  ASSERT_EQ(run(arguments).exit_code, 0);
  EXPECT_EQ(load_results(folder_.file("a.json"))["faultline"]["cases"][0]["machine"], "mine");
  machine.erase("latency");
  sample::put_text(folder_.file("mine.json"), machine.dump());
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.errors.find("mine.json: latency"), std::string::npos) << outcome.errors;
}

TEST_F(Simulation, CasesBeyondASmallerMachineAreLeftOut) {
  const Outcome outcome =
      run("sim --workload local --scheme mmap_sem --machine ideal-2,ideal-4 --cpus 4 --list-cases");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_NE(outcome.out.find("local/mmap_sem/compact/threads:4/on:ideal-4"), std::string::npos);
  EXPECT_EQ(outcome.out.find("ideal-2"), std::string::npos);
}

TEST_F(Simulation, AFilterMayLeaveCasesOnOneMachineAlone) {
  const Outcome outcome =
      run("sim --workload local --scheme mmap_sem --machine ideal-2,ideal-4 --cpus 2 "
          "--filter on:ideal-4 --list-cases");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_NE(outcome.out.find("ideal-4"), std::string::npos);
  EXPECT_EQ(outcome.out.find("ideal-2"), std::string::npos);
}

TEST_F(Simulation, ASignalKeepsWhatIsDone) {
  const pid_t pid =
      start_long_run({"sim", "--workload", "local", "--scheme", "mmap_sem", "--machine", "ideal-8",
                      "--cpus", "2", "--duration", "1ms", "--no-latency", "--seeds", "100000"});
  kill(pid, SIGINT);
  const int status = end_of(pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
  const json results = load_results(folder_.file("results.json"));
  EXPECT_GE(trials_in(results), 2U);
  EXPECT_FALSE(results["faultline"]["left_out"].empty());
}

TEST_F(Simulation, TheListNamesTheModelledMachines) {
  const json all = json::parse(run("list --json").out);
  std::vector<std::string> names;
  for (const json& machine : all["machines"]) names.push_back(machine["name"]);
  EXPECT_EQ(names.front(), "here");
  for (const char* name : {"e7-8870", "epyc-7742x2", "ideal-N"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

}  // namespace
}  // namespace faultline
