// The oracle must find out each scheme that is broken by hand, and no sound one. A second thread's
// calls run at every access of a first thread's, so that no luck is needed.
#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "harness/check/broken/schemes.hpp"
#include "tests/locks/injecting_platform.hpp"
#include "tests/locks/range_spaces.hpp"

namespace faultline {
namespace {

using P = InjectingPlatform;

constexpr u32 rw = prot_read | prot_write;
constexpr Range mapping{lowest_address, lowest_address + 8 * page_size};
constexpr u64 last_page = mapping.end - page_size;

// The calls that two threads make on one space, which begins with the mapping.
class Calls {
 public:
  explicit Calls(AddressSpace& space) : space_(space) {
    space_.enter();
    map();
  }
  void enter() { space_.enter(); }
  void map() { space_.map(mapping.start, mapping.length(), rw, map_fixed); }
  void unmap() { space_.unmap(mapping.start, mapping.length()); }
  // Cuts the mapping in two, and moves the bounds of the VMA with the last page.
  void cut() { space_.unmap(mapping.start + 2 * page_size, 2 * page_size); }
  void fault() { served_ |= space_.fault(last_page, Access::write) == Error::none; }
  // The second fault finds an anon_vma and a page of the page table, so it need not take the big
  // lock.
  void fault_twice() {
    fault();
    space_.discard(last_page, page_size);
    fault();
  }

  // The oracle's answer, or a page that is gone although its VMA is there.
  bool are_found_out() {
    if (!space_.check().empty()) return true;
    return served_ && !space_.walk(last_page) &&
           space_.fault(last_page, Access::write) == Error::none;
  }

 private:
  AddressSpace& space_;
  bool served_ = false;
};

// Whether `second` at some access of `first` shows that the scheme is broken.
template <class Scheme, class First, class Second>
bool is_found_out(First&& first, Second&& second) {
  NativeThread thread(0, 0, 0, 1);
  bool more = true;
  for (u32 access = 1; more; ++access) {
    AddressSpaceOptions options;
    options.frames_per_thread = 16;
    Scheme space(options);
    Calls calls(space);
    Injection injection([&] {
      calls.enter();
      second(calls);
    });
    more = injection.run(access, [&] { first(calls); });
    if (calls.are_found_out()) return true;
  }
  return false;
}

template <class Scheme>
concept IsSpeculative = requires {
  typename Scheme::Mm::Hooks::Attempt;
};
// Whether the first fault of a VMA takes the big lock.
template <class Scheme>
concept WantsTwoFaults = IsSpeculative<Scheme> || Scheme::Mm::Hooks::State::rules.anon_vma_first;

template <class Scheme>
bool is_found_out() {
  const auto fault = [](Calls& calls) { calls.fault(); };
  const auto fault_twice = [](Calls& calls) { calls.fault_twice(); };
  const auto unmap = [](Calls& calls) { calls.unmap(); };
  const auto cut = [](Calls& calls) { calls.cut(); };
  const auto fault_and_unmap = [](Calls& calls) { calls.fault(), calls.unmap(); };
  const auto map_and_fault = [](Calls& calls) { calls.map(), calls.fault(); };
  if constexpr (WantsTwoFaults<Scheme>)
    if (is_found_out<Scheme>(fault_twice, unmap)) return true;
  // The other calls take long, and tell nothing more of a speculative fault.
  if constexpr (IsSpeculative<Scheme>) return false;
  return is_found_out<Scheme>(fault, unmap) || is_found_out<Scheme>(fault, cut) ||
         is_found_out<Scheme>(fault_and_unmap, fault) ||
         is_found_out<Scheme>(fault_and_unmap, map_and_fault);
}

// Only the model checker finds these out.
const std::set<std::string_view> left_to_the_checker = {
    // A data race.
    "range_lock:flaw=unlocked_lookup",
    // They take three threads.
    "range_lock:flaw=stale_reach", "range_refine:flaw=stale_reach",
    "range_descend:flaw=stale_reach",
    // It needs a map without a hint.
    "range_lock:flaw=stale_place",
    // It corrupts the tree before the oracle sees it.
    "lock_in_tree:flaw=hole",
    // It needs a map with a hint (reservation_test.cpp).
    "range_lock:flaw=unmarked",
    // A fault has to come after the edit has downgraded.
    "range_downgrade:flaw=no_neighbours",
    // Each thread has to overtake the other one.
    "speculative_mm:flaw=early_close", "speculative_counted:flaw=early_free",
    // It shows in the answers of calls, at which this test does not look.
    "page_table_lock:flaw=lost_state",
    // They take two edits, a thread that waits, or a node that leaves the tree.
    "lock_in_maple:flaw=hole", "lock_in_maple:flaw=lost_waiters", "lock_in_maple:flaw=live_node"};

TEST(BrokenSchemes, AreFoundOut) {
  check::for_each_broken_scheme<P, Ticket>([]<class Scheme>(const char* name) {
    if (left_to_the_checker.contains(name)) return;
    EXPECT_TRUE(is_found_out<Scheme>()) << name;
  });
}

TEST(BrokenSchemes, AreNotFoundOutWhereTheyAreSound) {
  using RangeMm = TreeMm<P, RangeLockHooks<P>>;
  EXPECT_FALSE((is_found_out<MmapSem<TreeMm<P>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<RangeLockScheme<RangeMm, MutexStructure<P, Ticket<P>>>>()));
  EXPECT_FALSE((is_found_out<RangesFound<P, RangeFinding::downgrades>>()));
  EXPECT_FALSE((is_found_out<RangesFound<P, RangeFinding::refines>>()));
  EXPECT_FALSE((is_found_out<RangesFound<P, RangeFinding::descends>>()));
  EXPECT_FALSE((is_found_out<LockInTree<P, check::SmallTree<P>>>()));
  EXPECT_FALSE((is_found_out<PageTableLock<P, check::SmallNodes<P, Ticket>>>()));
  EXPECT_FALSE((is_found_out<check::SmallLockInMaple<P, vmas::Words::in_vmas, Ticket>>()));
  EXPECT_FALSE((is_found_out<check::SmallLockInMaple<P, vmas::Words::in_nodes, Ticket>>()));
  EXPECT_FALSE((is_found_out<VmaLocked<TreeMm<P, RefcountHooks<P>>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<VmaLocked<MapleMm<P, RefcountNaiveHooks<P>>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<VmaLocked<MapleMm<P, PerVmaLockHooks<P>>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<VmaLocked<MapleMm<P, SleepingHooks<P>>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<Speculation<MapleMm<P, VmaSequenceHooks<P>>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<Speculation<MapleMm<P, MmSequenceHooks<P>>, Rwsem<P>>>()));
  EXPECT_FALSE((is_found_out<Speculation<MapleMm<P, CountedSequenceHooks<P>>, Rwsem<P>>>()));
}

}  // namespace
}  // namespace faultline
