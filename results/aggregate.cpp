#include "results/aggregate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "harness/stats/histogram.hpp"
#include "harness/stats/stats.hpp"
#include "results/doubt.hpp"
#include "results/simulated.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using Records = std::vector<const json*>;

constexpr double confidence = 0.95;

std::set<std::string> keys_of(const Records& records, const json::json_pointer& place) {
  std::set<std::string> keys;
  for (const json* record : records) {
    if (!record->contains(place)) continue;
    for (const auto& [key, unused] : record->at(place).items()) keys.insert(key);
  }
  return keys;
}

json latency_of(const Records& records, const json::json_pointer& place) {
  Histogram merged;
  for (const json* record : records) {
    if (!record->contains(place / "latency")) continue;
    const json& latency = record->at(place / "latency");
    Histogram one{{}, latency.at("max").get<std::uint64_t>()};
    for (const json& bucket : latency.at("buckets")) {
      one.buckets.push_back({bucket.at(0).get<std::uint64_t>(), bucket.at(1).get<std::uint64_t>(),
                             bucket.at(2).get<std::uint64_t>()});
    }
    merge(merged, one);
  }
  if (total(merged) == 0) return nullptr;
  json result = {{"max", merged.max}, {"count", total(merged)}};
  const std::map<std::string, double> percentiles = {
      {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};
  for (const auto& [name, q] : percentiles) {
    const std::optional<std::uint64_t> value = quantile(merged, q);
    if (value) result[name] = *value;
  }
  json histogram = json::array();
  for (const Bucket& bucket : merged.buckets)
    histogram.push_back({bucket.low, bucket.high, bucket.count});
  return {{"latency_ns", result}, {"histogram", histogram}};
}

bool has_threads(const json& record, const std::string& role) {
  const json& threads = record.at("threads");
  return role.empty() || std::any_of(threads.begin(), threads.end(), [&](const json& thread) {
           return thread.value("role", "") == role;
         });
}

Records both_of(const CaseTrials& trials) {
  Records both = trials.throughput;
  both.insert(both.end(), trials.latency.begin(), trials.latency.end());
  return both;
}

/** The operation kinds of the threads of one role, or of all threads if `role` is empty. */
json kinds_of(const CaseTrials& trials, const std::string& role) {
  const json::json_pointer place =
      role.empty() ? json::json_pointer("/kinds") : json::json_pointer("/roles") / role;
  json kinds = json::object();
  for (const std::string& kind : keys_of(both_of(trials), place)) {
    const json::json_pointer here = place / kind;
    std::vector<double> kind_rates;
    std::uint64_t count = 0;
    std::uint64_t errors = 0;
    for (const json* record : trials.throughput) {
      if (!has_threads(*record, role)) continue;
      // A repetition in which no operation completed has no entry. Its rate is 0, not unknown.
      const json one = record->value(here, json{{"rate", 0.0}});
      count += one.value("count", std::uint64_t{0});
      errors += one.value("errors", std::uint64_t{0});
      if (one.contains("rate")) kind_rates.push_back(one["rate"].get<double>());
    }
    json& entry = kinds[kind] = {{"count", count}, {"errors", errors}};
    if (count > 0 && !kind_rates.empty()) entry["rate"] = estimate(kind_rates);
    const json latency = latency_of(trials.latency, here);
    if (!latency.is_null()) entry.update(latency);
  }
  return kinds;
}

/** Waiting time over threads times window. Empty if the waiting of a thread was not measured. */
std::optional<double> waiting_share(const json& record) {
  double waited = 0;
  const json& threads = record.at("threads");
  for (const json& thread : threads) {
    if (!thread.contains("waiting_ns")) return std::nullopt;
    waited += thread["waiting_ns"].get<double>();
  }
  const double all =
      static_cast<double>(threads.size()) * record.at("window_s").get<double>() * 1e9;
  return all > 0 ? std::optional(waited / all) : std::nullopt;
}

struct Fairness {
  double jain = 1;
  std::optional<double> max_over_min;  // empty if a thread completed no operation
};

/** Fairness among threads of one role, because roles do different work. With several roles it is
 * the fairness of the least fair role. */
Fairness fairness(const json& record) {
  std::map<std::string, std::vector<double>> by_role;
  for (const json& thread : record.at("threads")) {
    by_role[thread.value("role", "")].push_back(thread.at("operations").get<double>());
  }
  Fairness worst{1, 1.0};
  for (const auto& [role, done] : by_role) {
    worst.jain = std::min(worst.jain, jain(done));
    const auto [least, most] = std::minmax_element(done.begin(), done.end());
    if (*least == 0) worst.max_over_min.reset();
    if (worst.max_over_min) worst.max_over_min = std::max(*worst.max_over_min, *most / *least);
  }
  return worst;
}

void add_sharing(json& result, const CaseTrials& trials) {
  std::vector<double> shares;
  std::vector<double> jains;
  std::vector<double> spreads;
  std::size_t starved = 0;
  for (const json* record : trials.throughput) {
    if (record->at("threads").empty()) continue;
    if (const std::optional<double> share = waiting_share(*record)) shares.push_back(*share);
    const Fairness one = fairness(*record);
    jains.push_back(one.jain);
    one.max_over_min ? spreads.push_back(*one.max_over_min) : static_cast<void>(++starved);
  }
  // Where waiting is timed in latency trials alone, only these trials have a share.
  if (shares.empty()) {
    for (const json* record : trials.latency) {
      if (const std::optional<double> share = waiting_share(*record)) shares.push_back(*share);
    }
  }
  if (!shares.empty()) result["waiting_share"] = estimate(shares);
  if (jains.empty()) return;
  result["fairness"]["jain"] = estimate(jains);
  if (!spreads.empty()) result["fairness"]["max_over_min"] = estimate(spreads);
  if (starved > 0) result["fairness"]["starved"] = starved;
}

json totals(const Records& records, const char* field) {
  json sums = json::object();
  for (const json* record : records) {
    if (!record->contains(field)) continue;
    for (const auto& [name, value] : (*record)[field].items()) {
      // Counts stay integers; seconds of CPU time are not integers.
      if (value.is_number_integer()) {
        sums[name] = sums.value(name, std::int64_t{0}) + value.get<std::int64_t>();
      } else if (value.is_number_float()) {
        sums[name] = sums.value(name, 0.0) + value.get<double>();
      }
    }
  }
  return sums;
}

json events_of(const CaseTrials& trials) {
  json events = json::object();
  const json sums = totals(trials.throughput, "events");
  for (const auto& [name, sum] : sums.items()) {
    events[name]["total"] = sum;
    std::vector<double> per_operation;
    for (const json* record : trials.throughput) {
      const double done = record->value("operations", 0.0);
      const json own = record->value("events", json::object());
      if (done > 0 && own.contains(name)) per_operation.push_back(own[name].get<double>() / done);
    }
    if (!per_operation.empty()) events[name]["per_operation"] = estimate(per_operation);
  }
  return events;
}

/** Empty if the event was counted over some operations. */
std::string why_uncounted(const json& event, double operations) {
  if (event.contains("absent")) return event["absent"];
  if (event.at("running_ns").get<double>() <= 0) return "it never had one of the CPU's counters";
  return operations > 0 ? "" : "no operation completed";
}

/** Keeps each event by itself. Events are never added, since two may count the same transfer. */
json counters_of(const CaseTrials& trials) {
  std::map<std::string, std::vector<double>> per_operation;
  std::map<std::string, double> running;
  json events = json::object();
  std::string reason = "no trial ended ok";
  for (const json* record : trials.throughput) {
    const json counters = record->value("counters", json::object());
    reason = counters.value("absent", "not taken");
    if (!counters.contains("events")) continue;
    for (const auto& [name, event] : counters["events"].items()) {
      const double done = record->value("operations", 0.0);
      if (const std::string why = why_uncounted(event, done); !why.empty()) {
        events[name] = {{"absent", why}};
        continue;
      }
      const double on = event.at("running_ns").get<double>();
      const double enabled = event.at("enabled_ns").get<double>();
      per_operation[name].push_back(event.at("value").get<double>() * enabled / on / done);
      running[name] = std::min(running.try_emplace(name, 1.0).first->second, on / enabled);
    }
  }
  // If any repetition counted the event, its value is reported, not another repetition's reason.
  for (const auto& [name, values] : per_operation)
    events[name] = {{"per_operation", estimate(values)}, {"running_share", running[name]}};
  if (events.empty()) return {{"absent", reason}};
  return {{"events", events}};
}

/** The notes of the trials, each once. A note of some trials only has their number. */
json notes_of(const Records& records) {
  std::vector<std::string> texts;
  std::map<std::string, std::size_t> trials;
  for (const json* record : records) {
    for (const json& note : record->value("notes", json::array()))
      if (trials[note.get<std::string>()]++ == 0) texts.push_back(note.get<std::string>());
  }
  for (std::string& text : texts) {
    const std::size_t of = trials[text];
    if (of < records.size()) text += fmt::format(" ({} of {} trials)", of, records.size());
  }
  return texts;
}

/** `main`: see main_mode_of. */
json throughput_of(const CaseTrials& trials, const CaseTrials& main) {
  json throughput = estimate(rates(main));
  throughput.update(
      {{"unit", "operations/s"}, {"confidence", confidence}, {"repetitions", rates(trials)}});
  const std::vector<std::vector<double>> found = modes_of(trials);
  if (found.size() < 2) return throughput;
  for (const std::vector<double>& mode : found)
    throughput["modes"].push_back({{"median", median(mode)}, {"repetitions", mode.size()}});
  return throughput;
}

std::string why_nothing(const CaseTrials& trials) {
  for (const json* record : trials.all) {
    const std::string reason = record->value("reason", "");
    if (!reason.empty()) return reason;
  }
  return "no repetition ended ok";
}

}  // namespace

json estimate(const std::vector<double>& values) {
  if (values.size() == 1) return {{"median", values.front()}};
  const Estimate one = bootstrap_median(values, {.confidence = confidence});
  return {{"median", one.median}, {"low", one.low}, {"high", one.high}};
}

json ratio_estimate(const std::vector<double>& base, const std::vector<double>& changed) {
  const Estimate ratio = bootstrap_ratio(base, changed);
  if (base.size() < 2 || changed.size() < 2) return {{"median", ratio.median}};
  return {{"median", ratio.median}, {"low", ratio.low}, {"high", ratio.high}};
}

std::vector<double> rates(const CaseTrials& trials) {
  std::vector<double> values;
  for (const json* record : trials.throughput) {
    if (record->contains("rate")) values.push_back(record->at("rate").get<double>());
  }
  return values;
}

json aggregate_case(const CaseTrials& trials) {
  json result = trials.description;
  const CaseTrials main = main_mode_of(trials);
  if (rates(trials).empty())
    result["reason"] = why_nothing(trials);
  else
    result["throughput"] = throughput_of(trials, main);
  result["kinds"] = kinds_of(main, "");
  for (const std::string& role : keys_of(both_of(main), json::json_pointer("/roles"))) {
    result["by_role"][role] = kinds_of(main, role);
  }
  add_sharing(result, main);
  result["events"] = events_of(main);
  result["software"] = totals(main.throughput, "software");
  result["counters"] = counters_of(main);
  if (json doubts = doubts_of(trials); !doubts.empty()) result["doubtful"] = std::move(doubts);
  if (json notes = notes_of(trials.throughput); !notes.empty()) result["notes"] = std::move(notes);
  if (json simulated = simulated_of(main.throughput); !simulated.is_null())
    result["sim"] = std::move(simulated);
  for (const json* record : trials.all) {
    json trial = *record;
    trial.erase("case");
    result["trials"].push_back(std::move(trial));
  }
  return result;
}

}  // namespace faultline
