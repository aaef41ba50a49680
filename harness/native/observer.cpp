#include "harness/native/observer.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

namespace faultline {
namespace {

// Why a command that ended with waitpid's `status` has failed; empty if it has not. `interrupted`:
// stop() sent it SIGINT.
std::string failure_of(int status, bool interrupted) {
  if (WIFSIGNALED(status))
    return interrupted ? "" : "was ended by signal " + std::to_string(WTERMSIG(status));
  const int code = WEXITSTATUS(status);
  if (code == 0 || (interrupted && code == 128 + SIGINT)) return {};
  // The shell's codes for a command that is not executable (126) or not found (127).
  if (code == 126 || code == 127) return "could not be run";
  return "ended with exit code " + std::to_string(code);
}

}  // namespace

// The counters start last and stop first, so that they do not count the calls of getrusage.
void ThreadObserver::opened() {
  getrusage(RUSAGE_THREAD, &before_);
  counters_.start();
}
void ThreadObserver::closed() {
  counters_.stop();
  getrusage(RUSAGE_THREAD, &after_);
}

double ThreadObserver::cpu_seconds() const {
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(after_.ru_utime) + seconds(after_.ru_stime) - seconds(before_.ru_utime) -
         seconds(before_.ru_stime);
}

std::optional<u64> steal_ns(const std::vector<u32>& cpus) {
  const std::set<u32> wanted(cpus.begin(), cpus.end());
  std::ifstream stat("/proc/stat");
  std::optional<u64> ticks;
  for (std::string line; std::getline(stat, line);) {
    // user, nice, system, idle, iowait, irq, softirq, steal: proc(5)
    unsigned cpu = 0;
    u64 stolen = 0;
    if (line.starts_with("cpu ")) continue;  // the sum over all CPUs
    if (std::sscanf(line.c_str(), "cpu%u %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &cpu, &stolen) ==
            2 &&
        wanted.contains(cpu))
      ticks = ticks.value_or(0) + stolen;
  }
  if (ticks) *ticks *= 1'000'000'000 / static_cast<u64>(sysconf(_SC_CLK_TCK));
  return ticks;
}

// It forks by itself because run_process of results/process waits for the child's end, while this
// command runs beside the window until stop(). It cannot use Interrupts either: that class blocks
// signals in the calling thread and must be made before any other, and the measured threads exist.
WindowCommand::WindowCommand(const std::string& command) : text_(command) {
  const std::string pid = std::to_string(getpid());
  for (usize at; (at = text_.find("{pid}")) != std::string::npos;) text_.replace(at, 5, pid);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("cannot start the observer '" + text_ + "'");
  // The command gets a process group of its own, so that stop() reaches what the shell starts.
  // Parent and child both set it, since either may run first.
  setpgid(pid_, pid_);
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // This process's standard output carries the trial's record.
  dup2(STDERR_FILENO, STDOUT_FILENO);
  execl("/bin/sh", "sh", "-c", text_.c_str(), nullptr);
  _exit(127);
}

std::string WindowCommand::stop() {
  if (pid_ < 0) return {};
  const pid_t pid = std::exchange(pid_, -1);
  int status = 0;
  pid_t ended = waitpid(pid, &status, WNOHANG);
  const bool interrupted = ended == 0;
  kill(-pid, SIGINT);
  for (int turn = 0; turn < 500 && ended == 0; ++turn) {
    ended = waitpid(pid, &status, WNOHANG);
    if (ended == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (ended == 0) {
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  const std::string why = failure_of(status, interrupted);
  return why.empty() ? why : "the observer '" + text_ + "' " + why;
}

}  // namespace faultline
