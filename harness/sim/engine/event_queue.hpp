// The events to come, in the order of their times. A key holds an event's time and its actor in one
// word, so that a comparison is one instruction. Most keys are in a heap whose nodes have four
// children. A sorted run beside it holds keys that are pushed nearly in order, such as those of
// CPUs that get their copies of a line one after the other. Each actor has at most one key.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "harness/sim/machine/machine.hpp"

namespace faultline::sim {

// The time above, the actor's number in the low 16 bits. At equal times the lower number goes
// first.
using Key = u64;
inline constexpr u32 actor_bits = 16;
inline constexpr u32 max_actors = 1U << actor_bits;
inline constexpr Time max_time = (Time{1} << (64 - actor_bits)) - 1;  // 281 simulated seconds
inline constexpr Key make_key(Time time, u32 actor) {
  return time << actor_bits | actor;
}
inline constexpr u32 actor_of(Key key) {
  return static_cast<u32>(key) & (max_actors - 1);
}
inline constexpr Time time_of(Key key) {
  return key >> actor_bits;
}

class EventQueue {
 public:
  static constexpr Key nothing = ~Key{0};

  EventQueue() : heap_(padding, nothing), places_(max_actors) { run_.fill(nothing); }

  // The earliest key. `nothing` when there is none.
  Key top() const { return top_; }
  // A key that comes soon after the earliest, if there is one: the next but one of the sorted run.
  Key soon() const { return run_[(run_first_ + 1) & (run_slots - 1)]; }
  // Whether the actor has a key that can be removed.
  bool has(u32 actor) const { return places_[actor] != 0; }

  void push(Key key) {
    heap_.push_back(nothing);
    rise(size_++, key);
    top_ = std::min(top_, key);
  }
  // push() for an actor that has no key, with a key that will not be removed. It is fast where the
  // key is later than most that were pushed by this call before.
  void push_late(Key key) {
    if (run_end_ != run_first_ && key < run(run_end_ - 1)) [[unlikely]]
      return insert(key);
    run(run_end_) = key;
    run(++run_end_) = nothing;
    top_ = std::min(top_, key);
  }
  Key pop() {
    const Key first = top_;
    if (first == nothing) return nothing;
    if (run(run_first_) == first)
      ++run_first_;
    else
      drop(0);
    find_top();
    return first;
  }
  // The same as push(key) and then pop(). It is one pass where both concern the heap.
  Key exchange(Key key) {
    const Key first = top_;
    if (key <= first) return key;
    if (run(run_first_) == first) {
      ++run_first_;
      push(key);
    } else {
      places_[actor_of(first)] = 0;
      sink(0, key);
    }
    find_top();
    return first;
  }
  void remove(u32 actor) {
    drop(places_[actor] - 1);
    find_top();
  }

 private:
  void find_top() { top_ = std::min(heap_[0], run(run_first_)); }

  static constexpr u32 run_slots = 2 * max_cpus;  // room for a key of each CPU and for `nothing`
  static constexpr u32 reach = 16;  // a key that belongs farther from the end goes to the heap
  static_assert(std::has_single_bit(run_slots));
  Key& run(u32 at) { return run_[at & (run_slots - 1)]; }

  // This many `nothing`s follow the last key, since a node's four children are always compared.
  static constexpr usize padding = 4;

  [[gnu::noinline]] void insert(Key key) {
    u32 at = run_end_;
    if (run_end_ - run_first_ > reach && key < run(run_end_ - reach)) return push(key);
    for (run(++run_end_) = nothing; at != run_first_ && key < run(at - 1); --at)
      run(at) = run(at - 1);
    run(at) = key;
    top_ = std::min(top_, key);
  }
  void drop(usize at) {
    places_[actor_of(heap_[at])] = 0;
    const Key last = heap_[--size_];
    heap_[size_] = nothing;
    heap_.pop_back();
    if (at == size_) return;
    if (at > 0 && last < heap_[(at - 1) / 4])
      rise(at, last);
    else
      sink(at, last);
  }
  void put(usize at, Key key) {
    heap_[at] = key;
    places_[actor_of(key)] = static_cast<u32>(at + 1);
  }
  void rise(usize at, Key key) {
    for (; at > 0 && key < heap_[(at - 1) / 4]; at = (at - 1) / 4) put(at, heap_[(at - 1) / 4]);
    put(at, key);
  }
  void sink(usize at, Key key) {
    for (usize child = 4 * at + 1; child < size_; child = 4 * at + 1) {
      // This code has no branches, since the host would mispredict them.
      const Key* keys = &heap_[child];
      const usize low = keys[1] < keys[0];
      const usize high = 2 + (keys[3] < keys[2]);
      const usize least = child + (keys[high] < keys[low] ? high : low);
      if (heap_[least] >= key) break;
      put(at, heap_[least]);
      at = least;
    }
    put(at, key);
  }

  std::vector<Key> heap_;
  std::vector<u32> places_;  // for each actor: the key's place in the heap, plus one
  usize size_ = 0;
  // A ring from run_first_ up to run_end_, where a `nothing` stands.
  std::array<Key, run_slots> run_;
  u32 run_first_ = 0, run_end_ = 0;
  Key top_ = nothing;
};

}  // namespace faultline::sim
