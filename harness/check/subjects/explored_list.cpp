#include "harness/check/broken/flawed_schemes.hpp"
#include "harness/check/broken/flawed_space.hpp"
#include "harness/check/common/space_calls.hpp"
#include "harness/check/pct/platform.hpp"
#include "harness/check/pct/priorities.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/registry.hpp"
#include "locks/shared/rwsem.hpp"

namespace faultline::check {
namespace {

using P = PctPlatform;

using RangeMm = TreeMm<P, RangeLockHooks<P>>;
using Structure = MutexStructure<P, Ticket<P>>;
template <class S>
std::unique_ptr<AddressSpace> make_type(const AddressSpaceOptions& options) {
  return std::make_unique<S>(options);
}

template <Flaw flaw>
ExploredScheme mmap_sem(const char* name) {
  return {name, make_type<FlawedSpace<TreeMm<P>, Rwsem<P>, flaw>>};
}
template <class Ranges, class Inner = Structure, class Rule = NeighbourRule<RangeMm>>
ExploredScheme range_lock(const char* name) {
  return {name, make_type<RangeLockScheme<RangeMm, Inner, Ranges, Rule>>};
}
template <Flaw flaw>
ExploredScheme lock_in_tree(const char* name) {
  return {name, make_type<LockInTree<P, FlawedTree<P, SmallTree<P>, flaw>>>, true};
}
template <Flaw flaw>
ExploredScheme refcount(const char* name) {
  return {name, make_type<Refcount<TreeMm<P, FlawedHooks<P, flaw>>, Rwsem<P>>>};
}

}  // namespace

std::vector<ExploredScheme> explored_schemes() {
  // They outlive the lists that name them.
  static const std::vector<std::string> names = stars_of(scheme_family, false);
  std::vector<ExploredScheme> schemes;
  for (const std::string& name : names) {
    const Chosen chosen = choose(scheme_family, name);
    if (chosen.max_threads() == 1) continue;
    if (name == "lock_in_tree")
      schemes.push_back({name.c_str(), make_type<LockInTree<P, SmallTree<P>>>, true});
    else
      schemes.push_back({name.c_str(), [chosen](const AddressSpaceOptions& options) {
                           return make_scheme<P>(chosen, options);
                         }});
  }
  return schemes;
}

std::vector<ExploredScheme> explored_broken() {
  using Ranges = TreeRangeLock<P>;
  return {
      mmap_sem<Flaw::unlocked_fault>("mmap_sem:unlocked_fault"),
      mmap_sem<Flaw::stale_vma>("mmap_sem:stale_vma"),
      mmap_sem<Flaw::late_zap>("mmap_sem:late_zap"),
      range_lock<FlawedRanges<P, Flaw::hole>>("range_lock:hole"),
      range_lock<FlawedRanges<P, Flaw::late_zap>>("range_lock:late_zap"),
      range_lock<FlawedRanges<P, Flaw::unlocked_fault>>("range_lock:unlocked_fault"),
      range_lock<Ranges, FlawedStructure<P>>("range_lock:unlocked_lookup"),
      range_lock<Ranges, Structure, FlawedRule<RangeMm, Flaw::no_neighbours>>(
          "range_lock:no_neighbours"),
      range_lock<Ranges, Structure, FlawedRule<RangeMm, Flaw::stale_reach>>(
          "range_lock:stale_reach"),
      lock_in_tree<Flaw::hole>("lock_in_tree:hole"),
      lock_in_tree<Flaw::late_zap>("lock_in_tree:late_zap"),
      lock_in_tree<Flaw::unlocked_fault>("lock_in_tree:unlocked_fault"),
      lock_in_tree<Flaw::unlocked_child>("lock_in_tree:unlocked_child"),
      refcount<Flaw::unlocked_fault>("refcount:unlocked_fault"),
      refcount<Flaw::no_write_lock>("refcount:no_write_lock"),
      refcount<Flaw::early_close>("refcount:early_close"),
      refcount<Flaw::early_free>("refcount:early_free"),
  };
}

}  // namespace faultline::check
