// A platform of one thread on one CPU, whose atomics are not std::atomic. The simulator uses it for
// code that runs outside of its simulated threads, and the checker computes with it the answers
// that sequential runs give. It runs every operation that need not wait; where a lock would wait
// for ever, it aborts the process with the name of what the lock waits for.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "harness/cells/atomic.hpp"
#include "locks/platform.hpp"
#include "locks/random.hpp"
#include "locks/types.hpp"

namespace faultline::stub {

[[noreturn]] inline void fail(const std::string& text) {
  std::fprintf(stderr, "stub platform: %s\n", text.c_str());
  std::abort();
}

// The cell of atomic<T> and data<T>.
template <class T>
class Word {
  using Order = std::memory_order;

 public:
  using Where = cells::Nowhere;

  constexpr Word() = default;
  constexpr explicit Word(T value) : value_(value) {}

  T load(Where) const { return value_; }
  void store(T value, Where) { value_ = value; }
  T load(Order order, Where) const {
    if (order == Order::release || order == Order::acq_rel) fail("a load that releases");
    return value_;
  }
  void store(T value, Order order, Where) {
    if (order == Order::acquire || order == Order::acq_rel || order == Order::consume)
      fail("a store that acquires");
    value_ = value;
  }
  // noinline, here and below, makes it as opaque as a real atomic's. GCC 12 would otherwise warn of
  // a node whose address a lock has stored, although the lock takes it back.
  template <class F>
  [[gnu::noinline]] T modify(const char*, F change, Order, Where) {
    return std::exchange(value_, change(value_));
  }
  // A weak exchange never fails spuriously: with one thread, a loop of it ends either way.
  [[gnu::noinline]] bool compare_exchange(T& expected, T desired, bool, Order, Order failure,
                                          Where) {
    if (failure == Order::release || failure == Order::acq_rel)
      fail("a failed exchange that releases");
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = desired;
    return true;
  }

 private:
  T value_{};
};

// The head that an object embeds so that RCU can retire it.
struct RcuNode {
  RcuNode* next = nullptr;
  void (*reclaim)(RcuNode*) = nullptr;
};

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// The platform. Each `Tag` has a state of its own, so that two users do not share one.
template <class Tag>
class SingleThread : public cells::StoresParts<Word> {
 public:
  template <class T>
  using atomic = cells::Atomic<T, Word>;
  template <class T>
  using data = cells::Data<T, Word>;
  static constexpr u32 max_threads = Tag::max_threads;

  struct rcu {
    using Node = RcuNode;
    static void read_lock() { ++state().readers; }
    static void read_unlock() {
      if (state().readers == 0) fail("rcu::read_unlock without rcu::read_lock");
      if (--state().readers == 0) reclaim_retired();
    }
    static void synchronize() {
      if (state().readers != 0) fail("rcu::synchronize inside a read section never returns");
    }
    // Reclaims at once outside of read sections, otherwise when the outermost one ends.
    static void retire(Node* node, void (*reclaim)(Node*)) {
      node->reclaim = reclaim;
      node->next = std::exchange(state().retired, node);
      if (state().readers == 0) reclaim_retired();
    }

   private:
    static void reclaim_retired() {
      while (Node* node = state().retired) {
        state().retired = node->next;
        node->reclaim(node);
      }
    }
  };

  template <class AtomicWord>
  static bool wait(const AtomicWord& word, u32 old, u64 deadline = no_deadline) {
    if (word.load(std::memory_order_relaxed) != old) return true;  // relaxed: one thread
    if (deadline == no_deadline) fail("sleeps with nobody to wake it, for " + waits_for());
    if (deadline > state().time) state().time = deadline;
    return false;
  }
  static void wake(atomic<u32>&, u32) {}
  // Advances the clock, so that a spin with a deadline ends.
  static void pause(const void*) {
    state().time += 10;
    if (++state().pauses > pause_limit) fail("spins for ever, for " + waits_for());
  }

  static void wait_begin(const void*, const char* what) {
    if (state().wait_depth++ != 0) return;
    state().what = what;
    state().pauses = 0;
  }
  static void wait_end() { --state().wait_depth; }

  static u64 now() { return ++state().time; }
  static u32 cpu() { return 0; }
  static u32 node() { return 0; }
  static u32 self() { return 0; }
  static bool running(u32 thread) { return thread == 0; }
  static u64 random() { return xorshift64_star(state().random); }

  static void work(u64 ns) { state().time += ns; }
  static void clear_page(void* page) { std::memset(page, 0, page_size); }
  // One CPU needs no interrupt.
  static void shootdown(const CpuSet&, LazyCpus = LazyCpus::skipped) {}
  static void prefetch_write(const void*) {}
  static void kernel_work(KernelWork) {}
  static void promised(const Promise&, u32) {}
  static void settle() {}
  static void label(const void*, const char*) {}
  static void* allocate(usize bytes, usize alignment) {
    const usize rounded = (bytes + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, rounded);
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, rounded);
    state().memory.emplace_back(memory);
    return memory;
  }

 private:
  static constexpr u64 pause_limit = 10'000'000;
  struct State {
    u64 time = 0;  // ns
    u64 random = 0x9E3779B97F4A7C15ULL;
    u64 pauses = 0;
    u32 wait_depth = 0;
    const char* what = nullptr;
    u32 readers = 0;
    RcuNode* retired = nullptr;
    std::vector<std::unique_ptr<void, Free>> memory;
  };
  static State& state() {
    static State state;
    return state;
  }
  static std::string waits_for() {
    return state().wait_depth == 0 ? "something not named" : state().what;
  }
};

}  // namespace faultline::stub
