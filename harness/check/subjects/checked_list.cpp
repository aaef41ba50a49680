#include <set>
#include <stdexcept>

#include "harness/check/broken/flawed_schemes.hpp"
#include "harness/check/broken/flawed_space.hpp"
#include "harness/check/broken/mutants.hpp"
#include "harness/check/pct/priorities.hpp"
#include "harness/check/subjects/coverage.hpp"
#include "harness/check/subjects/space_subject.hpp"
#include "harness/check/subjects/subjects.hpp"
#include "harness/check/weak_memory/step_mutex.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/mutex/broken.hpp"
#include "locks/mutex/list.hpp"
#include "locks/range/list.hpp"
#include "locks/shared/list.hpp"

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
template <>
struct Light<TreeRangeLock<P>> {
  static constexpr auto make = make_subject<RangeSubject<TreeRangeLock<P, StepMutex>>>;
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
          list.push_back(
              {lasting(one.name), family, make_subject<SubjectOf<L>>, Light<L>::make});
          if constexpr (requires { L::atomic_downgrade; })
            list.back().atomic_downgrade = L::atomic_downgrade;
        };
        (add(named), ...);
      },
      registered);
}

using LightRwsem = Rwsem<P, RwsemPolicy{}, StepMutex>;
using LightRanges = TreeRangeLock<P, StepMutex>;
using RangeMm = TreeMm<P, RangeLockHooks<P>>;
using LightStructure = MutexStructure<P, StepMutex<P>>;
template <class Ranges = LightRanges, class Structure = LightStructure,
          class Rule = NeighbourRule<RangeMm>>
using LightRangeLockScheme = RangeLockScheme<RangeMm, Structure, Ranges, Rule>;

// The simple lock of each kind, with that flaw.
template <Flaw flaw>
Checked mutex_mutant(const char* name) {
  return {name, Family::mutex, make_subject<MutexSubject<FlawedMutex<P, flaw>>>};
}
template <Flaw flaw>
Checked shared_mutant(const char* name) {
  return {name, Family::shared, make_subject<SharedSubject<FlawedShared<P, flaw>>>};
}
template <Flaw flaw>
Checked range_mutant(const char* name) {
  return {name, Family::range, make_subject<RangeSubject<FlawedRange<P, flaw>>>};
}
template <Flaw flaw>
Checked queue_mutant(const char* name) {
  return {name, Family::queue, make_subject<QueueSubject<FlawedQueue<P, flaw>>>};
}
template <Flaw flaw>
Checked refcount_mutant(const char* name) {
  return {name, Family::refcount, make_subject<RefcountSubject<StepMutex<P>, flaw>>};
}
template <class Scheme>
Checked space_mutant(const char* name) {
  return {name, Family::space, make_subject<SpaceSubject<Scheme>>};
}
template <Flaw flaw>
Checked mmap_sem_mutant(const char* name) {
  return space_mutant<FlawedSpace<TreeMm<P>, LightRwsem, flaw>>(name);
}
template <Flaw flaw>
Checked ranges_mutant(const char* name) {
  return space_mutant<LightRangeLockScheme<FlawedRanges<P, flaw, StepMutex>>>(name);
}
template <Flaw flaw>
Checked rule_mutant(const char* name) {
  return space_mutant<LightRangeLockScheme<LightRanges, LightStructure, FlawedRule<RangeMm, flaw>>>(
      name);
}
template <Flaw flaw>
Checked tree_mutant(const char* name) {
  return space_mutant<LockInTree<P, FlawedTree<P, SmallTree<P>, flaw>>>(name);
}
template <Flaw flaw>
Checked refcount_space_mutant(const char* name) {
  return space_mutant<Refcount<TreeMm<P, FlawedHooks<P, flaw>>, LightRwsem>>(name);
}

// Over Relacy too, but for the variants.
void append_schemes(std::vector<Checked>& list) {
  for (const ExploredScheme& scheme : explored_schemes()) {
    Checked checked{scheme.name, Family::space};
    checked.make_space = scheme.make;
    checked.is_small = scheme.is_small;
    const std::string_view name = scheme.name;
    if (name == "mmap_sem")
      checked.make = make_subject<SpaceSubject<MmapSem<TreeMm<P>, LightRwsem>>>;
    if (name == "range_lock") checked.make = make_subject<SpaceSubject<LightRangeLockScheme<>>>;
    if (name == "lock_in_tree")
      checked.make = make_subject<SpaceSubject<LockInTree<P, SmallTree<P>>>>;
    if (name == "refcount")
      checked.make = make_subject<SpaceSubject<Refcount<TreeMm<P, RefcountHooks<P>>, LightRwsem>>>;
    const Chosen chosen = choose(scheme_family, name);
    const bool is_modelled = chosen.entry().is_modelled && chosen.departures() == 0;
    if (is_modelled != (checked.make != nullptr))
      throw std::logic_error("the catalogue does not say which schemes Relacy has");
    list.push_back(checked);
  }
}

}  // namespace

const std::vector<Checked>& checked_list() {
  static const std::vector<Checked> list = [] {
    std::vector<Checked> all;
    append<MutexSubject>(all, Family::mutex, mutex_list<P>());
    all.push_back({"osq", Family::queue, make_subject<QueueSubject<Osq<P>>>});
    all.push_back({"vma_refcount", Family::refcount, make_subject<RefcountSubject<Ticket<P>>>,
                   make_subject<RefcountSubject<StepMutex<P>>>});
    append<RangeSubject>(all, Family::range, range_list<P>());
    append<SharedSubject>(all, Family::shared, shared_list<P>());
    append_schemes(all);
    return all;
  }();
  return list;
}

const std::vector<Checked>& control_list() {
  static const std::vector<Checked> list = {
      mutex_mutant<Flaw::none>("control:mutex"),
      queue_mutant<Flaw::none>("control:queue"),
      range_mutant<Flaw::none>("control:range"),
      shared_mutant<Flaw::none>("control:shared"),
      space_mutant<MmapSem<TreeMm<P>, FlawedShared<P, Flaw::none>>>("control:space"),
  };
  return list;
}

const std::vector<Checked>& mutant_list() {
  static const std::vector<Checked> list = [] {
    std::vector<Checked> all;
    append<MutexSubject>(all, Family::mutex, broken_list<P>());
    const std::initializer_list<Checked> by_kind = {
        mutex_mutant<Flaw::late_ticket>("mutex:late_ticket"),
        mutex_mutant<Flaw::early_publication>("mutex:early_publication"),
        mutex_mutant<Flaw::no_wake>("mutex:no_wake"),
        mutex_mutant<Flaw::trying_waits>("mutex:trying_waits"),
        queue_mutant<Flaw::handoff_ignored>("queue:handoff_ignored"),
        queue_mutant<Flaw::no_handoff>("queue:no_handoff"),
        queue_mutant<Flaw::stale_head>("queue:stale_head"),
        refcount_mutant<Flaw::no_write_lock>("vma_refcount:no_write_lock"),
        refcount_mutant<Flaw::early_close>("vma_refcount:early_close"),
        refcount_mutant<Flaw::early_free>("vma_refcount:early_free"),
        range_mutant<Flaw::late_ticket>("range:late_ticket"),
        range_mutant<Flaw::rude_readers>("range:rude_readers"),
        range_mutant<Flaw::downgrade_silent>("range:downgrade_silent"),
        range_mutant<Flaw::hole>("range:hole"),
        range_mutant<Flaw::shrink_silent>("range:shrink_silent"),
        range_mutant<Flaw::late_touch>("range:late_touch"),
        shared_mutant<Flaw::late_ticket>("shared:late_ticket"),
        shared_mutant<Flaw::no_wake>("shared:no_wake"),
        shared_mutant<Flaw::rude_readers>("shared:rude_readers"),
        shared_mutant<Flaw::downgrade_gap>("shared:downgrade_gap"),
        shared_mutant<Flaw::downgrade_silent>("shared:downgrade_silent"),
        mmap_sem_mutant<Flaw::unlocked_fault>("mmap_sem:unlocked_fault"),
        mmap_sem_mutant<Flaw::stale_vma>("mmap_sem:stale_vma"),
        mmap_sem_mutant<Flaw::late_zap>("mmap_sem:late_zap"),
        space_mutant<MmapSem<TreeMm<P>, FlawedShared<P, Flaw::rude_readers>>>(
            "mmap_sem:rude_readers"),
        space_mutant<MmapSem<TreeMm<P>, FlawedShared<P, Flaw::downgrade_gap>>>(
            "mmap_sem:downgrade_gap"),
        ranges_mutant<Flaw::late_zap>("range_lock:late_zap"),
        ranges_mutant<Flaw::unlocked_fault>("range_lock:unlocked_fault"),
        space_mutant<LightRangeLockScheme<LightRanges, FlawedStructure<P, StepMutex<P>>>>(
            "range_lock:unlocked_lookup"),
        rule_mutant<Flaw::no_neighbours>("range_lock:no_neighbours"),
        rule_mutant<Flaw::stale_reach>("range_lock:stale_reach"),
        tree_mutant<Flaw::hole>("lock_in_tree:hole"),
        tree_mutant<Flaw::late_zap>("lock_in_tree:late_zap"),
        tree_mutant<Flaw::unlocked_fault>("lock_in_tree:unlocked_fault"),
        tree_mutant<Flaw::unlocked_child>("lock_in_tree:unlocked_child"),
        refcount_space_mutant<Flaw::unlocked_fault>("refcount:unlocked_fault"),
        refcount_space_mutant<Flaw::no_write_lock>("refcount:no_write_lock"),
        refcount_space_mutant<Flaw::early_close>("refcount:early_close"),
        refcount_space_mutant<Flaw::early_free>("refcount:early_free"),
    };
    all.insert(all.end(), by_kind.begin(), by_kind.end());
    // range_lock:hole is left to priorities alone, so that there are stories of theirs to be seen.
    for (const ExploredScheme& scheme : explored_mutants()) {
      const std::string_view name = scheme.name;
      auto known = std::find_if(all.begin(), all.end(),
                                [&](const Checked& checked) { return name == checked.name; });
      if (known == all.end()) known = all.insert(known, {scheme.name, Family::space});
      known->make_space = scheme.make;
      known->is_small = scheme.is_small;
    }
    return all;
  }();
  return list;
}

const Checked* find_checked(std::string_view name) {
  for (const auto* list : {&checked_list(), &control_list(), &mutant_list()})
    for (const Checked& checked : *list)
      if (name == checked.name) return &checked;
  return nullptr;
}

}  // namespace faultline::check
