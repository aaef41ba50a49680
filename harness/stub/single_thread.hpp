// What the stubs of the simulator and of the checker share until those come: a platform of one
// thread on one CPU, whose atomics are not std::atomic. Nothing else can be done with it than to
// compile every lock and to run its verbs where they do not wait; where a lock would wait for ever,
// the process aborts and says for what.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "locks/platform.hpp"
#include "locks/random.hpp"
#include "locks/types.hpp"

namespace faultline::stub {

[[noreturn]] inline void fail(const std::string& text) {
  std::fprintf(stderr, "stub platform: %s\n", text.c_str());
  std::abort();
}

// The rule of locks/: nothing else fits into the checker's atomics.
template <class T>
inline constexpr bool may_be_shared = std::is_integral_v<T> || std::is_pointer_v<T>;

// std::atomic's interface without its default orders and without its operators, so that code that
// leans on either does not compile.
template <class T>
class Atomic {
  static_assert(may_be_shared<T>, "only integers, bools and pointers may be shared");
  using Order = std::memory_order;

 public:
  constexpr Atomic() = default;
  constexpr Atomic(T value) : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order order) const {
    if (order == Order::release || order == Order::acq_rel) fail("a load that releases");
    return value_;
  }
  void store(T value, Order order) {
    if (order == Order::acquire || order == Order::acq_rel || order == Order::consume)
      fail("a store that acquires");
    value_ = value;
  }
  // noinline, as with the exchange below: as opaque as a real atomic's, or GCC 12 takes a node that
  // a lock has stored and taken back again for one that outlives its function.
  [[gnu::noinline]] T exchange(T value, Order) { return std::exchange(value_, value); }
  [[gnu::noinline]] bool compare_exchange_strong(T& expected, T desired, Order, Order failure) {
    if (failure == Order::release || failure == Order::acq_rel)
      fail("a failed exchange that releases");
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = desired;
    return true;
  }
  // Never fails without reason: one thread's loop of it ends either way.
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }

  template <class U>
  T fetch_add(U amount, Order order) {
    return exchange(static_cast<T>(value_ + amount), order);
  }
  template <class U>
  T fetch_sub(U amount, Order order) {
    return exchange(static_cast<T>(value_ - amount), order);
  }
  T fetch_and(T bits, Order order) { return exchange(static_cast<T>(value_ & bits), order); }
  T fetch_or(T bits, Order order) { return exchange(static_cast<T>(value_ | bits), order); }
  T fetch_xor(T bits, Order order) { return exchange(static_cast<T>(value_ ^ bits), order); }

 private:
  T value_{};
};

template <class T>
class Data {
  static_assert(may_be_shared<T>, "only integers, bools and pointers may be shared");

 public:
  Data() = default;
  explicit Data(T value) : value_(value) {}
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
  T load() const { return value_; }
  void store(T value) { value_ = value; }

 private:
  T value_{};
};

// Embedded in what RCU retires.
struct RcuNode {
  RcuNode* next = nullptr;
  void (*reclaim)(RcuNode*) = nullptr;
};

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// One platform's state; `Tag` tells the platforms apart.
template <class Tag>
class SingleThread {
 public:
  template <class T>
  using atomic = Atomic<T>;
  template <class T>
  using data = Data<T>;
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
    // Reclaims when no read section is open, which is at once outside of one.
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
  // Time passes, so that a spin with a limit ends.
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
  static void shootdown(const CpuSet&) {}  // one CPU, which needs no interrupt
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
