// A CPU's cache of translations (its TLB) on the platforms that are not this machine:
// direct-mapped, and emptied as a whole. These platforms run one thread at a time and let no other
// run between the load of a page-table entry and the call of keep(). So an entry that a thread
// keeps is as new as the entry of the page table.
#pragma once

#include <array>

#include "locks/address_space/translation.hpp"

namespace faultline::cells {

template <u32 slots>
class Tlb {
 public:
  static u32 slot_of(u64 page) { return static_cast<u32>(page % slots); }

  // `space` stands for the address space, as the identifier does with which hardware tags entries.
  Translation find(const void* space, u64 page) const {
    const Entry& entry = entries_[slot_of(page)];
    const bool hit = entry.space == space && entry.page == page && entry.flushes == flushes_;
    return hit ? entry.translation : Translation{};
  }
  void keep(const void* space, u64 page, Translation translation) {
    entries_[slot_of(page)] = {space, page, translation, flushes_};
  }
  void flush() { ++flushes_; }

  // Calls visit(slot, space, page, translation) for all that the CPU keeps.
  template <class F>
  void for_each(F&& visit) const {
    for (u32 slot = 0; slot < slots; ++slot)
      if (const Entry& entry = entries_[slot]; entry.space != nullptr && entry.flushes == flushes_)
        visit(slot, entry.space, entry.page, entry.translation);
  }

 private:
  struct Entry {
    const void* space = nullptr;
    u64 page = 0;
    Translation translation;
    u64 flushes = 0;
  };
  std::array<Entry, slots> entries_{};
  u64 flushes_ = 0;  // how often it was emptied; older entries count for nothing
};

}  // namespace faultline::cells
