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
// scheme's hooks keep, in two parts, of which faults only read one. Under `refcount` these are
// vm_lock_seq and vm_mm, and vm_refcnt, which faults write.
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
//   line 2   vm_refcnt 128, which every fault of the VMA writes under `refcount`, or another
//            scheme's lock or count. This model has no other field on the line; the kernel has the
//            links of the file's interval tree there
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

// What a fault asks of a VMA, or of a copy of its fields. `Self` has protection() and flag_bits().
template <class Self>
struct VmaRules {
  bool permits(Access access) const { return prot_permits(self().protection(), access); }
  bool has(u32 flag) const { return (self().flag_bits() & flag) != 0; }
  // Whether a write makes a private page of the process. Such a page needs an anon_vma, by which
  // the kernel finds its mappings.
  bool privately_written(Access access) const {
    return !has(map_shared) && (access == Access::write || !has(map_file));
  }

 private:
  const Self& self() const { return static_cast<const Self&>(*this); }
};

// The fields that a speculative fault has read.
struct VmaCopy : VmaRules<VmaCopy> {
  Range bounds{};
  u32 prot = 0;
  u32 flags = 0;
  u64 anon = 0;

  Range range() const { return bounds; }
  u32 protection() const { return prot; }
  u32 flag_bits() const { return flags; }
  u64 anon_identity() const { return anon; }
};

// Edits store the fields with release, and a speculative fault loads them with acquire
// (locks/schemes/speculation.hpp). On x86 this costs the other schemes nothing. A thread that edits
// a VMA has made a sequence odd before. So a fault that finds a writer's value in a field finds the
// writer's sequence too, or a later one. Without this order a fault could take a VMA's bounds for
// one life of the VMA, and its protection for the next life, where a merge has returned the VMA to
// the pool: no zap comes between these.
template <class P, template <class, class> class Links, class State, Layout layout>
struct alignas(layout == Layout::packed ? cache_line : line_size) Vma
    : VmaFields<P, Vma<P, Links, State, layout>, Links, State, layout>,
      VmaRules<Vma<P, Links, State, layout>> {
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
  void set_range(Range range) {
    set(this->start, range.start);
    set(this->end, range.end);
  }
  // relaxed, here and below: as in range(). A VMA keeps the flags with which it was mapped. Only a
  // reservation of range_lock changes its flags, and no fault looks at a reservation.
  u32 protection() const { return this->prot.load(std::memory_order_relaxed); }
  u32 flag_bits() const { return this->flags.load(std::memory_order_relaxed); }
  u64 anon_identity() const { return this->anon_vma.load(std::memory_order_relaxed); }
  void set_protection(u32 value) { set(this->prot, value); }
  void set_flags(u32 value) { set(this->flags, value); }
  void set_anon_identity(u64 value) { set(this->anon_vma, value); }

  // For a thread that does not keep the VMA from changing.
  VmaCopy copy() const {
    VmaCopy seen;
    seen.bounds = {get(this->start), get(this->end)};
    seen.prot = get(this->prot);
    seen.flags = get(this->flags);
    seen.anon = get(this->anon_vma);
    return seen;
  }

 private:
  template <class T>
  static void set(typename P::template atomic<T>& field, T value) {
    // release: see above.
    // weakened release survives, program: in no program does a merge return a VMA to the pool and
    // another map take it, while a fault reads it.
    field.store(value, std::memory_order_release);
  }
  template <class T>
  static T get(const typename P::template atomic<T>& field) {
    // acquire: see above.
    // weakened acquire survives, program: as in set().
    return field.load(std::memory_order_acquire);
  }
};

}  // namespace faultline
