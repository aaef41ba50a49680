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

  EventQueue() : heap_(padding, nothing), places_(max_actors) {}

  // The earliest key; `nothing` when there is none.
  Key top() const { return heap_[0]; }
  bool has(u32 actor) const { return places_[actor] != 0; }

  void push(Key key) {
    heap_.push_back(nothing);
    rise(size_++, key);
  }
  Key pop() {
    const Key first = heap_[0];
    if (first == nothing) return nothing;
    places_[actor_of(first)] = 0;
    const Key last = heap_[--size_];
    heap_[size_] = nothing;
    heap_.pop_back();
    if (size_ != 0) sink(0, last);
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
  void remove(u32 actor) {
    const usize at = places_[actor] - 1;
    places_[actor] = 0;
    const Key last = heap_[--size_];
    heap_[size_] = nothing;
    heap_.pop_back();
    if (at == size_) return;
    if (at > 0 && last < heap_[(at - 1) / 4])
      rise(at, last);
    else
      sink(at, last);
  }

 private:
  // Behind the last key there are always so many `nothing`s, so that no branch need be incomplete.
  static constexpr usize padding = 4;

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
      // Without branches, which the host could not foretell.
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
  std::vector<u32> places_;  // by actor: where in the heap, plus one
  usize size_ = 0;
};

}  // namespace faultline::sim
