#include "harness/cli/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace faultline {
namespace {

// Blocks the signals that run_child waits for, in this thread, for this object's life.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigemptyset(&waited_for_);
    for (int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&waited_for_, signal);
    pthread_sigmask(SIG_BLOCK, &waited_for_, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  const sigset_t& before() const { return before_; }
  // The next of them, or 0 after a tenth of a second: another thread may have taken a SIGCHLD.
  int next() const {
    const timespec limit{0, 100'000'000};
    const int signal = sigtimedwait(&waited_for_, nullptr, &limit);
    return signal < 0 ? 0 : signal;
  }

 private:
  sigset_t waited_for_;
  sigset_t before_;
};

class SpawnOptions {
 public:
  SpawnOptions(const BlockedSignals& signals, const std::string& stdout_file,
               const std::string& stderr_file) {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (int signal : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &signals.before());
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    redirect(STDOUT_FILENO, stdout_file);
    redirect(STDERR_FILENO, stderr_file);
  }
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

 private:
  void redirect(int stream, const std::string& file) {
    if (!file.empty())
      posix_spawn_file_actions_addopen(&files, stream, file.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                       0666);
  }
};

pid_t spawn(const std::vector<std::string>& arguments, const SpawnOptions& options) {
  std::vector<char*> pointers;
  for (const std::string& argument : arguments)
    pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, pointers[0], &options.files, &options.attributes,
                                 pointers.data(), environ);
  if (error != 0)
    throw std::runtime_error("cannot run " + arguments[0] + ": " + std::strerror(error));
  return pid;
}

}  // namespace

std::string find_program(const std::string& program) {
  if (program.find('/') != std::string::npos)
    return access(program.c_str(), X_OK) == 0 ? program : "";
  const char* variable = std::getenv("PATH");
  const std::string path = variable == nullptr ? "/usr/bin:/bin" : variable;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    const std::string folder = end == at ? "." : path.substr(at, end - at);
    const std::string candidate = folder + "/" + program;
    if (!program.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return "";
}

ChildResult run_child(const std::vector<std::string>& arguments, const std::string& stdout_file,
                      const std::string& stderr_file) {
  const BlockedSignals signals;
  const SpawnOptions options(signals, stdout_file, stderr_file);
  const pid_t pid = spawn(arguments, options);
  ChildResult result;
  int status = 0;
  for (pid_t ended = 0; ended != pid;) {
    if (const int signal = signals.next(); signal == SIGINT || signal == SIGTERM) {
      result.interrupted = true;
      kill(pid, signal);
    }
    ended = waitpid(pid, &status, WNOHANG);
    if (ended < 0 && errno != EINTR)
      throw std::runtime_error("cannot wait for " + arguments[0] + ": " + std::strerror(errno));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace faultline
