// A trial's process: started, fed its spec, watched, and ended.
#pragma once

#include <signal.h>

#include <atomic>
#include <string>
#include <vector>

namespace faultline {

// SIGINT and SIGTERM noted instead of ending the process, and a pipe without a reader an error
// instead of a death, for this object's life. To be made before any other thread is, since it works
// by blocking the signals.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // The first signal that came, or 0. Any thread may ask.
  int signal();
  // Becomes readable when one comes, until a thread has asked; then `noted` is, for good.
  int file() const { return file_; }
  int noted() const { return noted_; }
  // The mask as it was, for children.
  const sigset_t& mask_before() const { return before_; }

 private:
  int file_ = -1;
  int noted_ = -1;
  std::atomic<int> signal_ = 0;
  sigset_t before_ = {};
  void (*pipe_before_)(int) = nullptr;
};

struct ChildOutput {
  std::string out;
  std::string error;  // the last lines of its standard error
  int status = 0;     // as waitpid gives it
  bool timed_out = false;
  bool interrupted = false;  // a signal came, and ended the child too
};

// Runs `command` with `input` on its standard input, in a process group of its own: Ctrl-C is for
// this process, which then ends the child itself. After `limit_s` seconds the group is killed; what
// is left of it when the child has ended, too. Throws std::runtime_error when no process can be
// started.
ChildOutput run_process(const std::vector<std::string>& command, const std::string& input,
                        double limit_s, Interrupts& interrupts);

}  // namespace faultline
