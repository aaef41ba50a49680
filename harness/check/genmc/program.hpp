// The program that judges an exported lock: each thread acquires the lock once or more and changes
// data that the lock guards. A tool reports a data race, a failed assertion, or threads that never
// end. ExportedLock is the lock; the export defines it.
#pragma once

#include <cassert>
#include <new>

#include "harness/check/genmc/platform.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/range/concept.hpp"
#include "locks/shared/concept.hpp"

#ifndef EXPORTED_THREADS
#define EXPORTED_THREADS 2
#endif
#ifndef EXPORTED_TURNS
#define EXPORTED_TURNS 1
#endif

namespace faultline::exported {

static_assert(EXPORTED_THREADS <= GenmcPlatform::max_threads);

inline GenmcPlatform::data<u64> guarded[2];

inline void write(u64 which) {
  guarded[which].store(guarded[which].load() + 1);
}

// Every thread writes.
template <Mutex L>
void turn(L& lock, u32) {
  typename L::Node node;
  lock.lock(node);
  write(0);
  lock.unlock(node);
}

// The first thread writes and then reads under the downgraded lock. The second one reads. The
// others write.
template <SharedLock L>
void turn(L& lock, u32 thread) {
  if (thread == 1) {
    lock.lock_shared();
    static_cast<void>(guarded[0].load());
    return lock.unlock_shared();
  }
  lock.lock();
  write(0);
  if (thread != 0) return lock.unlock();
  if constexpr (L::atomic_downgrade) {
    const u64 before = guarded[0].load();
    lock.downgrade();
    assert(guarded[0].load() == before);
  } else {
    lock.downgrade();
  }
  lock.unlock_shared();
}

// The first thread holds both pages and then the second one alone; the others hold one page each.
template <RangeLock L>
void turn(L& lock, u32 thread) {
  constexpr Range first{0, page_size}, second{page_size, 2 * page_size};
  typename L::Node node;
  if (thread != 0) {
    lock.lock(node, thread % 2 != 0 ? first : second, true);
    write(thread % 2 != 0 ? 0 : 1);
    return lock.unlock(node);
  }
  lock.lock(node, {0, 2 * page_size}, true);
  write(0);
  lock.downgrade_range(node, second);
  write(1);
  lock.unlock(node);
}

inline ExportedLock* lock;

inline void* work(void* number) {
  exported_thread = static_cast<u32>(reinterpret_cast<std::uintptr_t>(number));
  for (u32 i = 0; i < EXPORTED_TURNS; ++i) turn(*lock, exported_thread);
  return nullptr;
}

inline void run() {
  lock = new (GenmcPlatform::allocate(sizeof(ExportedLock), alignof(ExportedLock))) ExportedLock();
  pthread_t threads[EXPORTED_THREADS];
  for (std::uintptr_t i = 0; i < EXPORTED_THREADS; ++i)
    pthread_create(&threads[i], nullptr, work, reinterpret_cast<void*>(i));
  for (pthread_t& thread : threads) pthread_join(thread, nullptr);
  constexpr u64 readers = SharedLock<ExportedLock> && EXPORTED_THREADS > 1 ? 1 : 0;
  constexpr u64 twice = RangeLock<ExportedLock> ? 1 : 0;  // the first thread writes both pages
  [[maybe_unused]] constexpr u64 writes = (EXPORTED_THREADS - readers + twice) * EXPORTED_TURNS;
  assert(guarded[0].load() + guarded[1].load() == writes);
}

}  // namespace faultline::exported

int main() {
  faultline::exported::run();
}
