#include <csetjmp>
#include <csignal>
#include <mutex>

#include "harness/native/platform.hpp"

namespace faultline::native {
namespace {

thread_local sigjmp_buf recovery;
thread_local volatile sig_atomic_t touching = 0;

// The actions that the two signals had before; written once, before touch() first accesses memory.
struct sigaction before_segv;
struct sigaction before_bus;

// A fault outside touch() is a crash: the handler restores the previous action, and the instruction
// faults again under that action.
void on_fault(int signal) {
  if (touching != 0) siglongjmp(recovery, 1);
  sigaction(signal, signal == SIGSEGV ? &before_segv : &before_bus, nullptr);
}

void install_handler() {
  struct sigaction action = {};
  action.sa_handler = on_fault;
  sigaction(SIGSEGV, &action, &before_segv);
  sigaction(SIGBUS, &action, &before_bus);
}

// The jump out of the handler leaves the handler's signal blocked, because sigsetjmp(recovery, 0)
// does not save the mask: that would cost every access a system call.
void unblock_faults() {
  sigset_t faults;
  sigemptyset(&faults);
  sigaddset(&faults, SIGSEGV);
  sigaddset(&faults, SIGBUS);
  pthread_sigmask(SIG_UNBLOCK, &faults, nullptr);
}

}  // namespace

// Not instrumented: sanitizers have no shadow memory for mappings that raw system calls made.
__attribute__((no_sanitize("thread", "address"), noinline)) static void access_byte(
    volatile char* byte, Access access) {
  if (access == Access::write)
    *byte = 1;
  else
    static_cast<void>(*byte);
}

bool touch(void* address, Access access) {
  static std::once_flag once;
  std::call_once(once, install_handler);
  if (sigsetjmp(recovery, 0) != 0) {
    touching = 0;
    unblock_faults();
    return false;
  }
  touching = 1;
  access_byte(static_cast<volatile char*>(address), access);
  touching = 0;
  return true;
}

}  // namespace faultline::native
