// Makes the workloads of the catalogue over a platform. To add one: its header, included here, and a
// line in workloads/list.def.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "locks/registry.hpp"
#include "workloads/catalogue.hpp"
#include "workloads/clear_pages.hpp"
#include "workloads/lock_loop.hpp"
#include "workloads/mapbench.hpp"
#include "workloads/mix.hpp"
#include "workloads/mmap_loop.hpp"
#include "workloads/page_fault.hpp"
#include "workloads/replay.hpp"
#include "workloads/threads.hpp"

namespace faultline {

// Calls visit(NamedLock) for the primitive of that canonical name; false when there is none.
template <class P, class F>
bool visit_lock(std::string_view name, F&& visit) {
  bool found = false;
  const auto look = [&](const auto& named) {
    if (name != named.name) return;
    visit(named);
    found = true;
  };
  const auto look_at_all = [&](const auto& list) {
    std::apply([&](const auto&... named) { (look(named), ...); }, list);
  };
  look_at_all(mutex_list<P>());
  look_at_all(shared_list<P>());
  look_at_all(range_list<P>());
  return found;
}

template <class P>
std::unique_ptr<Workload<P>> make_lock_loop(const Chosen& workload, std::string_view lock) {
  std::unique_ptr<Workload<P>> made;
  visit_lock<P>(choose(lock_families, lock).text(), [&](const auto& named) {
    using Lock = typename std::decay_t<decltype(named)>::Lock;
    made = std::make_unique<LockLoop<P, Lock>>(workload);
  });
  if (made == nullptr)
    throw std::invalid_argument("lock '" + std::string(lock) + "': not on this platform");
  return made;
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

// `lock` names the primitive for lock_loop. Throws std::invalid_argument for what does not exist or
// does not parse.
template <class P>
std::unique_ptr<Workload<P>> make_workload(std::string_view text, std::string_view lock,
                                           u32 threads) {
  const Chosen chosen = choose_workload(text);
  if (chosen.entry().needs_lock) return make_lock_loop<P>(chosen, lock);
  const std::string_view name = chosen.entry().name;
#define FAULTLINE_TYPE(...) __VA_ARGS__
#define FAULTLINE_WORKLOAD(name_, type, ...) \
  if (name == #name_) return make_workload_as<P, FAULTLINE_TYPE type>(chosen, threads);
#include "workloads/list.def"
  throw std::logic_error(std::string(name) + " is in the catalogue and not in the registry");
}

}  // namespace faultline
