// Makes the workloads of the catalogue over a platform. To add one: its header, included here, and
// a line in workloads/list.def.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "locks/schemes/registry.hpp"
#include "workloads/catalogue.hpp"
#include "workloads/clear_pages.hpp"
#include "workloads/mapbench.hpp"
#include "workloads/mix.hpp"
#include "workloads/mmap_loop.hpp"
#include "workloads/page_fault.hpp"
#include "workloads/replay.hpp"
#include "workloads/threads.hpp"

namespace faultline {

// lock_loop over a lock of that family; defined in workloads/lock_loops.hpp.
template <class P, Family family>
std::unique_ptr<Workload<P>> make_lock_loop(const Chosen& workload, const Chosen& lock,
                                            Layout layout);

template <class P>
std::unique_ptr<Workload<P>> make_lock_loop(const Chosen& workload, std::string_view name,
                                            Layout layout) {
  const Chosen lock = choose(lock_families, name);
  switch (lock.entry().family) {
    case mutex_family:
      return make_lock_loop<P, mutex_family>(workload, lock, layout);
    case shared_family:
      return make_lock_loop<P, shared_family>(workload, lock, layout);
    default:
      return make_lock_loop<P, range_family>(workload, lock, layout);
  }
}

template <class P, class W>
std::unique_ptr<Workload<P>> make_workload_as(const Chosen& chosen, u32 threads) {
  if constexpr (std::is_void_v<W>)  // lock_loop: made above
    return nullptr;
  else if constexpr (std::is_constructible_v<W, const Chosen&, u32>)
    return std::make_unique<W>(chosen, threads);
  else if constexpr (std::is_constructible_v<W, const Chosen&>)
    return std::make_unique<W>(chosen);
  else
    return std::make_unique<W>();
}

// `lock` names the primitive for lock_loop, and `layout` is its. Throws std::invalid_argument for
// what does not exist or does not parse.
template <class P>
std::unique_ptr<Workload<P>> make_workload(std::string_view text, std::string_view lock,
                                           u32 threads, Layout layout = Layout::linux_6_18) {
  const Chosen chosen = choose_workload(text);
  if (chosen.entry().needs_lock) return make_lock_loop<P>(chosen, lock, layout);
  const std::string_view name = chosen.entry().name;
#define FAULTLINE_TYPE(...) __VA_ARGS__
#define FAULTLINE_WORKLOAD(name_, type, ...) \
  if (name == #name_) return make_workload_as<P, FAULTLINE_TYPE type>(chosen, threads);
#include "workloads/list.def"
  throw std::logic_error(std::string(name) + " is in the catalogue and not in the registry");
}

}  // namespace faultline
