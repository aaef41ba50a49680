#include "harness/native/observer.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace faultline {

void ThreadUsage::opened() {
  getrusage(RUSAGE_THREAD, &before_);
}
void ThreadUsage::closed() {
  getrusage(RUSAGE_THREAD, &after_);
}

double ThreadUsage::cpu_seconds() const {
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(after_.ru_utime) + seconds(after_.ru_stime) - seconds(before_.ru_utime) -
         seconds(before_.ru_stime);
}

i64 steal_ns(const std::vector<u32>& cpus) {
  const std::set<u32> wanted(cpus.begin(), cpus.end());
  std::ifstream stat("/proc/stat");
  i64 ticks = -1;
  for (std::string line; std::getline(stat, line);) {
    unsigned cpu = 0;
    unsigned long long field[8] = {};
    if (std::sscanf(line.c_str(), "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &field[0],
                    &field[1], &field[2], &field[3], &field[4], &field[5], &field[6],
                    &field[7]) != 9 ||
        line[3] == ' ' || !wanted.contains(cpu))
      continue;
    ticks = (ticks < 0 ? 0 : ticks) + static_cast<i64>(field[7]);
  }
  return ticks < 0 ? -1 : ticks * (1'000'000'000 / sysconf(_SC_CLK_TCK));
}

WindowCommand::WindowCommand(const std::string& command) {
  std::string text = command;
  const std::string pid = std::to_string(getpid());
  for (usize at; (at = text.find("{pid}")) != std::string::npos;) text.replace(at, 5, pid);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("cannot start the observer '" + text + "'");
  if (pid_ != 0) return;
  setpgid(0, 0);  // its own group: stop() reaches what the shell starts
  // Standard output carries the trial's record.
  dup2(STDERR_FILENO, STDOUT_FILENO);
  execl("/bin/sh", "sh", "-c", text.c_str(), nullptr);
  _exit(127);
}

void WindowCommand::stop() {
  if (pid_ < 0) return;
  kill(-pid_, SIGINT);
  for (int turn = 0; turn < 500; ++turn) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace faultline
