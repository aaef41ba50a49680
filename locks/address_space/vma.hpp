// A mapping.
#pragma once

#include "locks/layout.hpp"
#include "locks/types.hpp"

namespace faultline {

// linux-6.18, after vm_area_struct (locks/layout.hpp): the first line holds what every fault reads,
// which edits of this VMA write (vm_start 0, vm_end 8, vm_mm 16, vm_page_prot 24, vm_flags 32,
// vm_lock_seq 40); vm_refcnt has a line of its own (128), since every fault writes it. The
// container's links lie on a line between them: edits of *neighbours* write those. (anon_vma, on
// the kernel's second line, is read with the flags here.) packed: all fields side by side, so that
// the count shares a line with links.
//
// Bounds, protection and flags are atomics, since a look-up under RCU may read them while a writer
// edits; the scheme decides who may edit. `Links` is what the container of VMAs keeps in each
// (locks/vmas/concept.hpp), `State` what the scheme's hooks keep (refcount: the count and the
// sequence).
template <class P, template <class, class> class Links, class State>
struct alignas(State::layout == Layout::packed ? cache_line : line_size) Vma {
  static constexpr usize apart = State::layout == Layout::packed ? alignof(u64) : line_size;

  // The state names itself, if it must be told apart.
  Vma() {
    static_assert(!PlainCells<P> || State::layout == Layout::packed ||
                  sizeof(Vma) <= 3 * line_size);
    P::label(this, "vma");
    if constexpr (requires { state().label(); }) state().label();
  }
  typename P::template atomic<u64> start{0};
  typename P::template atomic<u64> end{0};
  typename P::template atomic<u32> prot{0};
  typename P::template atomic<u32> flags{0};
  // 0 until the first anonymous write. VMAs whose anon_vma differ do not merge.
  typename P::template atomic<u64> anon_vma{0};
  // Whether the container holds the VMA: for the oracle.
  typename P::template atomic<u32> attached{0};
  // What the scheme's hooks keep here that faults read.
  [[no_unique_address]] typename State::MostlyRead mostly_read;
  // The pool's while the VMA is free, Mm's while it is detached.
  Vma* next_free = nullptr;
  alignas(apart) Links<P, Vma> links;
  // What they keep here that faults write. Last: nothing shares its line.
  [[no_unique_address]] typename State::Hot hot;

  State state() { return State(hot, mostly_read); }

  // relaxed: the caller holds what keeps the bounds still, or re-checks them (refcount).
  Range range() const {
    return {start.load(std::memory_order_relaxed), end.load(std::memory_order_relaxed)};
  }
  // relaxed: readers under RCU re-check after they have locked the VMA.
  void set_range(Range range) {
    start.store(range.start, std::memory_order_relaxed);
    end.store(range.end, std::memory_order_relaxed);
  }
  bool permits(Access access) const {
    return prot_permits(prot.load(std::memory_order_relaxed), access);  // relaxed: as in range()
  }
  bool has(u32 flag) const {
    // relaxed: as in range(). Flags stay what the VMA was mapped with, but for a reservation of
    // range_lock, which no fault looks at.
    return (flags.load(std::memory_order_relaxed) & flag) != 0;
  }
  // Whether a write makes a page of the process's own, which needs an anon_vma to find it by.
  bool privately_written(Access access) const {
    return !has(map_shared) && (access == Access::write || !has(map_file));
  }
};

}  // namespace faultline
