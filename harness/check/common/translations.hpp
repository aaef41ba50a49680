// The CPUs' caches of translations (TLBs), by which the checker judges shootdowns. An access fills
// the cache of its CPU, and goes through it from then on. A shootdown empties the caches of the
// CPUs that it reaches. What the caches hold is judged at these moments:
//
//   - A call that takes pages or rights away returns: no cache still has what an access filled
//     before the call.
//   - A frame becomes free, or another page's: no cache leads to it.
//   - An access fills a cache: the frame is that page's, and some call may have given the page's
//     mapping the rights that the cache takes (grants.hpp).
//   - All threads are at rest: the page table holds what the caches hold.
#pragma once

#include <array>
#include <string>

#include "harness/cells/tlb.hpp"
#include "harness/check/common/grants.hpp"
#include "harness/check/common/types.hpp"

namespace faultline::check {

class Translations {
 public:
  static constexpr u32 most_pages = 8;

  // `window`: the first page of the grants' window.
  void reset(u64 window) {
    *this = {};
    window_ = window;
  }
  Grants grants;

  Translation find(u32 cpu, const void* space, u64 page) const {
    return tlbs_[cpu].find(space, page);
  }
  void keep(u32 cpu, const void* space, u64 page, Translation translation) {
    const Owner& owner = owner_of(translation.frame);
    if (owner.space == space && owner.page != page)
      note("a CPU filled a translation to a frame that is not its page's");
    const u64 at = page - window_;
    if (at < Grants::window && (translation.prot & ~grants.rights(static_cast<u32>(at))) != 0)
      note("a CPU filled a translation with rights that no call had given");
    tlbs_[cpu].keep(space, page, translation);
    since_[cpu][Tlb::slot_of(page)] = ++moment_;
  }
  void flush(const CpuSet& cpus) {
    for (u32 cpu = 0; cpu < most_threads; ++cpu)
      if (cpus.has(cpu)) tlbs_[cpu].flush();
  }
  void flush_all() {
    for (Tlb& tlb : tlbs_) tlb.flush();
  }

  // The frame is that page's from now on; page 0: it is free.
  void give(const void* space, u32 frame, u64 page) {
    owner_of(frame) = {space, page};
    for_each([&](u32, u32, const void* in, u64 at, Translation held) {
      if (in == space && held.frame == frame && at != page)
        note("a frame was given up while a CPU kept a translation to it");
    });
  }

  u64 now() const { return moment_; }

  // A call that leaves at most `rights` to the pages [first, end) returns. It began at `began`.
  void check(u64 first, u64 end, u32 rights, u64 began) {
    for_each([&](u32 cpu, u32 slot, const void*, u64 page, Translation held) {
      if (page < first || page >= end || since_[cpu][slot] > began) return;
      if ((held.prot & ~rights) != 0) note("a CPU kept a translation that a call had taken away");
    });
  }
  // With all threads at rest.
  template <class F>
  std::string check_at_rest(const void* space, F&& allows) {
    for_each([&](u32, u32, const void* in, u64 page, Translation held) {
      if (in == space && !allows(page, held))
        note("a CPU keeps a translation that the page table does not hold");
    });
    return wrong_ == nullptr ? "" : wrong_;
  }

 private:
  using Tlb = cells::Tlb<most_pages>;
  struct Owner {
    const void* space = nullptr;
    u64 page = 0;
  };

  template <class F>
  void for_each(F&& visit) const {
    for (u32 cpu = 0; cpu < most_threads; ++cpu)
      tlbs_[cpu].for_each([&](u32 slot, const void* space, u64 page, Translation held) {
        visit(cpu, slot, space, page, held);
      });
  }
  // Threads have at most so many frames in the checker's address spaces.
  Owner& owner_of(u32 frame) { return owners_[(frame >> 21) % most_threads][frame % 32]; }
  void note(const char* what) {
    if (wrong_ == nullptr) wrong_ = what;
  }

  std::array<Tlb, most_threads> tlbs_{};
  std::array<std::array<u64, most_pages>, most_threads> since_{};
  std::array<std::array<Owner, 32>, most_threads> owners_{};
  u64 moment_ = 0;
  u64 window_ = 0;
  const char* wrong_ = nullptr;
};

// Of the execution that runs.
inline Translations translations;

// `tlb` of a platform whose CPUs have these caches (locks/address_space/translation.hpp).
template <class P>
struct CheckedTlb {
  static Translation find(const void* space, u64 page) {
    return translations.find(P::cpu(), space, page);
  }
  static void keep(const void* space, u64 page, Translation translation) {
    translations.keep(P::cpu(), space, page, translation);
  }
  static void flush_all() { translations.flush_all(); }
  static void give(const void* space, u32 frame, u64 page) {
    translations.give(space, frame, page);
  }
  static void take_back(const void* space, u32 frame) { translations.give(space, frame, 0); }
  template <class F>
  static std::string check(const void* space, F&& allows) {
    return translations.check_at_rest(space, allows);
  }
};

}  // namespace faultline::check
