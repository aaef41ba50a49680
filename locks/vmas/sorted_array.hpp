// VMAs in an array, sorted by address. It is the plainest container, and so the reference of the
// conformance test. Look-ups use binary search; an edit moves everything above it. The array cannot
// be searched under RCU, since an edit moves entries one by one.
#pragma once

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "locks/per_thread.hpp"
#include "locks/types.hpp"

namespace faultline::vmas {

struct SortedArray {
  template <class P, class V>
  struct Links {};

  template <class P, class V>
  class Container;
};

template <class P, class V>
class SortedArray::Container {
 public:
  static constexpr bool searchable_under_rcu = false;

  V* first() const { return at(0); }
  V* last() const { return at(size() - 1); }
  V* find(u64 address) const { return at(index_above(address)); }
  V* next(const V& vma) const { return at(index_of(vma) + 1); }
  V* previous(const V& vma) const { return at(index_of(vma) - 1); }

  u64 find_gap(u64 length) const {
    u64 top = address_space_end;
    for (u64 i = size(); i-- > 0;) {
      const Range range = held(i)->range();
      if (top - range.end >= length) return top - length;
      top = range.start;
    }
    return top - lowest_address >= length ? top - length : 0;
  }

  void insert(V& vma) {
    if (size() == capacity()) move_to(spare());
    const u64 place = index_above(vma.range().start);
    Slot* slots = slots_.load();
    for (u64 i = size(); i > place; --i) slots[i].store(slots[i - 1].load());
    slots[place].store(&vma);
    set_size(size() + 1);
  }

  void erase(V& vma) {
    Slot* slots = slots_.load();
    for (u64 i = index_of(vma) + 1; i < size(); ++i) slots[i - 1].store(slots[i].load());
    set_size(size() - 1);
  }

  void resize(V& vma, Range range) { vma.set_range(range); }

  // Keeps a larger array ready once the array is half full. So an insert allocates under the lock
  // only if other threads fill the other half meanwhile.
  void reserve(u64 n) {
    const u64 now = capacity();
    if (2 * (size() + n) <= now) return;
    Array& spare = spares_.here();
    if (spare.capacity <= now) spare = allocate(std::max(2 * now, smallest));
  }

  std::string check() const {
    u64 end = lowest_address;
    for (u64 i = 0; i < size(); ++i) {
      const Range range = held(i)->range();
      if (range.start >= range.end || range.start < end) return "VMAs are not sorted and disjoint";
      end = range.end;
    }
    return "";
  }

 private:
  using Slot = typename P::template data<V*>;
  struct Array {
    Slot* slots = nullptr;
    u64 capacity = 0;
  };
  static constexpr u64 smallest = 64;

  // relaxed, both, and where they are stored: only edits write them, and the caller orders edits
  // with all other calls but reserve(). reserve() may read a stale value; then insert allocates.
  u64 size() const { return size_.load(std::memory_order_relaxed); }
  u64 capacity() const { return capacity_.load(std::memory_order_relaxed); }
  void set_size(u64 size) { size_.store(size, std::memory_order_relaxed); }

  // The VMA at an index below size().
  V* held(u64 index) const { return slots_.load()[index].load(); }
  // Null beyond either end. Below the first VMA `index` has wrapped.
  V* at(u64 index) const { return index < size() ? held(index) : nullptr; }

  // The index of the first VMA that ends above `address`, or size().
  u64 index_above(u64 address) const {
    u64 low = 0;
    for (u64 high = size(); low < high;) {
      const u64 middle = (low + high) / 2;
      if (held(middle)->range().end <= address)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
  u64 index_of(const V& vma) const { return index_above(vma.range().start); }

  static Array allocate(u64 capacity) {
    auto* slots = static_cast<Slot*>(P::allocate(capacity * sizeof(Slot), cache_line));
    for (u64 i = 0; i < capacity; ++i) new (slots + i) Slot();
    P::label(slots, "vmas.array");
    return {slots, capacity};
  }

  // Makes an array larger than the present one.
  Array spare() {
    reserve(1);
    Array& own = spares_.here();
    return std::exchange(own, Array{});
  }

  // The old array is kept until the platform ends, as all memory of P is.
  void move_to(Array larger) {
    for (u64 i = 0; i < size(); ++i) larger.slots[i].store(held(i));
    slots_.store(larger.slots);
    capacity_.store(larger.capacity, std::memory_order_relaxed);
  }

  typename P::template data<Slot*> slots_;
  typename P::template atomic<u64> size_{0};
  typename P::template atomic<u64> capacity_{0};
  PerThread<P, Array> spares_;
};

}  // namespace faultline::vmas
