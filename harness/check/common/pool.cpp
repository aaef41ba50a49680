#include "harness/check/common/pool.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

namespace faultline::check {
namespace {

constexpr int stop_signals[] = {SIGINT, SIGTERM};

volatile sig_atomic_t stopped_by = 0;

// While it lives, a stop signal is noted and ends poll().
class StopSignals {
 public:
  StopSignals() {
    stopped_by = 0;
    struct sigaction note = {};
    note.sa_handler = [](int signal) { stopped_by = signal; };
    for (usize i = 0; i < std::size(stop_signals); ++i)
      sigaction(stop_signals[i], &note, &before_[i]);
  }
  ~StopSignals() {
    for (usize i = 0; i < std::size(stop_signals); ++i)
      sigaction(stop_signals[i], &before_[i], nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  struct sigaction before_[std::size(stop_signals)];
};

struct Child {
  usize job;
  pid_t pid;
  int pipe;
  std::string text;
};

[[noreturn]] void answer(const std::function<std::string()>& job, int pipe) {
  const std::string text = job();
  for (usize written = 0; written < text.size();) {
    const ssize_t n = write(pipe, text.data() + written, text.size() - written);
    if (n <= 0) _exit(1);
    written += static_cast<usize>(n);
  }
  _exit(0);
}

Child start(const std::function<std::string()>& job, usize number) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("check: no pipe to a child");
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("check: no child");
  if (pid == 0) {
    // A terminal sends SIGINT to the children too. The parent ends them, or their death would look
    // like a crash.
    for (const int signal : stop_signals) ::signal(signal, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    answer(job, ends[1]);
  }
  close(ends[1]);
  return {number, pid, ends[0], ""};
}

Answer end_of(Child& child) {
  close(child.pipe);
  int status = 0;
  waitpid(child.pid, &status, 0);
  if (WIFSIGNALED(status)) return {{}, fmt::format("crashed: {}", strsignal(WTERMSIG(status)))};
  if (WEXITSTATUS(status) != 0) return {{}, "ended without an answer"};
  return {std::move(child.text), ""};
}

// True while the child may send more.
bool read_some(Child& child) {
  char buffer[4096];
  const ssize_t n = read(child.pipe, buffer, sizeof(buffer));
  if (n > 0) child.text.append(buffer, static_cast<usize>(n));
  return n > 0;
}

void stop(std::vector<Child>& children) {
  for (const Child& child : children) kill(child.pid, SIGKILL);
  for (Child& child : children) end_of(child);
  children.clear();
}

class Clock {
 public:
  bool is_time_to_tell() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return false;
    next_ = now + std::chrono::seconds(60);
    return true;
  }

 private:
  std::chrono::steady_clock::time_point next_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
};

// Waits until a child has sent something, or has ended, or for a second at most.
void take_answers(std::vector<Child>& children,
                  const std::function<void(usize, const Answer&)>& done) {
  std::vector<pollfd> polls;
  for (const Child& child : children) polls.push_back({child.pipe, POLLIN, 0});
  if (poll(polls.data(), polls.size(), 1000) <= 0) return;
  for (usize i = polls.size(); i-- > 0;) {
    if (polls[i].revents == 0 || read_some(children[i])) continue;
    Child child = std::move(children[i]);
    children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    done(child.job, end_of(child));
  }
}

}  // namespace

int run_in_children(const std::vector<std::function<std::string()>>& jobs, usize at_once,
                    const std::function<void(usize, const Answer&)>& done,
                    const Progress& progress) {
  const StopSignals signals;
  Clock clock;
  std::vector<Child> children;
  for (usize next = 0; next < jobs.size() || !children.empty();) {
    while (next < jobs.size() && children.size() < at_once) {
      children.push_back(start(jobs[next], next));
      ++next;
    }
    take_answers(children, done);
    if (stopped_by != 0) {
      stop(children);
      return stopped_by;
    }
    if (!progress || !clock.is_time_to_tell()) continue;
    std::vector<usize> under_way;
    for (const Child& child : children) under_way.push_back(child.job);
    progress(under_way);
  }
  return 0;
}

bool is_stopped() {
  return stopped_by != 0;
}

void end_by(int signal) {
  if (signal == 0) return;
  std::fflush(stdout);
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void end_early(int signal, const char* when) {
  if (signal != 0) fmt::print("stopped {}\n", when);
  end_by(signal);
}

}  // namespace faultline::check
