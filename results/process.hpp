// Starts other programs and waits for their end: trials, node, perf. It lies in results/ because
// plots/ and harness/, which also start programs, include results/ and not each other.
#pragma once

#include <signal.h>

#include <atomic>
#include <limits>
#include <string>
#include <vector>

namespace faultline {

// While this object lives, SIGINT and SIGTERM are noted instead of ending the process, and writing
// to a pipe without a reader is an error instead of ending the process. The object blocks the
// signals in the calling thread, so it must be made before any other thread.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // The first signal that came, or 0. Any thread may call it.
  int signal();
  // The next signal that came, or 0 when every signal has been taken.
  int take();
  // Becomes readable when a signal comes, and stays so until some thread takes that signal.
  int file() const { return file_; }
  // Becomes readable when the first signal is taken, and stays so.
  int noted() const { return noted_; }
  // The signal mask of the time before this object. Children get it.
  const sigset_t& mask_before() const { return before_; }

 private:
  int file_ = -1;
  int noted_ = -1;
  std::atomic<int> signal_ = 0;
  sigset_t before_ = {};
  void (*pipe_before_)(int) = nullptr;
};

// Where a child's standard output or standard error goes.
struct Output {
  enum class To { memory, inherited, file };
  To to = To::memory;
  std::string file = {};  // for To::file: truncated, made where it is missing
};

// How a signal to this process affects the child.
enum class OnInterrupt {
  // The child has a process group of its own, so Ctrl-C at the terminal does not reach it. At the
  // first signal the group gets SIGTERM, and 2 s later SIGKILL. Processes of the group that outlive
  // the child are killed too.
  ends_group,
  // The child stays in this process's group and gets every signal. The child decides how it ends.
  passes_on,
};

struct ProcessOptions {
  // text for the standard input; null: the standard input of this process
  const std::string* input = nullptr;
  Output out = {};
  Output error = {};
  double limit_s = std::numeric_limits<double>::infinity();  // after this time the child is killed
  OnInterrupt on_interrupt = OnInterrupt::ends_group;
};

struct ChildOutput {
  std::string out;    // with Output::To::memory
  std::string error;  // with Output::To::memory: its last 64 KiB
  int status = 0;     // as waitpid gives it
  bool timed_out = false;
  bool interrupted = false;  // a signal came before the child ended

  // The exit code. It is 128 + n when signal n ended the child.
  int exit_code() const;
};

// Runs `command`, whose first word is a path or found in PATH, and waits for its end. Throws
// std::runtime_error when it cannot be started.
ChildOutput run_process(const std::vector<std::string>& command, const ProcessOptions& options,
                        Interrupts& interrupts);

// The path at which PATH finds `program`, as execvp would; empty if there is none.
std::string find_program(const std::string& program);

}  // namespace faultline
