// Every combination of a lock's options behind its virtual interface (locks/any.hpp): for the one
// file of a platform that instantiates them.
#pragma once

#include <stdexcept>

#include "locks/any.hpp"
#include "locks/mutex/list.hpp"
#include "locks/range/list.hpp"
#include "locks/shared/list.hpp"

namespace faultline {

// Adds to `made`, where `lock` is an entry of Line's: the lock with its options.
template <class P, class Any, class Line>
void make_line(const Chosen& lock, Layout layout, std::vector<Any>& made) {
  if constexpr (!Line::entry.native_only || runs_natively<P>) {
    if (std::string_view(Line::entry.name) != lock.entry().name) return;
    const std::string name = lock.text();
    [&]<usize... i>(std::index_sequence<i...>) {
      const auto make = [&]<Choices choices>() {
        if (name != name_of(Line::entry, choices)) return;
        if (layout == Layout::linux_6_18)
          made.push_back(
              Any::template of<typename Line::template Lock<P, choices, Layout::linux_6_18>>());
        else
          made.push_back(
              Any::template of<typename Line::template Lock<P, choices, Layout::packed>>());
      };
      (make.template operator()<combination(Line::entry, i)>(), ...);
    }
    (std::make_index_sequence<count_combinations(Line::entry)>());
  }
}

template <class Any>
Any only(std::vector<Any> made, const Chosen& lock) {
  if (made.empty())
    throw std::invalid_argument("lock '" + lock.text() + "': it is for the native platform alone");
  return std::move(made.front());
}

template <class P>
AnyMutex<P> make_any_mutex(const Chosen& lock, Layout layout) {
  std::vector<AnyMutex<P>> made;
  for_each_mutex([&]<class Line>() { make_line<P, AnyMutex<P>, Line>(lock, layout, made); });
  return only(std::move(made), lock);
}

template <class P>
AnyShared<P> make_any_shared(const Chosen& lock, Layout layout) {
  std::vector<AnyShared<P>> made;
  for_each_shared([&]<class Line>() { make_line<P, AnyShared<P>, Line>(lock, layout, made); });
  return only(std::move(made), lock);
}

template <class P>
AnyRange<P> make_any_range(const Chosen& lock, Layout layout) {
  std::vector<AnyRange<P>> made;
  for_each_range([&]<class Line>() { make_line<P, AnyRange<P>, Line>(lock, layout, made); });
  return only(std::move(made), lock);
}

}  // namespace faultline
