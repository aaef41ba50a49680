// lock_loop over each lock of a family, for the translation units that instantiate it. Natively the
// loop runs over the star of the locks' types, on other platforms over a virtual lock
// (locks/any.hpp).
#pragma once

#include "locks/any_make.hpp"
#include "workloads/lock_loop.hpp"
#include "workloads/registry.hpp"

namespace faultline {

template <class P, Family family, class Visit>
void for_each_lock_of(Visit&& visit) {
  if constexpr (family == mutex_family) for_each_mutex(visit);
  if constexpr (family == shared_family) for_each_shared(visit);
  if constexpr (family == range_family) for_each_range(visit);
}

template <class P, Family family>
std::unique_ptr<Workload<P>> make_lock_loop(const Chosen& workload, const Chosen& lock,
                                            Layout layout) {
  if constexpr (!runs_natively<P>) {
    AddressSpaceOptions options;
    options.lock = options.ranges = &lock;
    options.layout = layout;
    if constexpr (family == mutex_family)
      return std::make_unique<LockLoop<P, AnyMutex<P>>>(workload, options);
    else if constexpr (family == shared_family)
      return std::make_unique<LockLoop<P, AnyShared<P>>>(workload, options);
    else
      return std::make_unique<LockLoop<P, AnyRange<P>>>(workload, options);
  } else {
    std::unique_ptr<Workload<P>> made;
    const std::string name = lock.text();
    for_each_lock_of<P, family>([&]<class Line>() {
      const auto make = [&]<class L>(const NamedLock<L>& named) {
        if (name == named.name) made = std::make_unique<LockLoop<P, L>>(workload);
      };
      using Packed = typename Line::template Lock<P, Choices{}, Layout::packed>;
      if (layout == Layout::packed)
        make(NamedLock<Packed>{Line::entry.name, Line::entry.summary});
      else
        std::apply([&](const auto&... named) { (make(named), ...); }, star_list<P, Line>());
    });
    if (made == nullptr) refuse_combination(lock, layout);
    return made;
  }
}

}  // namespace faultline
