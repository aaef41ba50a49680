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
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace faultline {
namespace {

using Clock = std::chrono::steady_clock;

// How long an interrupted child may take to end by itself, so that a trial's observer can write its
// file.
constexpr double farewell_s = 2;

Clock::time_point in(double seconds) {
  constexpr double year_s = 365 * 86400.0;  // an infinite time has no Clock::duration
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(
                            std::chrono::duration<double>(std::min(seconds, year_s)));
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

// A file without a name that holds the text. A pipe could fill up while the child fills another.
int text_file(const std::string& text) {
  const int fd = memfd_create("faultline", MFD_CLOEXEC);
  size_t written = 0;
  while (fd >= 0 && written < text.size()) {
    const ssize_t put = write(fd, text.data() + written, text.size() - written);
    if (put < 0 && errno != EINTR) break;
    if (put > 0) written += static_cast<size_t>(put);
  }
  if (fd < 0 || written < text.size()) fail("cannot pass text to a process");
  lseek(fd, 0, SEEK_SET);
  return fd;
}

// Reads the available bytes. True while the stream may have more later.
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
  constexpr size_t kept = 64 << 10;
  if (text.size() > kept) text.erase(0, text.size() - kept);
}

// The path of this program. Without /proc it is the path by which the program was executed.
std::string own_program() {
  if (access("/proc/self/exe", X_OK) == 0) return "/proc/self/exe";
  const auto* path = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return path == nullptr ? "/proc/self/exe" : path;
}

// The two objects that posix_spawn needs for one child.
class SpawnSettings {
 public:
  SpawnSettings(const ProcessOptions& options, const Interrupts& interrupts) {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (int signal : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &interrupts.mask_before());
    int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (options.on_interrupt == OnInterrupt::ends_group) flags |= POSIX_SPAWN_SETPGROUP;
    posix_spawnattr_setflags(&attributes, static_cast<short>(flags));
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  void give(int fd, int stream) { posix_spawn_file_actions_adddup2(&files, fd, stream); }
  void give(const Output& output, const Pipe& pipe, int stream) {
    if (output.to == Output::To::memory) give(pipe.write.get(), stream);
    if (output.to == Output::To::file)
      posix_spawn_file_actions_addopen(&files, stream, output.file.c_str(),
                                       O_WRONLY | O_CREAT | O_TRUNC, 0666);
  }

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
};

class Child {
 public:
  Child(const std::vector<std::string>& command, const ProcessOptions& options,
        Interrupts& interrupts)
      : options_(options), interrupts_(interrupts) {
    start(command);
    out_.write.reset();
    error_.write.reset();
    // This calls the kernel directly, since Debian 12 declares the C library's function without
    // extern "C".
    ended_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (ended_.get() < 0) {
      const int error = errno;
      kill(whole(), SIGKILL);
      waitpid(pid_, nullptr, 0);
      fail("cannot watch a process", error);
    }
  }

  ChildOutput run() {
    auto end = in(options_.limit_s);
    while (!step(end)) {
      if (Clock::now() > end) {
        result_.timed_out = !result_.interrupted;
        kill(whole(), SIGKILL);
        end = Clock::time_point::max();
      }
      if (!ends_group())
        pass_on_signals();
      else if (!result_.interrupted && interrupts_.signal() != 0)
        end = end_group();
    }
    while (waitpid(pid_, &result_.status, 0) < 0 && errno == EINTR) {
    }
    if (ends_group()) kill(whole(), SIGKILL);  // processes of the child that outlived it
    take(out_.read.get(), result_.out);
    take(error_.read.get(), result_.error);
    keep_tail(result_.error);
    return std::move(result_);
  }

 private:
  bool ends_group() const { return options_.on_interrupt == OnInterrupt::ends_group; }
  // The argument of kill() for the child and, if the child has a process group, for the group.
  pid_t whole() const { return ends_group() ? -pid_ : pid_; }

  void start(const std::vector<std::string>& command) {
    SpawnSettings settings(options_, interrupts_);
    const Descriptor input(options_.input == nullptr ? -1 : text_file(*options_.input));
    if (input.get() >= 0) settings.give(input.get(), STDIN_FILENO);
    settings.give(options_.out, out_, STDOUT_FILENO);
    settings.give(options_.error, error_, STDERR_FILENO);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::string program = command[0] == "/proc/self/exe" ? own_program() : command[0];
    const int error = posix_spawnp(&pid_, program.c_str(), &settings.files, &settings.attributes,
                                   arguments.data(), environ);
    if (error != 0) fail("cannot start " + command[0], error);
  }

  void pass_on_signals() {
    while (const int signal = interrupts_.take()) {
      result_.interrupted = true;
      kill(pid_, signal);
    }
  }

  // Answers the time until which the group may end by itself.
  Clock::time_point end_group() {
    result_.interrupted = true;
    kill(whole(), SIGTERM);
    return in(farewell_s);
  }

  // Waits for news until `end`. True when the child has ended. The end of its streams does not show
  // that, since a process of the child may hold them open.
  bool step(Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    const int wait_ms = static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 0, 60'000));
    const bool over = ends_group() && result_.interrupted;
    pollfd news[] = {{ended_.get(), POLLIN, 0},
                     {out_open_ ? out_.read.get() : -1, POLLIN, 0},
                     {error_open_ ? error_.read.get() : -1, POLLIN, 0},
                     {over ? -1 : interrupts_.file(), POLLIN, 0},
                     {over || !ends_group() ? -1 : interrupts_.noted(), POLLIN, 0}};
    if (poll(news, std::size(news), wait_ms) <= 0) return false;
    if (news[1].revents != 0) out_open_ = take(out_.read.get(), result_.out);
    if (news[2].revents != 0) error_open_ = take(error_.read.get(), result_.error);
    keep_tail(result_.error);
    return news[0].revents != 0;
  }

  const ProcessOptions& options_;
  Interrupts& interrupts_;
  Pipe out_;
  Pipe error_;
  Descriptor ended_;
  pid_t pid_ = -1;
  bool out_open_ = true;
  bool error_open_ = true;
  ChildOutput result_;
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
  signal();  // takes the pending signal, which must not end the process now
  ::signal(SIGPIPE, pipe_before_);
  close(file_);
  close(noted_);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

int Interrupts::take() {
  signalfd_siginfo info;
  if (read(file_, &info, sizeof(info)) != sizeof(info)) return 0;
  const int taken = static_cast<int>(info.ssi_signo);
  int none = 0;
  signal_.compare_exchange_strong(none, taken);
  eventfd_write(noted_, 1);
  return taken;
}

int Interrupts::signal() {
  while (take() != 0) {
  }
  return signal_;
}

int ChildOutput::exit_code() const {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ChildOutput run_process(const std::vector<std::string>& command, const ProcessOptions& options,
                        Interrupts& interrupts) {
  return Child(command, options, interrupts).run();
}

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

}  // namespace faultline
