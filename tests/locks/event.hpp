// The value of one of the events that a lock, a scheme or a structure counts.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "locks/events.hpp"

namespace faultline {

// `source` has append_events(). The test fails where it does not count the event.
u64 event(const auto& source, std::string_view name) {
  Events events;
  source.append_events(events);
  for (const EventCount& count : events)
    if (count.name == name) return count.value;
  ADD_FAILURE() << "no event " << name;
  return 0;
}

}  // namespace faultline
