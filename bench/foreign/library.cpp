// A library with one of the range locks of https://github.com/thuaduc/concurrent-range-locking.
// SOURCE is the lock's file, which this one includes. LOCK is its type.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include SOURCE

#include "library.hpp"

namespace {

using Lock = LOCK;

// The name is looked up where the template is instantiated, since only one of the locks has it.
template <class L>
auto acquire(L& lock, std::uint64_t first, std::uint64_t last) {
  if constexpr (requires { lock.tryLock(first, last); })
    return lock.tryLock(first, last) ? &lock : nullptr;
  else
    return MutexRangeAcquire(&lock, first, last);
}
template <class L, class Held>
void release(L& lock, Held* held, std::uint64_t first, std::uint64_t last) {
  if constexpr (requires { lock.releaseLock(first, last); })
    lock.releaseLock(first, last);
  else if constexpr (requires { lock.releaseLock(first); })
    lock.releaseLock(first);
  else
    MutexRangeRelease(&lock, held);
}
using Held = decltype(acquire(std::declval<Lock&>(), 0, 0));

}  // namespace

extern "C" {
extern const ForeignRangeLock foreign_range_lock [[gnu::visibility("default")]];
const ForeignRangeLock foreign_range_lock = {
    []() -> void* { return new Lock(); }, [](void* lock) { delete static_cast<Lock*>(lock); },
    [](void* lock, std::uint64_t first, std::uint64_t last) -> void* {
      for (;;) {
        if (Held held = acquire(*static_cast<Lock*>(lock), first, last)) return held;
        std::this_thread::yield();
      }
    },
    [](void* lock, void* held, std::uint64_t first, std::uint64_t last) {
      release(*static_cast<Lock*>(lock), static_cast<Held>(held), first, last);
    }};
}
