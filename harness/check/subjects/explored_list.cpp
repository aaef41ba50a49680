#include "harness/check/broken/schemes.hpp"
#include "harness/check/broken/stale_space.hpp"
#include "harness/check/common/space_calls.hpp"
#include "harness/check/pct/platform.hpp"
#include "harness/check/pct/priorities.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/schemes/lock_in_maple.hpp"
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/page_table_lock.hpp"
#include "locks/schemes/per_vma_lock.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/refcount_naive.hpp"
#include "locks/schemes/registry.hpp"
#include "locks/schemes/speculative_counted.hpp"
#include "locks/schemes/speculative_mm.hpp"
#include "locks/schemes/vma_rwlock.hpp"
#include "locks/shared/rwsem.hpp"

namespace faultline::check {
namespace {

using P = PctPlatform;

template <class S>
std::unique_ptr<AddressSpace> make_type(const AddressSpaceOptions& options) {
  return std::make_unique<S>(options);
}

// Two spaces over one pool of VMAs.
template <class S>
std::unique_ptr<AddressSpace> make_two(const AddressSpaceOptions& options, u64 split) {
  const auto vmas = std::make_shared<typename S::VmaPool>();
  return std::make_unique<SplitSpace>(std::make_unique<S>(options, vmas),
                                      std::make_unique<S>(options, vmas), split);
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
      schemes.push_back({name.c_str(), make_type<LockInTree<P, SmallTree<P>>>, true,
                         make_type<LockInTree<P, TallTree<P>>>});
    else if (name == "lock_in_maple")
      schemes.push_back({name.c_str(), make_type<SmallLockInMaple<P, vmas::Words::in_vmas>>});
    else if (name == "lock_in_maple:words=node")
      schemes.push_back({name.c_str(), make_type<SmallLockInMaple<P, vmas::Words::in_nodes>>});
    else if (name == "lock_in_tree:slots=sv6")
      schemes.push_back({name.c_str(), make_type<LockInTree<P, SmallSv6Tree<P>>>, true});
    else if (name == "page_table_lock")
      schemes.push_back({name.c_str(), make_type<PageTableLock<P, SmallNodes<P, Ticket>>>, true,
                         make_type<PageTableLock<P, TallNodes<P, Ticket>>>});
    else
      schemes.push_back({name.c_str(), [chosen](const AddressSpaceOptions& options) {
                           return make_scheme<P>(chosen, options);
                         }});
    using Semaphore = Rwsem<P, RwsemPolicy{}, Ticket>;
    if (name == "mmap_sem") schemes.back().make_split = make_two<MmapSem<TreeMm<P>, Semaphore>>;
    if (name == "refcount")
      schemes.back().make_split = make_two<VmaLocked<MapleMm<P, RefcountHooks<P>>, Semaphore>>;
    if (name == "refcount_naive")
      schemes.back().make_split = make_two<VmaLocked<MapleMm<P, RefcountNaiveHooks<P>>, Semaphore>>;
    if (name == "per_vma_lock")
      schemes.back().make_split = make_two<VmaLocked<MapleMm<P, PerVmaLockHooks<P>>, Semaphore>>;
    if (name == "vma_rwlock")
      schemes.back().make_split = make_two<VmaLocked<MapleMm<P, SleepingHooks<P>>, Semaphore>>;
    if (name == "speculative")
      schemes.back().make_split = make_two<Speculation<MapleMm<P, VmaSequenceHooks<P>>, Semaphore>>;
    if (name == "speculative_mm")
      schemes.back().make_split = make_two<Speculation<MapleMm<P, MmSequenceHooks<P>>, Semaphore>>;
    if (name == "speculative_counted")
      schemes.back().make_split =
          make_two<Speculation<MapleMm<P, CountedSequenceHooks<P>>, Semaphore>>;
  }
  return schemes;
}

std::vector<ExploredScheme> explored_broken() {
  std::vector<ExploredScheme> schemes;
  for_each_broken_scheme<P, Ticket>([&]<class S>(const char* name) {
    schemes.push_back({name, make_type<S>, has_page_tree(name)});
  });
  for_each_scheme_of_drawn_programs<P, Ticket>([&]<class S>(const char* name) {
    schemes.push_back({name, make_type<S>});
  });
  for_each_scheme_of_real_time<P, Ticket>([&]<class S>(const char* name) {
    schemes.push_back({name, make_type<S>});
  });
  return schemes;
}

std::vector<ExploredScheme> explored_controls() {
  std::vector<ExploredScheme> schemes;
  for_each_control_of_real_time<P, Ticket>([&]<class S>(const char* name) {
    schemes.push_back({name, make_type<S>});
  });
  return schemes;
}

}  // namespace faultline::check
