// The platform of an exported lock: std::atomic and POSIX threads alone, so that GenMC
// (github.com/MPI-SWS/genmc), or any other tool for C++ programs, can judge the lock. Threads are
// numbered by exported_thread. Time stands still: no deadline passes, so a lock never gives up a
// wait or demands a handoff.
#pragma once

#include <pthread.h>

#include <cstdlib>
#include <cstring>

#include "locks/platform.hpp"

namespace faultline {

inline thread_local u32 exported_thread = 0;
inline constexpr u32 most_exported_threads = 4;

// The futexes' only bucket.
struct ExportedSleeper {
  const void* word = nullptr;
  std::atomic<u32> woken{0};
};
inline ExportedSleeper exported_sleepers[most_exported_threads];
inline pthread_mutex_t exported_bucket = PTHREAD_MUTEX_INITIALIZER;

struct GenmcPlatform {
  template <class T>
  using atomic = std::atomic<T>;

  template <class T>
  class data {
   public:
    data() = default;
    explicit data(T value) : value_(value) {}
    T load() const { return value_; }
    void store(T value) { value_ = value; }

   private:
    T value_{};
  };

  // No grace period ends, so what is retired is never used again.
  struct rcu {
    struct Node {};
    static void read_lock() {}
    static void read_unlock() {}
    static void synchronize() { std::abort(); }  // no exported lock waits for a grace period
    static void retire(Node*, void (*)(Node*)) {}
  };

  static constexpr u32 max_threads = most_exported_threads;
  static constexpr u32 most_looks = 1;  // see locks/backoff.hpp

  // GenMC knows no accesses of different sizes to one word, so the store of a part is a
  // read-modify-write of the word.
  template <class Part>
  static void store_low(atomic<u64>& word, Part part, std::memory_order order) {
    constexpr u64 low = static_cast<Part>(~Part{0});
    u64 seen = word.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    // relaxed on failure: the next turn decides.
    while (
        !word.compare_exchange_weak(seen, (seen & ~low) | part, order, std::memory_order_relaxed)) {
    }
  }

  // A futex. The bucket's mutex makes the test of the value and the start of the sleep one step for
  // every waker, as the kernel's does.
  static bool wait(atomic<u32>& word, u32 old, u64 = no_deadline) {
    ExportedSleeper& self = exported_sleepers[exported_thread];
    pthread_mutex_lock(&exported_bucket);
    // relaxed: the mutex orders.
    if (word.load(std::memory_order_relaxed) != old) {
      pthread_mutex_unlock(&exported_bucket);
      return true;
    }
    self.word = &word;
    self.woken.store(0, std::memory_order_relaxed);  // relaxed: the mutex orders
    pthread_mutex_unlock(&exported_bucket);
    // acquire: pairs with the release in wake().
    while (self.woken.load(std::memory_order_acquire) == 0) {
    }
    return true;
  }
  static void wake(atomic<u32>& word, u32 n) {
    pthread_mutex_lock(&exported_bucket);
    for (u32 thread = 0; thread < max_threads && n != 0; ++thread) {
      ExportedSleeper& sleeper = exported_sleepers[thread];
      if (sleeper.word != &word) continue;
      sleeper.word = nullptr;
      sleeper.woken.store(1,
                          std::memory_order_release);  // release: pairs with the acquire in wait()
      --n;
    }
    pthread_mutex_unlock(&exported_bucket);
  }

  static void pause(const void*) {}
  static void wait_begin(const void*, const char*) {}
  static void wait_end() {}
  static u64 now() { return 0; }
  static u32 cpu() { return exported_thread; }
  static u32 node() { return 0; }
  static u32 self() { return exported_thread; }
  static bool running(u32) { return true; }
  static u64 random() { return 0; }
  static void work(u64) {}
  static void clear_page(void*) {}
  static void shootdown(const CpuSet&, LazyCpus) {}
  static void prefetch_write(const void*) {}
  static void kernel_work(KernelWork) {}
  static void promised(const Promise&, u32) {}
  static void settle() {}
  static void label(const void*, const char*) {}
  static void* allocate(usize bytes, usize alignment) {
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    std::memset(memory, 0, bytes);
    return memory;
  }
};

static_assert(Platform<GenmcPlatform>);

}  // namespace faultline
