// The lists of locks and schemes. To add one: its header, and one line here; tests, benchmark and
// reports take it from these.
#pragma once

#include <memory>
#include <string_view>
#include <tuple>
#include <vector>

#include "locks/external/pthread_rwlock.hpp"
#include "locks/external/std_shared_mutex.hpp"
#include "locks/mutex/busted.hpp"
#include "locks/mutex/mcs.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/range/full_range.hpp"
#include "locks/range/tree_range_lock.hpp"
#include "locks/schemes/linux.hpp"
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/shared/no_lock.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/shared/rwsem_2012.hpp"
#include "locks/vmas/rbtree.hpp"

namespace faultline {

// A lock's name and type, for a fold over a list of types.
template <class L>
struct NamedLock {
  using Lock = L;
  const char* name;
  const char* summary;
};

template <class P>
constexpr auto mutex_list() {
  return std::tuple{
      NamedLock<Ticket<P>>{"ticket", "ticket lock"},
      NamedLock<Mcs<P>>{"mcs", "MCS queue lock"},
  };
}

// For the checker alone: never measured.
template <class P>
constexpr auto broken_list() {
  return std::tuple{
      NamedLock<Busted<P>>{"busted", "broken on purpose: `faultline check busted` shows how"},
  };
}

inline constexpr RwsemPolicy no_osq{.osq = false};
inline constexpr RwsemPolicy no_steal{.steal = false};
inline constexpr RwsemPolicy no_handoff{.handoff = false};

// Whether the platform is this machine: locks that others wrote and the running kernel are there
// alone.
template <class P>
concept Native = requires {
  P::touch(nullptr, Access::read);
};

template <class P>
constexpr auto shared_list() {
  const std::tuple ours{
      NamedLock<Rwsem<P>>{"rwsem", "Linux's reader-writer semaphore"},
      NamedLock<Rwsem<P, no_osq>>{"rwsem:no-osq", "rwsem without the queue of spinners"},
      NamedLock<Rwsem<P, no_steal>>{"rwsem:no-steal", "rwsem without lock stealing"},
      NamedLock<Rwsem<P, no_handoff>>{"rwsem:no-handoff", "rwsem without handoff"},
      NamedLock<Rwsem2012<P>>{"rwsem_2012", "Linux's semaphore of 2012: who waits sleeps"},
  };
  if constexpr (!Native<P>)
    return ours;
  else
    return std::tuple_cat(
        ours, std::tuple{NamedLock<PthreadRwlock<P>>{"pthread_rwlock",
                                                     "the C library's reader-writer lock"},
                         NamedLock<StdSharedMutex<P>>{"std::shared_mutex",
                                                      "the C++ library's reader-writer lock"}});
}

template <class P>
constexpr auto range_list() {
  return std::tuple{
      NamedLock<TreeRangeLock<P>>{"tree_range_lock", "Bueso's interval-tree range lock"},
  };
}

// The address space over Linux's container of old, which is every scheme's default.
template <class P, class Hooks = NoHooks>
using TreeMm = Mm<P, vmas::RbTree, Hooks>;

template <class P>
struct Scheme {
  const char* name;
  const char* summary;
  u32 max_threads;      // 0: any number
  bool private_spaces;  // several at once in one process
  std::unique_ptr<AddressSpace> (*make)(const AddressSpaceOptions&);
};

template <class S>
std::unique_ptr<AddressSpace> make_scheme(const AddressSpaceOptions& options) {
  return std::make_unique<S>(options);
}

template <class P>
const std::vector<Scheme<P>>& scheme_list() {
  static const std::vector<Scheme<P>> list = [] {
    std::vector<Scheme<P>> schemes = {
        {"none", "no lock, one thread: the cost of harness and address space", 1, true,
         make_scheme<MmapSem<TreeMm<P>, NoLock<P>>>},
        {"mmap_sem", "one rwsem for the whole address space", 0, true,
         make_scheme<MmapSem<TreeMm<P>, Rwsem<P>>>},
        {"mmap_sem:no-osq", "mmap_sem without the queue of spinners", 0, true,
         make_scheme<MmapSem<TreeMm<P>, Rwsem<P, no_osq>>>},
        {"mmap_sem:no-steal", "mmap_sem without lock stealing", 0, true,
         make_scheme<MmapSem<TreeMm<P>, Rwsem<P, no_steal>>>},
        {"mmap_sem:no-handoff", "mmap_sem without handoff", 0, true,
         make_scheme<MmapSem<TreeMm<P>, Rwsem<P, no_handoff>>>},
        {"mmap_sem:rwsem_2012", "mmap_sem over Linux's semaphore of 2012", 0, true,
         make_scheme<MmapSem<TreeMm<P>, Rwsem2012<P>>>},
        {"range_lock", "narrow ranges, the tree of VMAs under a ticket lock", 0, true,
         make_scheme<RangeLockScheme<TreeMm<P, RangeLockHooks<P>>, MutexStructure<P, Ticket<P>>>>},
        {"range_lock:mcs", "narrow ranges, the tree of VMAs under an MCS lock", 0, true,
         make_scheme<RangeLockScheme<TreeMm<P, RangeLockHooks<P>>, MutexStructure<P, Mcs<P>>>>},
        {"range_lock:rwsem", "narrow ranges, the tree of VMAs under an rwsem", 0, true,
         make_scheme<RangeLockScheme<TreeMm<P, RangeLockHooks<P>>, SharedStructure<P, Rwsem<P>>>>},
        {"range_lock:full", "the range lock over the whole address space, as one semaphore", 0,
         true, make_scheme<MmapSem<TreeMm<P>, FullRange<P, TreeRangeLock<P>>>>},
        {"lock_in_tree", "a lock bit in every slot of a radix tree", 0, true,
         make_scheme<LockInTree<P>>},
        {"refcount", "a reference count in each VMA, falling back to the rwsem", 0, true,
         make_scheme<Refcount<TreeMm<P, RefcountHooks<P>>, Rwsem<P>>>},
    };
    if constexpr (Native<P>) {
      schemes.push_back({"mmap_sem:pthread_rwlock", "mmap_sem over the C library's lock", 0, true,
                         make_scheme<MmapSem<TreeMm<P>, PthreadRwlock<P>>>});
      schemes.push_back({"mmap_sem:std::shared_mutex", "mmap_sem over the C++ library's lock", 0,
                         true, make_scheme<MmapSem<TreeMm<P>, StdSharedMutex<P>>>});
      schemes.push_back({"linux", "the running kernel", 0, false, make_scheme<LinuxScheme<P>>});
    }
    return schemes;
  }();
  return list;
}

// The scheme of that name, or null.
template <class P>
const Scheme<P>* find_scheme(std::string_view name) {
  for (const Scheme<P>& scheme : scheme_list<P>())
    if (scheme.name == name) return &scheme;
  return nullptr;
}

}  // namespace faultline
