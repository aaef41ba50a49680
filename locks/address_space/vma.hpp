// A mapping, and which of its fields share a cache line.
#pragma once

#include <cstddef>
#include <type_traits>

#include "locks/layout.hpp"
#include "locks/types.hpp"

namespace faultline {

// The fields of a VMA `V`. Bounds, protection and flags are atomics, since a look-up under RCU may
// read them while a writer edits. The scheme decides which thread may edit. `Links` holds what the
// container of VMAs keeps in each VMA (locks/vmas/concept.hpp). `State` is a view of what the
// scheme's hooks keep, in two parts. Under `refcount` these are vm_lock_seq and vm_mm, and
// vm_refcnt, which faults write.
//
//   anon_vma      0 until the first anonymous write; VMAs whose anon_vmas differ do not merge
//   attached      whether the container holds the VMA: for the oracle
//   next_free     belongs to the pool while the VMA is free, to Mm while it is detached
//
// linux-6.18 follows vm_area_struct, aligned to a line (locks/layout.hpp names the kernel):
//   line 0   vm_start 0, vm_end 8, vm_mm 16, vm_page_prot 24, vm_flags 32, vm_lock_seq 40: faults
//            read these, and edits of this VMA write them. anon_vma lies here too: the kernel has
//            it on line 1, which edits of neighbours do not write there
//   line 1   the container's links, which edits of neighbours write. The kernel's container, the
//            maple tree, keeps no links in a VMA; the kernel's line 1 describes the mapping
//   line 2   vm_refcnt 128, which every fault of the VMA writes under `refcount`. This model has no
//            other field on the line; the kernel has the links of the file's interval tree there
template <class P, class V, template <class, class> class Links, class State, Layout layout>
struct VmaFields {
  typename P::template atomic<u64> start{0};
  typename P::template atomic<u64> end{0};
  [[no_unique_address]] typename State::MostlyRead mostly_read;
  typename P::template atomic<u32> prot{0};
  typename P::template atomic<u32> flags{0};
  typename P::template atomic<u32> attached{0};
  typename P::template atomic<u64> anon_vma{0};
  V* next_free = nullptr;
  alignas(line_size) [[no_unique_address]] Links<P, V> links;
  [[no_unique_address]] typename State::Hot hot;

  static constexpr bool lines_hold() {
    constexpr bool linked = !std::is_empty_v<Links<P, V>>;
    constexpr bool counted = !std::is_empty_v<typename State::Hot>;
    return offsetof(VmaFields, start) == 0 &&
           line_of(offsetof(VmaFields, next_free) + sizeof(next_free) - 1) == 0 &&
           (!linked || (offsetof(VmaFields, links) == line_size && sizeof(links) <= line_size)) &&
           (!counted || offsetof(VmaFields, hot) == (linked ? 2 : 1) * line_size);
  }
};

// packed: all fields side by side, as they lay before `layout` was an axis. With rbtree's links
// vm_refcnt shares line 1 with the last of the links, and vm_lock_seq lies beside it. With a
// container that has no links, such as maple, both share line 0 with the bounds.
template <class P, class V, template <class, class> class Links, class State>
struct VmaFields<P, V, Links, State, Layout::packed> {
  typename P::template atomic<u64> start{0};
  typename P::template atomic<u64> end{0};
  typename P::template atomic<u32> prot{0};
  typename P::template atomic<u32> flags{0};
  typename P::template atomic<u64> anon_vma{0};
  typename P::template atomic<u32> attached{0};
  [[no_unique_address]] Links<P, V> links;
  V* next_free = nullptr;
  [[no_unique_address]] typename State::Hot hot;
  [[no_unique_address]] typename State::MostlyRead mostly_read;

  static constexpr bool lines_hold() {
    return offsetof(VmaFields, start) == 0 &&
           line_of(offsetof(VmaFields, attached) + sizeof(attached) - 1) == 0;
  }
};

template <class P, template <class, class> class Links, class State, Layout layout>
struct alignas(layout == Layout::packed ? cache_line : line_size) Vma
    : VmaFields<P, Vma<P, Links, State, layout>, Links, State, layout> {
  using Fields = VmaFields<P, Vma, Links, State, layout>;

  // The state labels its own fields, if a report must tell them apart.
  Vma() {
    if constexpr (PlainCells<P>) static_assert(Fields::lines_hold());
    P::label(this, "vma");
    if constexpr (requires { state().label(); }) state().label();
  }

  State state() { return State(this->hot, this->mostly_read); }

  // relaxed: the caller holds a lock that keeps the bounds still, or checks them again (refcount).
  Range range() const {
    return {this->start.load(std::memory_order_relaxed), this->end.load(std::memory_order_relaxed)};
  }
  // relaxed: readers under RCU check the bounds again after they have locked the VMA.
  void set_range(Range range) {
    this->start.store(range.start, std::memory_order_relaxed);
    this->end.store(range.end, std::memory_order_relaxed);
  }
  bool permits(Access access) const {
    // relaxed: as in range().
    return prot_permits(this->prot.load(std::memory_order_relaxed), access);
  }
  bool has(u32 flag) const {
    // relaxed: as in range(). A VMA keeps the flags with which it was mapped. Only a reservation of
    // range_lock changes its flags, and no fault looks at a reservation.
    return (this->flags.load(std::memory_order_relaxed) & flag) != 0;
  }
  // Whether a write makes a private page of the process. Such a page needs an anon_vma, by which
  // the kernel finds its mappings.
  bool privately_written(Access access) const {
    return !has(map_shared) && (access == Access::write || !has(map_file));
  }
};

}  // namespace faultline
