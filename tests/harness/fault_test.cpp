// The program while its surroundings fail: it is killed at any moment, its disk is full, its CPUs
// are taken away, its system calls are refused, /proc and /sys are gone. trial_test shows what a
// lock that hangs, spins for ever or crashes does to a trial; runner_test and cli_test show that
// the suite then goes on; journal_test has the full disk of a journal.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <random>

#include "harness/topology/pinned.hpp"
#include "results/journal.hpp"
#include "results/reader.hpp"
#include "tests/harness/command_line.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using Seconds = std::chrono::duration<double>;

// A short run of two cases, with windows long enough for a thread to be scheduled on a busy
// machine.
const std::string small_run =
    "run --workload local --scheme mmap_sem,none --threads 1 --duration 200ms --warmup 1ms "
    "--no-latency --steal-limit 1 --stall-limit 5s --repetitions ";

class Fault : public CommandLine {
 protected:
  // As run(), in a process that `prepare` has changed. Empty where `prepare` answers why it cannot
  // change it.
  std::optional<Outcome> run_in(const std::function<bool()>& prepare,
                                const std::string& arguments) const {
    constexpr int cannot = 99;
    const pid_t pid = fork();
    if (pid == 0) _exit(prepare() ? run(arguments).exit_code : cannot);
    const int status = end_of(pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == cannot) return std::nullopt;
    return Outcome{WEXITSTATUS(status), sample::text_of(out_.file("out")),
                   sample::text_of(out_.file("errors"))};
  }

  // Whether a shell in a mount namespace of its own can run `command`: for tests that mount.
  static bool can_mount(const std::string& command) {
    return std::system(fmt::format("unshare -m sh -c '{}' >/dev/null 2>&1", command).c_str()) == 0;
  }

  // Expects one line that names the trouble, after any output of the progress.
  static void expect_one_error(const Outcome& outcome, const std::string& about) {
    const usize line = outcome.errors.find("faultline: ");
    ASSERT_NE(line, std::string::npos) << outcome.errors;
    EXPECT_EQ(line + outcome.errors.substr(line).find('\n') + 1, outcome.errors.size())
        << outcome.errors;
    EXPECT_NE(outcome.errors.find(about, line), std::string::npos) << outcome.errors;
  }

  // A killed run may leave the result, the journal and a temporary file. Each of them must be
  // whole, except the journal's last line.
  void expect_readable_remains() const {
    for (const std::string& name : folder_.names())
      EXPECT_TRUE(name.starts_with("results.json")) << name;
    if (std::filesystem::exists(folder_.file("results.json"))) {
      EXPECT_TRUE(load_results(folder_.file("results.json")).contains("faultline"));
    }
    const std::string journal = folder_.file("results.json.journal");
    if (!std::filesystem::exists(journal)) return;
    const Outcome recovered = run("recover results.json.journal -o recovered.json");
    if (lines(journal) == 0) {  // killed within its first line, before anything was measured
      EXPECT_EQ(recovered.exit_code, 2);
      return;
    }
    EXPECT_EQ(recovered.exit_code, 0) << recovered.errors;
    const usize trials =
        static_cast<usize>(lines(journal) - 1 - (read_journal(journal).killed ? 0 : 1));
    EXPECT_EQ(read_journal(journal).trials.size(), trials);
    EXPECT_EQ(trials_in(load_results(folder_.file("recovered.json"))), trials);
  }

  void clear() const {
    for (const std::string& name : folder_.names()) std::filesystem::remove_all(folder_.file(name));
  }
};

TEST_F(Fault, KilledAtAnyMomentARunKeepsWhatItHasFinished) {
  // In windows this short a trial may complete nothing and fail. Its record is kept all the same.
  const std::vector<std::string> arguments = {
      "run",           "--workload", "local",    "--scheme", "mmap_sem,none", "--threads",     "1",
      "--duration",    "5ms",        "--warmup", "1ms",      "--no-latency",  "--steal-limit", "1",
      "--repetitions", "2"};
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(WIFEXITED(end_of(start(arguments))));
  const double whole_s = Seconds(std::chrono::steady_clock::now() - begin).count();
  clear();
  std::mt19937_64 random(20260725);
  for (int time = 0; time < 20; ++time) {
    const double after_s = whole_s * std::uniform_real_distribution<>(0, 1.1)(random);
    SCOPED_TRACE(fmt::format("killed after {:.3f} of {:.3f} s", after_s, whole_s));
    const pid_t pid = start(arguments);
    std::this_thread::sleep_for(Seconds(after_s));
    kill(pid, SIGKILL);
    end_of(pid);
    expect_readable_remains();
    clear();
  }
}

// A tmpfs of that many bytes on folder `full`, with a former result in it. After the run its files
// are copied to folder `kept`, since the mount ends with its namespace.
class FullDisk : public Fault {
 protected:
  // Room for the former result, the journal's header and `pages` more pages.
  Outcome run_with_room(usize pages, const std::string& repetitions) const {
    const usize bytes = (header_bytes() / 4096 + 2 + pages) * 4096;
    std::filesystem::create_directory(folder_.file("full"));
    std::filesystem::create_directory(folder_.file("kept"));
    sample::put_text(
        out_.file("script"),
        fmt::format(
            "mount -t tmpfs -o size={} none full && echo former >full/results.json || exit 99\n"
            "\"$@\"; status=$?; cp full/* kept; exit $status\n",
            bytes));
    return run(small_run + repetitions + " --out full/results.json",
               fmt::format("unshare -m sh '{}'", out_.file("script")));
  }

  // The bytes of a journal's first line, which grows with the machine.
  usize header_bytes() const {
    const pid_t pid =
        start_long_run({"run", "--workload", "local", "--scheme", "none", "--threads", "1",
                        "--duration", "20ms", "--repetitions", "1000", "--no-latency"});
    kill(pid, SIGKILL);
    end_of(pid);
    const usize bytes = sample::text_of(folder_.file("results.json.journal")).find('\n') + 1;
    clear();
    return bytes;
  }

  void SetUp() override {
    if (!can_mount("mount -t tmpfs -o size=64k none /mnt"))
      GTEST_SKIP() << "a file system may not be mounted here";
  }
};

TEST_F(FullDisk, WithoutRoomForMoreTrialsTheRunEndsAndKeepsThoseItHas) {
  const Outcome outcome = run_with_room(3, "200");
  EXPECT_EQ(outcome.exit_code, 2);
  expect_one_error(outcome, "No space left on device");
  EXPECT_EQ(sample::text_of(folder_.file("kept/results.json")), "former\n");
  const JournalContent journal = read_journal(folder_.file("kept/results.json.journal"));
  EXPECT_FALSE(journal.trials.empty());
  EXPECT_TRUE(journal.killed);
  EXPECT_EQ(run("recover kept/results.json.journal -o recovered.json").exit_code, 0);
  EXPECT_EQ(trials_in(load_results(folder_.file("recovered.json"))), journal.trials.size());
}

TEST_F(FullDisk, WithoutRoomForTheResultTheJournalAndTheFormerResultStay) {
  // The result repeats the header, and there is room for one of the two.
  const Outcome outcome = run_with_room(2, "1");
  EXPECT_EQ(outcome.exit_code, 2);
  expect_one_error(outcome, "faultline recover");
  EXPECT_EQ(sample::text_of(folder_.file("kept/results.json")), "former\n");
  EXPECT_EQ(read_journal(folder_.file("kept/results.json.journal")).trials.size(), 2U);
}

TEST_F(Fault, AReadOnlyFolderIsRefusedBeforeAnythingRuns) {
  std::filesystem::create_directory(folder_.file("fixed"));
  sample::put_text(folder_.file("fixed/results.json"), "former");
  std::string before = "chmod 555 fixed &&";
  if (geteuid() == 0) {  // permissions do not stop root
    if (!can_mount("mount -t tmpfs none /mnt && mount -o remount,ro /mnt"))
      GTEST_SKIP() << "root, and nothing may be mounted here";
    before =
        "unshare -m sh -c 'mount --bind fixed fixed && mount -o remount,ro,bind fixed && "
        "exec \"$@\"' sh";
  }
  const Outcome outcome = run(small_run + "1 --out fixed/results.json", before);
  EXPECT_EQ(outcome.exit_code, 2);
  expect_one_error(outcome, "cannot write");
  EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
  EXPECT_EQ(sample::text_of(folder_.file("fixed/results.json")), "former");
  std::filesystem::permissions(folder_.file("fixed"), std::filesystem::perms::owner_all);
}

// A run on the last of several CPUs. `in_window`, a shell command, takes that CPU away in the
// middle of each trial. {last} and {first} stand for CPUs.
class LostCpu : public Fault {
 protected:
  void SetUp() override {
    if (cpus_.size() < 2) GTEST_SKIP() << "one CPU: there is no other to be moved to";
  }

  std::string arguments(const std::string& in_window) const {
    return fmt::format(
        "run --workload local --scheme none --placement {} --threads 1 --duration 1500ms "
        "--repetitions 1 --no-latency --steal-limit 1 --out results.json --exec-in-window '{}'",
        cpus_.back(), in_window);
  }

  // Every trial reports that it lost its CPU, and none counts.
  void expect_told(const Outcome& outcome) const {
    EXPECT_EQ(outcome.exit_code, 1) << outcome.errors;
    const json part = load_results(folder_.file("results.json"))["faultline"];
    EXPECT_FALSE(part["cases"][0].contains("throughput"));
    const std::string lost = fmt::format("CPU {}", cpus_.back());
    bool moved = false;
    for (const char* list : {"discarded", "failures"})
      for (const json& one : part[list]) {
        const std::string reason = one["reason"];
        EXPECT_NE(reason.find(lost), std::string::npos) << reason;
        moved = moved || reason.find("taken off") != std::string::npos;
      }
    EXPECT_TRUE(moved) << part["discarded"] << part["failures"];
  }

  const std::vector<u32> cpus_ = allowed_cpus();
};

TEST_F(LostCpu, ByItsAffinityIsToldAndTheTrialDiscarded) {
  expect_told(run(arguments(fmt::format("taskset -a -p -c {} {{pid}} >/dev/null", cpus_.front()))));
}

// A cpuset of the cgroup version that this machine has, with this test's CPUs in it. It is removed
// at the end.
class Cpuset {
 public:
  explicit Cpuset(const std::string& cpus) {
    for (const char* root : {"/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"}) {
      path_ = fmt::format("{}/faultline-test-{}", root, getpid());
      std::error_code error;
      if (!std::filesystem::create_directory(path_, error)) continue;
      const std::string mems = sample::text_of(std::string(root) + "/cpuset.mems");
      if (!mems.empty()) sample::put_text(path_ + "/cpuset.mems", mems);
      sample::put_text(path_ + "/cpuset.cpus", cpus);
      if (sample::text_of(path_ + "/cpuset.cpus").starts_with(cpus)) return;
      rmdir(path_.c_str());
    }
    path_.clear();
  }
  ~Cpuset() {
    // The last processes of the cpuset may need a moment to end.
    for (int i = 0; i < 100 && !path_.empty() && rmdir(path_.c_str()) != 0 && errno == EBUSY; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  Cpuset(const Cpuset&) = delete;
  Cpuset& operator=(const Cpuset&) = delete;

  // Empty where this machine allows no cpuset.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_F(LostCpu, ByItsCpusetIsToldAndTheTrialDiscarded) {
  const Cpuset set(fmt::format("{}-{}", cpus_.front(), cpus_.back()));
  if (set.path().empty()) GTEST_SKIP() << "no cpuset can be made here";
  expect_told(run(arguments(fmt::format("echo {} >{}/cpuset.cpus", cpus_.front(), set.path())),
                  fmt::format("echo $$ >{}/cgroup.procs &&", set.path())));
}

TEST_F(Fault, OneCpuIsEnough) {
  const std::string one = fmt::format("taskset -c {}", allowed_cpus().back());
  const Outcome outcome =
      run("run --workload local,mix --scheme mmap_sem,range_lock --duration 100ms --repetitions 1 "
          "--no-latency --steal-limit 1 --out results.json",
          one);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const json results = load_results(folder_.file("results.json"));
  for (const json& part : results["faultline"]["cases"]) EXPECT_EQ(part["threads"], 1);
  EXPECT_EQ(run("list --json", one).exit_code, 0);
  EXPECT_EQ(run("torture rwsem refcount --duration 100ms", one).exit_code, 0);
}

// From now on perf_event_open fails with `error` in this process and all its children. False where
// the kernel takes no filter.
bool refuse_perf_events(int error) {
#if defined(__x86_64__)
  constexpr u32 architecture = AUDIT_ARCH_X86_64;
#else
  constexpr u32 architecture = AUDIT_ARCH_AARCH64;
#endif
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<u32>(error)),
  };
  const sock_fprog filter = {static_cast<unsigned short>(std::size(program)), program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

struct Refusal {
  int error;
  const char* reason;
};

class RefusedCounters : public Fault, public testing::WithParamInterface<Refusal> {};

TEST_P(RefusedCounters, AreAbsentWithTheirReason) {
  const auto refuse = [] { return refuse_perf_events(GetParam().error); };
  const auto listed = run_in(refuse, "list --json");
  if (!listed) GTEST_SKIP() << "no seccomp filter can be set here";
  ASSERT_EQ(listed->exit_code, 0) << listed->errors;
  const json counters = json::parse(listed->out)["counters"];
  EXPECT_EQ(counters["available"], false);
  EXPECT_NE(counters["reason"].get<std::string>().find(GetParam().reason), std::string::npos)
      << counters;

  const auto measured = run_in(refuse, small_run + "1 --out results.json");
  ASSERT_EQ(measured->exit_code, 0) << measured->errors;
  const json results = load_results(folder_.file("results.json"));
  for (const json& one : results["faultline"]["cases"]) {
    EXPECT_FALSE(one["counters"].contains("events")) << one["counters"];
    EXPECT_NE(one["counters"]["absent"].get<std::string>().find(GetParam().reason),
              std::string::npos)
        << one["counters"];
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, RefusedCounters,
                         testing::Values(Refusal{EACCES, "perf_event_open is forbidden"},
                                         Refusal{ENOENT, "no PMU"},
                                         Refusal{EMFILE, "Too many open files"}),
                         [](const auto& test) {
                           return std::string(test.param.error == EACCES   ? "EACCES"
                                              : test.param.error == ENOENT ? "ENOENT"
                                                                           : "EMFILE");
                         });

// If hwloc finds a machine without details, it still knows the CPUs. If it is given an empty folder
// as the machine, it has not read this machine, so no thread can be pinned by its answer.
TEST_F(Fault, HwlocThatFindsNothingEndsInOneLineOrAFlatMachine) {
  const Outcome flat = run(small_run + "1 --out results.json", "HWLOC_COMPONENTS=-linux,-x86,-pci");
  EXPECT_EQ(flat.exit_code, 0) << flat.errors;
  EXPECT_GT(load_results(folder_.file("results.json"))["faultline"]["machine"]["cpus"], 0);
  clear();
  std::filesystem::create_directory(out_.file("empty"));
  const Outcome empty =
      run(small_run + "1 --out results.json", fmt::format("HWLOC_FSROOT={}", out_.file("empty")));
  EXPECT_NE(empty.exit_code, 0);
  expect_one_error(empty, "topology");
  EXPECT_TRUE(folder_.names().empty());
}

// Mounts an empty file system over each of `folders`.
std::string without(const std::string& folders) {
  return fmt::format(
      "unshare -m sh -c 'for folder in {}; do mount -t tmpfs none $folder || exit 99; done; exec "
      "\"$@\"' sh",
      folders);
}

class NoFileSystem : public Fault, public testing::WithParamInterface<const char*> {};

TEST_P(NoFileSystem, StillMeasuresAndSaysWhatItDoesNotKnow) {
#if defined(__SANITIZE_ADDRESS__)
  if (std::string(GetParam()).starts_with("/proc"))
    GTEST_SKIP() << "LeakSanitizer fails, and cannot be told not to, without /proc";
#endif
  if (!can_mount("mount -t tmpfs none /proc")) GTEST_SKIP() << "nothing may be mounted here";
  const Outcome outcome = run(small_run + "1 --out results.json", without(GetParam()));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  const json part = load_results(folder_.file("results.json"))["faultline"];
  EXPECT_EQ(part["cases"].size(), 2U);
  for (const json& one : part["cases"]) EXPECT_TRUE(one.contains("throughput")) << one;
  EXPECT_LE(run("doctor", without(GetParam())).exit_code, 1);
  EXPECT_EQ(run("list", without(GetParam())).exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(Without, NoFileSystem, testing::Values("/proc", "/sys", "/proc /sys"),
                         [](const auto& test) {
                           const std::string folders = test.param;
                           return folders == "/proc"  ? "Proc"
                                  : folders == "/sys" ? "Sys"
                                                      : "Either";
                         });

}  // namespace
}  // namespace faultline
