#include "results/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace faultline {
namespace {

using Clock = std::chrono::steady_clock;

// How long an interrupted trial may take to end by itself: an observer writes its file.
constexpr double farewell_s = 2;

Clock::time_point in(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

[[noreturn]] void fail(const std::string& what, int error = errno) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

struct Pipe {
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe");
    read.reset(ends[0]);
    write.reset(ends[1]);
    fcntl(read.get(), F_SETFL, O_NONBLOCK);
  }
  Descriptor read;
  Descriptor write;
};

// The whole text in memory: no pipe to fill while the child fills another.
int text_file(const std::string& text) {
  const int fd = memfd_create("trial", MFD_CLOEXEC);
  if (fd < 0 || write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    fail("cannot pass on the trial's spec");
  lseek(fd, 0, SEEK_SET);
  return fd;
}

// Takes what there is; true while the stream may have more later.
bool take(int fd, std::string& into) {
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got > 0) into.append(buffer, static_cast<size_t>(got));
    if (got == 0) return false;
    if (got < 0 && errno != EINTR) return errno == EAGAIN;
  }
}

void keep_tail(std::string& text) {
  constexpr size_t kept = 2000;
  if (text.size() > kept) text.erase(0, text.size() - kept);
}

// This program, by the path that the kernel was given where there is no /proc to ask.
std::string own_program() {
  if (access("/proc/self/exe", X_OK) == 0) return "/proc/self/exe";
  const auto* path = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return path == nullptr ? "/proc/self/exe" : path;
}

class Child {
 public:
  Child(const std::vector<std::string>& command, const std::string& input, Interrupts& interrupts)
      : interrupts_(interrupts) {
    const Descriptor spec(text_file(input));
    start(command, spec.get());
    out_.write.reset();
    error_.write.reset();
    // Not the C library's function: Debian 12 declares it without extern "C".
    ended_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (ended_.get() < 0) {
      const int error = errno;
      kill(-pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      fail("cannot watch a process", error);
    }
  }

  ChildOutput run(double limit_s) {
    ChildOutput result;
    auto end = in(limit_s);
    while (!step(result, end)) {
      if (Clock::now() > end) {
        result.timed_out = !result.interrupted;
        kill(-pid_, SIGKILL);
        end = Clock::time_point::max();
      }
      if (!result.interrupted && interrupts_.signal() != 0) {
        result.interrupted = true;
        kill(-pid_, SIGTERM);
        end = in(farewell_s);
      }
    }
    while (waitpid(pid_, &result.status, 0) < 0 && errno == EINTR) {
    }
    kill(-pid_, SIGKILL);  // helpers that outlived it
    take(out_.read.get(), result.out);
    take(error_.read.get(), result.error);
    keep_tail(result.error);
    return result;
  }

 private:
  void start(const std::vector<std::string>& command, int input) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_.write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, error_.write.get(), STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (int signal : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &interrupts_.mask_before());
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::string program = command[0] == "/proc/self/exe" ? own_program() : command[0];
    const int error =
        posix_spawnp(&pid_, program.c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) fail("cannot start " + command[0], error);
  }

  // Waits for news until `end`; true when the child has ended. Its streams do not tell: a helper of
  // its own may hold them open.
  bool step(ChildOutput& result, Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    const int wait_ms = static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 0, 60'000));
    pollfd news[] = {{ended_.get(), POLLIN, 0},
                     {out_open_ ? out_.read.get() : -1, POLLIN, 0},
                     {error_open_ ? error_.read.get() : -1, POLLIN, 0},
                     {result.interrupted ? -1 : interrupts_.file(), POLLIN, 0},
                     {result.interrupted ? -1 : interrupts_.noted(), POLLIN, 0}};
    if (poll(news, std::size(news), wait_ms) <= 0) return false;
    if (news[1].revents != 0) out_open_ = take(out_.read.get(), result.out);
    if (news[2].revents != 0) error_open_ = take(error_.read.get(), result.error);
    keep_tail(result.error);
    return news[0].revents != 0;
  }

  Interrupts& interrupts_;
  Pipe out_;
  Pipe error_;
  Descriptor ended_;
  pid_t pid_ = -1;
  bool out_open_ = true;
  bool error_open_ = true;
};

}  // namespace

Interrupts::Interrupts() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGINT);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_BLOCK, &watched, &before_);
  file_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  noted_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (file_ < 0 || noted_ < 0) fail("cannot watch for signals");
  pipe_before_ = ::signal(SIGPIPE, SIG_IGN);
}

Interrupts::~Interrupts() {
  signal();  // what is pending has been seen, and must not end the process now
  ::signal(SIGPIPE, pipe_before_);
  close(file_);
  close(noted_);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

int Interrupts::signal() {
  signalfd_siginfo info;
  while (read(file_, &info, sizeof(info)) == sizeof(info)) {
    int none = 0;
    signal_.compare_exchange_strong(none, static_cast<int>(info.ssi_signo));
    eventfd_write(noted_, 1);
  }
  return signal_;
}

ChildOutput run_process(const std::vector<std::string>& command, const std::string& input,
                        double limit_s, Interrupts& interrupts) {
  return Child(command, input, interrupts).run(limit_s);
}

}  // namespace faultline
