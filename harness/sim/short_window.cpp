#include "harness/sim/short_window.hpp"

#include <fmt/format.h>

#include "harness/sim/platform.hpp"
#include "locks/shared/rwsem_queue.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr double handoff_after_s = RwsemWaiter<SimPlatform>::handoff_after / 1e9;

u64 count_of(const json& events, const std::string& name) {
  return events.value(name, u64{0});
}

// The lock that `event` says handed nothing over though threads queued for it; empty if none.
std::string lock_without_handoff(const json& events, const std::string& event) {
  constexpr std::string_view requested = ".handoff_requested";
  if (!event.ends_with(requested) || count_of(events, event) != 0) return {};
  const std::string lock = event.substr(0, event.size() - requested.size());
  const u64 queued =
      count_of(events, lock + ".reader_queued") + count_of(events, lock + ".writer_queued");
  return queued != 0 ? lock : std::string();
}

}  // namespace

std::vector<std::string> short_window_notes(const json& record) {
  std::vector<std::string> notes;
  const double window_s = record.at("window_s").get<double>();
  const json& one = record.at("case");
  // A lock without handoff publishes the event that it can never have.
  const bool ablated =
      one.at("scheme").get<std::string>().find(":handoff=off") != std::string::npos;
  if (window_s < handoff_after_s && !ablated)
    for (const auto& [event, unused] : record.at("events").items())
      if (const std::string lock = lock_without_handoff(record["events"], event); !lock.empty())
        notes.push_back(
            fmt::format("a waiter of {} demands a handoff after {:g} ms: none did in a window of "
                        "{:g} ms",
                        lock, handoff_after_s * 1e3, window_s * 1e3));
  if (record.at("operations").get<u64>() < least_operations * one.at("threads").get<u64>())
    notes.push_back(fmt::format("fewer than {} operations a thread in a window of {:g} ms",
                                least_operations, window_s * 1e3));
  return notes;
}

}  // namespace faultline
