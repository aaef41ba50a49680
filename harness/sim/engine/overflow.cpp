#include "harness/sim/engine/overflow.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace faultline::sim {
namespace {

// What the handler needs: a signal handler has no argument for it.
struct Watched {
  const Arena* arena = nullptr;
  u32 threads = 0;
};
constinit Watched watched;

void handle(int signal, siginfo_t* info, void*) {
  const u32 thread = watched.arena->overflown(info->si_addr);
  if (thread >= watched.threads) {
    std::signal(signal, SIG_DFL);  // another crash: the fault happens again and ends the process
    return;
  }
  char line[128];
  const auto end =
      fmt::format_to_n(line, sizeof(line), "simulator: thread {}: its stack of {} KiB overflows\n",
                       thread, watched.arena->stack_bytes() >> 10);
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line, static_cast<usize>(end.out - line));
  _exit(1);
}

}  // namespace

OverflowWatch::OverflowWatch(const Arena& arena, u32 threads)
    : stack_(std::make_unique<std::byte[]>(stack_bytes)) {
  watched = {&arena, threads};
  stack_t stack = {};
  stack.ss_sp = stack_.get();
  stack.ss_size = stack_bytes;
  sigaltstack(&stack, &stack_before_);
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &action_before_);
}

OverflowWatch::~OverflowWatch() {
  sigaction(SIGSEGV, &action_before_, nullptr);
  sigaltstack(&stack_before_, nullptr);
}

}  // namespace faultline::sim
