// An installation runs after it has been moved, and nothing in it names the source tree.
#include <filesystem>
#include <fstream>

#include "results/reader.hpp"
#include "tests/harness/command_line.hpp"
#include "tests/harness/sim_threads.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

bool holds(const fs::path& file, const std::string& text) {
  return sample::text_of(file.string()).find(text) != std::string::npos;
}

// One installation for all tests of the suite. It is moved once after it was made.
class Installation : public CommandLine {
 protected:
  static void SetUpTestSuite() {
    place_ = std::make_unique<sample::TemporaryDirectory>();
    const fs::path build = fs::path(FAULTLINE_BINARY).parent_path();
    const std::string command =
        fmt::format("cmake --install '{}' --prefix '{}' >'{}' 2>&1", build.string(),
                    place_->file("first"), place_->file("log"));
    ASSERT_EQ(std::system(command.c_str()), 0) << sample::text_of(place_->file("log"));
    fs::rename(place_->file("first"), place_->file("moved"));
  }
  static void TearDownTestSuite() { place_.reset(); }

  static fs::path prefix() { return place_->file("moved"); }

  Outcome run_installed(const std::string& arguments) const {
    return run_program(prefix() / "bin/faultline", arguments);
  }
  void expect_success(const std::string& arguments) const {
    const Outcome outcome = run_installed(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << arguments << '\n' << outcome.out << outcome.errors;
  }

 private:
  static inline std::unique_ptr<sample::TemporaryDirectory> place_;
};

TEST_F(Installation, NamesNoFolderOfTheSourceTreeOrTheBuild) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(prefix()))
    EXPECT_FALSE(entry.is_symlink() && fs::read_symlink(entry).is_absolute()) << entry.path();
  if (holds(prefix() / "bin/faultline", ".debug_info"))
    GTEST_SKIP() << "the debug information of this build names its source files";
  const std::string build = fs::path(FAULTLINE_BINARY).parent_path().string();
  for (const fs::directory_entry& program : fs::directory_iterator(prefix() / "bin")) {
    EXPECT_FALSE(holds(program.path(), FAULTLINE_SOURCE_DIR "/")) << program.path();
    EXPECT_FALSE(holds(program.path(), build + "/")) << program.path();
  }
}

TEST_F(Installation, ListsMeasuresAndReplaysTheSampleTrace) {
  const Outcome list = run_installed("list");
  EXPECT_EQ(list.exit_code, 0) << list.errors;
  EXPECT_NE(list.out.find("e7-8870"), std::string::npos) << list.out;
  expect_success(
      "run --workload local --scheme none --threads 1 --duration 20ms --warmup 1ms --repetitions 1 "
      "--latency-repetitions 0 --no-ceiling --out run.json");
  const std::string trace = (prefix() / "share/faultline/traces/pack.txt.xz").string();
  expect_success("run --workload replay:file=" + trace +
                 " --scheme mmap_sem --threads 2 --duration 20ms --warmup 1ms --repetitions 1 "
                 "--latency-repetitions 0 --no-ceiling --out replay.json");
}

TEST_F(Installation, SimulatesOnAPresetAndDrawsTheResult) {
  if (!simulator_runs) GTEST_SKIP() << no_simulator;
  expect_success(
      "sim --workload local --machine e7-8870 --scheme mmap_sem:lock=rwsem_2012 --kernel-entry "
      "--cpus 1,10,20 --seeds 1 "
      "--duration 200us --warmup 20us --latency-repetitions 0 --no-ceiling --out sim.json");
  const Outcome fit = run_installed("fit sim.json");
  EXPECT_EQ(fit.exit_code, 0) << fit.errors;
  EXPECT_NE(fit.out.find("linux"), std::string::npos) << fit.out;
  expect_success("report sim.json -o report.html --svg svg");
  EXPECT_TRUE(holds(folder_.file("report.html"), "simulated on e7-8870"));
  EXPECT_TRUE(holds(folder_.file("svg/throughput.svg"), "<svg"));
}

TEST_F(Installation, ChecksALock) {
  if (!fs::exists(prefix() / "bin/faultline-check")) GTEST_SKIP() << "this build has no checker";
  expect_success("check ticket");
}

}  // namespace
}  // namespace faultline
