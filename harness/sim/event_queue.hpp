// What happens next: a heap of four-fold branches, of keys that carry time and actor in one word,
// so that a comparison is one instruction. Each actor has at most one key in it.
#pragma once

#include <vector>

#include "harness/sim/machine.hpp"

namespace faultline::sim {

// Time above, the actor's number in the low 16 bits: at equal times the lower number goes first.
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

  EventQueue() : places_(max_actors) { heap_.push_back(nothing); }

  // The earliest key; `nothing` when there is none.
  Key top() const { return heap_[0]; }
  bool empty() const { return heap_.size() == 1; }
  bool has(u32 actor) const { return places_[actor] != 0; }

  void push(Key key) {
    heap_.push_back(heap_.back());  // the sentinel moves up
    rise(heap_.size() - 2, key);
  }
  Key pop() {
    const Key first = heap_[0];
    if (first == nothing) return nothing;
    places_[actor_of(first)] = 0;
    const Key last = heap_[heap_.size() - 2];
    heap_.pop_back();
    heap_.back() = nothing;
    if (!empty()) sink(0, last);
    return first;
  }
  // push(key), then pop(), in one pass.
  Key exchange(Key key) {
    const Key first = heap_[0];
    if (key <= first) return key;
    places_[actor_of(first)] = 0;
    sink(0, key);
    return first;
  }
  // Gives the actor of `key`, which must be in the queue, that time.
  void move(Key key) {
    const usize at = places_[actor_of(key)] - 1;
    if (key < heap_[at])
      rise(at, key);
    else
      sink(at, key);
  }
  void remove(u32 actor) {
    move(make_key(0, actor));
    pop();
  }

 private:
  void put(usize at, Key key) {
    heap_[at] = key;
    places_[actor_of(key)] = static_cast<u32>(at + 1);
  }
  void rise(usize at, Key key) {
    for (; at > 0 && key < heap_[(at - 1) / 4]; at = (at - 1) / 4) put(at, heap_[(at - 1) / 4]);
    put(at, key);
  }
  void sink(usize at, Key key) {
    const usize size = heap_.size() - 1;
    for (;;) {
      const usize child = 4 * at + 1;
      if (child >= size) break;
      usize least = child;
      const usize end = child + 4 < size ? child + 4 : size;
      for (usize i = child + 1; i < end; ++i)
        if (heap_[i] < heap_[least]) least = i;
      if (heap_[least] >= key) break;
      put(at, heap_[least]);
      at = least;
    }
    put(at, key);
  }

  std::vector<Key> heap_;    // the last is a sentinel
  std::vector<u32> places_;  // by actor: where in the heap, plus one
};

}  // namespace faultline::sim
