#include <algorithm>
#include <set>
#include <stdexcept>

#include "harness/check/broken/locks.hpp"
#include "harness/check/broken/schemes.hpp"
#include "harness/check/broken/stale_space.hpp"
#include "harness/check/pct/priorities.hpp"
#include "harness/check/subjects/coverage.hpp"
#include "harness/check/subjects/space_subject.hpp"
#include "harness/check/subjects/subjects.hpp"
#include "harness/check/subjects/tree_subject.hpp"
#include "harness/check/weak_memory/step_mutex.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/mutex/broken.hpp"
#include "locks/mutex/list.hpp"
#include "locks/range/list.hpp"
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/page_table_lock.hpp"
#include "locks/schemes/per_vma_lock.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/refcount_naive.hpp"
#include "locks/schemes/speculative_counted.hpp"
#include "locks/schemes/speculative_mm.hpp"
#include "locks/schemes/vma_rwlock.hpp"
#include "locks/shared/list.hpp"
#include "locks/vmas/bonsai.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/skiplist.hpp"
#include "locks/vmas/xarray.hpp"

namespace faultline {
template <class, u32>
class ListRangeLock;  // its header may be left out
template <class, class>
class CountingListRangeLock;  // this one too
}  // namespace faultline

namespace faultline::check {
namespace {

// The subject of a lock with a spinlock inside, that spinlock being a StepMutex.
template <class L>
struct Light {
  static constexpr Subject* (*make)(const Program&) = nullptr;
};
template <RwsemPolicy policy>
struct Light<Rwsem<P, policy>> {
  static constexpr auto make = make_subject<SharedSubject<Rwsem<P, policy, StepMutex>>>;
};
template <RwsemPolicy policy, u32 slots>
struct Light<Bravo<P, Rwsem<P, policy>, slots>> {
  static constexpr auto make =
      make_subject<SharedSubject<Bravo<P, Rwsem<P, policy, StepMutex>, 2>>>;
};
template <>
struct Light<TreeRangeLock<P>> {
  static constexpr auto make = make_subject<RangeSubject<TreeRangeLock<P, StepMutex>>>;
};

// What is checked in place of L. Each execution builds the lock anew, so one with an array gets a
// short array. The spinlocks of Rwsem2019, PercpuRwsem and of range locks but TreeRangeLock are
// taken in one step in all programs.
template <class L>
struct Checkable {
  using type = L;
};
template <class Under, u32 slots>
struct Checkable<Bravo<P, Under, slots>> {
  using type = Bravo<P, Under, 2>;
};
template <>
struct Checkable<Rwsem2019<P>> {
  using type = Rwsem2019<P, StepMutex>;
};
template <>
struct Checkable<PercpuRwsem<P>> {
  using type = PercpuRwsem<P, StepMutex>;
};
template <>
struct Checkable<KaraRangeLock<P>> {
  using type = KaraRangeLock<P, StepMutex>;
};
template <>
struct Checkable<SkiplistRangeLock<P>> {
  using type = SkiplistRangeLock<P, StepMutex>;
};
template <>
struct Checkable<BtreeRangeLock<P>> {
  using type = BtreeRangeLock<P, StepMutex, 2>;
};
// Holds three shared ranges above the programs' pages. They were taken from page 0, 1 and 2 on and
// then shrunk, and the entry of each keeps its place. So the tree has a leaf for ranges that begin
// at page 0, and one for the others.
class OlcOfTwoLeaves : public BtreeOlcRangeLock<P, StepMutex, 2> {
 public:
  OlcOfTwoLeaves() {
    for (u64 i = 0; i < std::size(nodes_); ++i) {
      lock(nodes_[i], {i * page_size, above.end}, false);
      downgrade_range(nodes_[i], above);
    }
  }

 private:
  static constexpr Range above{8 * page_size, 9 * page_size};
  Node nodes_[3];
};
template <>
struct Checkable<BtreeOlcRangeLock<P>> {
  using type = OlcOfTwoLeaves;
  static constexpr u32 fewer = 160;
};
template <>
struct Checkable<SegmentRangeLock<P>> {
  using type = SegmentRangeLock<P, CasRwLock, 4>;
};
template <>
struct Checkable<MapleRangeLock<P>> {
  using type = MapleRangeLock<P, StepMutex, vmas::MapleOf<3, 3>>;
  static constexpr u32 fewer = 160;
};
// A batch is one unlinked entry, so that a program reuses entries. A build may leave these two out.
template <>
struct Checkable<ListRangeLock<P, 64>> {
  using type = ListRangeLock<P, 1>;
  [[maybe_unused]] static constexpr u32 fewer = 40;
};
template <>
struct Checkable<CountingListRangeLock<P, ListRangeLock<P, 64>>> {
  using type = CountingListRangeLock<P, ListRangeLock<P, 1>>;
  [[maybe_unused]] static constexpr u32 fewer = 40;
};

// A name that outlives the list of types.
const char* lasting(const std::string& name) {
  static std::set<std::string> names;
  return names.insert(name).first->c_str();
}

template <template <class> class SubjectOf, class... Named>
void append(std::vector<Checked>& list, Family family, const std::tuple<Named...>& registered) {
  std::apply(
      [&](const auto&... named) {
        const auto add = [&]<class L>(const NamedLock<L>& one) {
          list.push_back({lasting(one.name), family,
                          make_subject<SubjectOf<typename Checkable<L>::type>>, Light<L>::make});
          if constexpr (requires { Checkable<L>::fewer; }) list.back().fewer = Checkable<L>::fewer;
          if constexpr (requires { L::atomic_downgrade; })
            list.back().atomic_downgrade = L::atomic_downgrade;
          if constexpr (RangeLock<L>) list.back().shares = shares_ranges<L>;
          if constexpr (requires { L::under_rcu; }) list.back().under_rcu = L::under_rcu;
        };
        (add(named), ...);
      },
      registered);
}

using LightRwsem = Rwsem<P, RwsemPolicy{}, StepMutex>;
using LightRanges = TreeRangeLock<P, StepMutex>;
using RangeMm = TreeMm<P, RangeLockHooks<P>>;
// A few VMAs fill several nodes.
using SmallMaple = vmas::MapleOf<4, 3>;
template <class Hooks>
constexpr auto make_vma_locked() {
  return make_subject<SpaceSubject<VmaLocked<Mm<P, SmallMaple, Hooks>, LightRwsem>>>;
}
template <class Hooks>
constexpr auto make_speculation() {
  return make_subject<SpaceSubject<Speculation<Mm<P, SmallMaple, Hooks>, LightRwsem>>>;
}
using LightStructure = MutexStructure<P, StepMutex<P>>;
template <RangeFinding finding>
constexpr auto make_range_scheme() {
  return make_subject<
      SpaceSubject<FoundBy<finding, RangeLockScheme<RangeMm, LightStructure, LightRanges>>>>;
}

// A lock of each kind, the simple one if none is named, with that flaw.
template <Flaw flaw, template <class, Flaw, template <class> class> class Lock = FlawedMutex>
Checked broken_mutex(const char* name) {
  return {name, Family::mutex, make_subject<MutexSubject<Lock<P, flaw, StepMutex>>>};
}
template <Flaw flaw, template <class, Flaw, template <class> class> class Lock = FlawedShared>
Checked broken_shared(const char* name) {
  return {name, Family::shared, make_subject<SharedSubject<Lock<P, flaw, StepMutex>>>};
}
template <Flaw flaw>
Checked broken_range(const char* name) {
  return {name, Family::range, make_subject<RangeSubject<FlawedRange<P, flaw, StepMutex>>>};
}
template <Flaw flaw>
Checked broken_queue(const char* name) {
  return {name, Family::queue, make_subject<QueueSubject<FlawedQueue<P, flaw, StepMutex>>>};
}
template <class Hooks, Flaw flaw>
Checked broken_vma_lock(const char* name) {
  return {name, Family::refcount, make_subject<VmaLockSubject<Hooks, StepMutex<P>, flaw>>};
}
template <class Scheme>
Checked broken_space(const char* name) {
  return {name, Family::space, make_subject<SpaceSubject<Scheme>>};
}
// Takes over what the search by PCT needs of a scheme.
void take_over(Checked& checked, const ExploredScheme& scheme) {
  const std::string_view name = scheme.name;
  checked.make_space = scheme.make;
  checked.is_small = scheme.is_small;
  checked.make_tall = scheme.make_tall;
  checked.make_split = scheme.make_split;
  checked.places_apart = places_apart(name);
  checked.reserves = name.starts_with("range_");
  checked.leaves_apart = name.starts_with("lock_in_maple");
  const Entry* entry = find_entry(scheme_family, name.substr(0, name.find(':')));
  checked.discards_by_page = entry != nullptr && entry->discards_by_page;
}

// The schemes without options are explored over Relacy too.
void append_schemes(std::vector<Checked>& list) {
  for (const ExploredScheme& scheme : explored_schemes()) {
    Checked checked{scheme.name, Family::space};
    take_over(checked, scheme);
    const std::string_view name = scheme.name;
    if (name == "mmap_sem")
      checked.make = make_subject<SpaceSubject<MmapSem<TreeMm<P>, LightRwsem>>>;
    if (name == "range_lock") checked.make = make_range_scheme<RangeFinding::looks>();
    if (name == "range_downgrade") checked.make = make_range_scheme<RangeFinding::downgrades>();
    if (name == "range_refine") checked.make = make_range_scheme<RangeFinding::refines>();
    if (name == "range_descend") checked.make = make_range_scheme<RangeFinding::descends>();
    if (name == "lock_in_tree")
      checked.make = make_subject<SpaceSubject<LockInTree<P, SmallTree<P>>>>;
    if (name == "page_table_lock")
      checked.make = make_subject<SpaceSubject<PageTableLock<P, SmallNodes<P, StepMutex>>>>;
    if (name == "lock_in_maple")
      checked.make =
          make_subject<SpaceSubject<SmallLockInMaple<P, vmas::Words::in_vmas, StepMutex>>>;
    if (name == "refcount") checked.make = make_vma_locked<RefcountHooks<P>>();
    if (name == "vma_rwlock") checked.make = make_vma_locked<SleepingHooks<P>>();
    if (name == "speculative") checked.make = make_speculation<VmaSequenceHooks<P>>();
    if (name == "speculative_mm") checked.make = make_speculation<MmSequenceHooks<P>>();
    if (name == "speculative_counted") checked.make = make_speculation<CountedSequenceHooks<P>>();
    checked.own_tables = has_page_tree(name) && checked.make != nullptr;
    const Chosen chosen = choose(scheme_family, name);
    const bool is_modelled = chosen.entry().is_modelled && name == chosen.entry().name;
    if (is_modelled != (checked.make != nullptr))
      throw std::logic_error("the catalogue does not say which schemes Relacy has");
    list.push_back(checked);
  }
}

// Whether only PCT searches this broken scheme. A failure of range_lock:flaw=hole is shown as PCT
// shows it, so that a test can read that. Over Relacy an edit of a maple tree waits for the readers
// under RCU, so no reader finds a VMA or a node that was freed too early. No program over Relacy
// has two maps without an address at the same time.
bool is_left_to_pct(std::string_view name) {
  return name == "range_lock:flaw=hole" || name == "range_lock:flaw=stale_place" ||
         name == "refcount:flaw=early_free" || name == "refcount_naive:flaw=early_free" ||
         name == "per_vma_lock:flaw=early_free" || name == "lock_in_maple:flaw=live_node";
}

void append_broken_schemes(std::vector<Checked>& list) {
  for_each_broken_scheme<P, StepMutex>([&]<class S>(const char* name) {
    list.push_back({name, Family::space});
    if (!is_left_to_pct(name)) list.back().make = make_subject<SpaceSubject<S>>;
  });
  // Of these the programs over Relacy find none.
  const auto add = [&]<class S>(const char* name) { list.push_back({name, Family::space}); };
  for_each_scheme_of_drawn_programs<P, StepMutex>(add);
  for_each_scheme_of_real_time<P, StepMutex>(add);
  for (const ExploredScheme& scheme : explored_broken()) {
    const auto same = std::find_if(list.begin(), list.end(), [&](const Checked& checked) {
      return std::string_view(checked.name) == scheme.name;
    });
    take_over(*same, scheme);
    if (std::string_view(scheme.name) == "mmap_sem:flaw=discard_by_page")
      same->discards_by_page = false;
  }
}

}  // namespace

const std::vector<Checked>& checked_list() {
  static const std::vector<Checked> list = [] {
    std::vector<Checked> all;
    append<MutexSubject>(all, Family::mutex, mutex_list<P>());
    all.push_back({"osq_queue", Family::queue, make_subject<QueueSubject<Osq<P>>>});
    all.push_back({"vma_refcount", Family::refcount,
                   make_subject<VmaLockSubject<RefcountHooks<P>, Ticket<P>>>,
                   make_subject<VmaLockSubject<RefcountHooks<P>, StepMutex<P>>>});
    all.push_back({"vma_naive_refcount", Family::refcount,
                   make_subject<VmaLockSubject<RefcountNaiveHooks<P>, Ticket<P>>>,
                   make_subject<VmaLockSubject<RefcountNaiveHooks<P>, StepMutex<P>>>});
    all.push_back({"vma_rwsem", Family::refcount,
                   make_subject<VmaLockSubject<PerVmaLockHooks<P>, Ticket<P>>>,
                   make_subject<VmaLockSubject<PerVmaLockHooks<P>, StepMutex<P>>>});
    all.push_back({"vma_sleeping_lock", Family::refcount,
                   make_subject<VmaLockSubject<SleepingHooks<P>, Ticket<P>>>,
                   make_subject<VmaLockSubject<SleepingHooks<P>, StepMutex<P>>>});
    append<RangeSubject>(all, Family::range, range_list<P>());
    append<SharedSubject>(all, Family::shared, shared_list<P>());
    all.push_back({"maple", Family::tree, make_subject<TreeSubject<SmallMaple>>});
    all.push_back({"bonsai", Family::tree, make_subject<TreeSubject<vmas::Bonsai>>});
    all.push_back({"xarray", Family::tree, make_subject<TreeSubject<vmas::XArrayOf<1>>>});
    all.push_back({"skiplist", Family::tree, make_subject<TreeSubject<vmas::SkipList>>});
    append_schemes(all);
    return all;
  }();
  return list;
}

const std::vector<Checked>& control_list() {
  static const std::vector<Checked> list = [] {
    std::vector<Checked> all = {
        broken_mutex<Flaw::none>("control:mutex"),
        broken_mutex<Flaw::none, FlawedFairMutex>("control:fair_mutex"),
        broken_shared<Flaw::none, FlawedHandoff>("control:handoff"),
        broken_queue<Flaw::none>("control:queue"),
        broken_range<Flaw::none>("control:range"),
        broken_shared<Flaw::none>("control:shared"),
        broken_space<MmapSem<TreeMm<P>, FlawedShared<P, Flaw::none, StepMutex>>>("control:space"),
    };
    for (const ExploredScheme& scheme : explored_controls()) {
      all.push_back({scheme.name, Family::space});
      take_over(all.back(), scheme);
    }
    // They are mmap_sem.
    for (Checked& checked : all) checked.discards_by_page = checked.family == Family::space;
    return all;
  }();
  return list;
}

const std::vector<Checked>& broken_checked_list() {
  static const std::vector<Checked> list = [] {
    std::vector<Checked> all;
    append<MutexSubject>(all, Family::mutex, broken_list<P>());
    const std::initializer_list<Checked> by_kind = {
        broken_mutex<Flaw::late_ticket>("mutex:flaw=late_ticket"),
        broken_mutex<Flaw::early_publication>("mutex:flaw=early_publication"),
        broken_mutex<Flaw::no_wake>("mutex:flaw=no_wake"),
        broken_mutex<Flaw::trying_waits>("mutex:flaw=trying_waits"),
        broken_mutex<Flaw::barging, FlawedFairMutex>("mutex:flaw=barging"),
        broken_queue<Flaw::handoff_ignored>("queue:flaw=handoff_ignored"),
        broken_queue<Flaw::no_handoff>("queue:flaw=no_handoff"),
        broken_queue<Flaw::stale_head>("queue:flaw=stale_head"),
        broken_vma_lock<RefcountHooks<P>, Flaw::no_write_lock>("vma_refcount:flaw=no_write_lock"),
        broken_vma_lock<RefcountHooks<P>, Flaw::early_close>("vma_refcount:flaw=early_close"),
        broken_vma_lock<RefcountHooks<P>, Flaw::early_free>("vma_refcount:flaw=early_free"),
        broken_vma_lock<PerVmaLockHooks<P>, Flaw::no_write_lock>("vma_rwsem:flaw=no_write_lock"),
        broken_vma_lock<PerVmaLockHooks<P>, Flaw::early_close>("vma_rwsem:flaw=early_close"),
        broken_vma_lock<SleepingHooks<P>, Flaw::no_write_lock>(
            "vma_sleeping_lock:flaw=no_write_lock"),
        broken_vma_lock<SleepingHooks<P>, Flaw::early_close>("vma_sleeping_lock:flaw=early_close"),
        broken_vma_lock<SleepingHooks<P>, Flaw::early_free>("vma_sleeping_lock:flaw=early_free"),
        broken_range<Flaw::late_ticket>("range:flaw=late_ticket"),
        broken_range<Flaw::rude_readers>("range:flaw=rude_readers"),
        broken_range<Flaw::downgrade_silent>("range:flaw=downgrade_silent"),
        broken_range<Flaw::hole>("range:flaw=hole"),
        broken_range<Flaw::shrink_silent>("range:flaw=shrink_silent"),
        broken_range<Flaw::kept_start>("range:flaw=kept_start"),
        broken_range<Flaw::late_touch>("range:flaw=late_touch"),
        broken_shared<Flaw::late_ticket>("shared:flaw=late_ticket"),
        broken_shared<Flaw::no_wake>("shared:flaw=no_wake"),
        broken_shared<Flaw::rude_readers>("shared:flaw=rude_readers"),
        broken_shared<Flaw::downgrade_gap>("shared:flaw=downgrade_gap"),
        broken_shared<Flaw::downgrade_silent>("shared:flaw=downgrade_silent"),
        broken_shared<Flaw::lost_handoff, FlawedHandoff>("shared:flaw=lost_handoff"),
    };
    all.insert(all.end(), by_kind.begin(), by_kind.end());
    append_broken_schemes(all);
    return all;
  }();
  return list;
}

const Checked* find_checked(std::string_view name) {
  for (const auto* list : {&checked_list(), &control_list(), &broken_checked_list()})
    for (const Checked& checked : *list)
      if (name == checked.name) return &checked;
  return nullptr;
}

}  // namespace faultline::check
