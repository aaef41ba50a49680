// The lists of locks and schemes. To add one: its header, and one line here; tests, benchmark and
// reports take it from these.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "locks/mutex/broken.hpp"
#include "locks/mutex/list.hpp"
#include "locks/range/full_range.hpp"
#include "locks/range/list.hpp"
#include "locks/schemes/linux.hpp"
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/shared/list.hpp"
#include "locks/shared/no_lock.hpp"

namespace faultline {

inline constexpr RwsemPolicy no_osq{.osq = false};
inline constexpr RwsemPolicy no_steal{.steal = false};
inline constexpr RwsemPolicy no_handoff{.handoff = false};

template <class P>
struct Scheme {
  const char* name;
  const char* summary;
  u32 max_threads;      // 0: any number
  bool private_spaces;  // several at once in one process
  std::unique_ptr<AddressSpace> (*make)(const AddressSpaceOptions&);
};

template <class S>
std::unique_ptr<AddressSpace> make_scheme_of(const AddressSpaceOptions& options) {
  return std::make_unique<S>(options);
}

template <class P>
const std::vector<Scheme<P>>& scheme_list() {
  static const std::vector<Scheme<P>> list = [] {
    std::vector<Scheme<P>> schemes = {
        {"none", "no lock, one thread: the cost of harness and address space", 1, true,
         make_scheme_of<MmapSem<P, NoLock<P>>>},
        {"mmap_sem", "one rwsem for the whole address space", 0, true,
         make_scheme_of<MmapSem<P, Rwsem<P>>>},
        {"mmap_sem:osq=off", "mmap_sem without the queue of spinners", 0, true,
         make_scheme_of<MmapSem<P, Rwsem<P, no_osq>>>},
        {"mmap_sem:steal=off", "mmap_sem without lock stealing", 0, true,
         make_scheme_of<MmapSem<P, Rwsem<P, no_steal>>>},
        {"mmap_sem:handoff=off", "mmap_sem without handoff", 0, true,
         make_scheme_of<MmapSem<P, Rwsem<P, no_handoff>>>},
        {"mmap_sem:lock=rwsem_2012", "mmap_sem over Linux's semaphore of 2012", 0, true,
         make_scheme_of<MmapSem<P, Rwsem2012<P>>>},
        {"range_lock", "narrow ranges, the tree of VMAs under a ticket lock", 0, true,
         make_scheme_of<RangeLockScheme<P, MutexStructure<P, Ticket<P>>>>},
        {"range_lock:structure=mcs", "narrow ranges, the tree of VMAs under an MCS lock", 0, true,
         make_scheme_of<RangeLockScheme<P, MutexStructure<P, Mcs<P>>>>},
        {"range_lock:structure=rwsem", "narrow ranges, the tree of VMAs under an rwsem", 0, true,
         make_scheme_of<RangeLockScheme<P, SharedStructure<P, Rwsem<P>>>>},
        {"full_range", "the range lock over the whole address space, as one semaphore", 0,
         true, make_scheme_of<MmapSem<P, FullRange<P, TreeRangeLock<P>>>>},
        {"lock_in_tree", "a lock bit in every slot of a radix tree", 0, true,
         make_scheme_of<LockInTree<P>>},
        {"refcount", "a reference count in each VMA, falling back to the rwsem", 0, true,
         make_scheme_of<Refcount<P, Rwsem<P>>>},
    };
    if constexpr (runs_natively<P>) {
      schemes.push_back({"mmap_sem:lock=pthread_rwlock", "mmap_sem over the C library's lock", 0, true,
                         make_scheme_of<MmapSem<P, PthreadRwlock<P>>>});
      schemes.push_back({"mmap_sem:lock=std_shared_mutex", "mmap_sem over the C++ library's lock", 0,
                         true, make_scheme_of<MmapSem<P, StdSharedMutex<P>>>});
      schemes.push_back({"linux", "the running kernel", 0, false, make_scheme_of<LinuxScheme<P>>});
    }
    return schemes;
  }();
  return list;
}

// Throws std::invalid_argument where the platform has not that combination of options.
template <class P>
std::unique_ptr<AddressSpace> make_scheme(const Chosen& chosen, const AddressSpaceOptions& options) {
  const std::string name = chosen.text();
  for (const Scheme<P>& scheme : scheme_list<P>())
    if (scheme.name == name) return scheme.make(options);
  throw std::invalid_argument("scheme '" + name + "': not compiled for this platform");
}

// The scheme of that name, or null.
template <class P>
const Scheme<P>* find_scheme(std::string_view name) {
  for (const Scheme<P>& scheme : scheme_list<P>())
    if (scheme.name == name) return &scheme;
  return nullptr;
}

}  // namespace faultline
