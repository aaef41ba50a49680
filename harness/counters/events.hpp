// The hardware events that show cache-line bouncing, as data. libpfm4 4.13.0 encoded every row
// whose x86 PMU it knows; counters_test encodes these rows again.
#pragma once

#include <span>
#include <string_view>

#include "locks/platform.hpp"

namespace faultline {

enum class EventRole {
  transfer,     // counts cache lines that moved from another core's cache
  denominator,  // counts accesses that can cause a transfer: RMWs, requests for ownership
  proxy,        // goes up with transfers, but counts other things too
};

// A row of the table. Rows of one PMU may count the same transfer twice: never add them up.
struct EventRow {
  std::string_view pmu;    // libpfm4's name; "zen5", which libpfm4 4.13.0 lacks
  std::string_view event;  // libpfm4's string without the PMU, or perf's rHEX
  u32 type = 0;            // perf_event_attr.type
  u64 config = 0;          // perf_event_attr.config
  u64 config1 = 0;         // perf_event_attr.config1
  EventRole role = EventRole::transfer;
  std::string_view meaning;
};

// The whole table. The rows of one PMU are adjacent, the most telling row first.
std::span<const EventRow> event_table();

// The rows of one PMU; empty if the table does not know it.
std::span<const EventRow> events_of_pmu(std::string_view pmu);

std::string_view name(EventRole role);

}  // namespace faultline
