#include "harness/check/common/pool.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace faultline::check {
namespace {

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

}  // namespace

void run_in_children(const std::vector<std::function<std::string()>>& jobs, usize at_once,
                     const std::function<void(usize, const Answer&)>& done) {
  std::vector<Child> children;
  for (usize next = 0; next < jobs.size() || !children.empty();) {
    while (next < jobs.size() && children.size() < at_once) {
      children.push_back(start(jobs[next], next));
      ++next;
    }
    std::vector<pollfd> polls;
    for (const Child& child : children) polls.push_back({child.pipe, POLLIN, 0});
    poll(polls.data(), polls.size(), -1);
    for (usize i = polls.size(); i-- > 0;) {
      if (polls[i].revents == 0 || read_some(children[i])) continue;
      Child child = std::move(children[i]);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      done(child.job, end_of(child));
    }
  }
}

}  // namespace faultline::check
