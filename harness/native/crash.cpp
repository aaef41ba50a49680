#include "harness/native/crash.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "harness/native/platform.hpp"

namespace faultline {
namespace {

// Globals, because a signal handler receives no pointer to our data.
std::atomic<int> crash_signal{0};
std::atomic<u32> crashed_thread{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<u32>::is_always_lock_free);

void on_crash(int signal) {
  if (native::this_thread == nullptr) {
    ::signal(signal, SIG_DFL);
    raise(signal);  // blocked until this handler returns; then its default action ends the process
    return;
  }
  // relaxed: the release store of `crash_signal` publishes it.
  crashed_thread.store(native::this_thread->id, std::memory_order_relaxed);
  // release: pairs with the acquire in crash(), which then sees `crashed_thread`.
  crash_signal.store(signal, std::memory_order_release);
  for (;;) pause();
}

}  // namespace

void catch_crashes() {
  struct sigaction ours = {};
  ours.sa_handler = on_crash;
  for (int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) {
    struct sigaction present = {};
    sigaction(signal, nullptr, &present);
    if (present.sa_handler == SIG_DFL) sigaction(signal, &ours, nullptr);
  }
}

std::string crash() {
  // acquire: pairs with the release in on_crash().
  const int signal = crash_signal.load(std::memory_order_acquire);
  if (signal == 0) return {};
  // relaxed: the acquire above orders it.
  return fmt::format("thread {} crashed: {}", crashed_thread.load(std::memory_order_relaxed),
                     strsignal(signal));
}

}  // namespace faultline
