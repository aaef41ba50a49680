#include "results/aggregate.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "harness/stats/histogram.hpp"
#include "harness/stats/stats.hpp"
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

double operations(const Records& records) {
  double sum = 0;
  for (const json* record : records) sum += record->value("operations", 0.0);
  return sum;
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

/** The operation kinds under `place` of every record: "/kinds", or "/roles/faulters". */
json kinds_of(const CaseTrials& trials, const json::json_pointer& place) {
  json kinds = json::object();
  Records both = trials.throughput;
  both.insert(both.end(), trials.latency.begin(), trials.latency.end());
  for (const std::string& kind : keys_of(both, place)) {
    const json::json_pointer here = place / kind;
    std::vector<double> kind_rates;
    std::uint64_t count = 0;
    std::uint64_t errors = 0;
    for (const json* record : trials.throughput) {
      if (!record->contains(here)) continue;
      const json& one = record->at(here);
      count += one.value("count", std::uint64_t{0});
      errors += one.value("errors", std::uint64_t{0});
      if (one.contains("rate")) kind_rates.push_back(one["rate"].get<double>());
    }
    json& entry = kinds[kind] = {{"count", count}, {"errors", errors}};
    if (!kind_rates.empty()) entry["rate"] = estimate(kind_rates);
    const json latency = latency_of(trials.latency, here);
    if (!latency.is_null()) entry.update(latency);
  }
  return kinds;
}

/** Waiting time over threads times window; nothing if no thread's waiting was taken. */
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
  std::optional<double> max_over_min;  // nothing if a thread completed no operation
};

/** Over threads of the same role only, since roles do different work; of several roles the least
 * fair counts. */
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
  // Where waiting is timed in latency trials alone, theirs is the only share there is.
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
      // Counts stay whole numbers; seconds of CPU time are none.
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
  const double done = operations(trials.throughput);
  const json sums = totals(trials.throughput, "events");
  for (const auto& [name, sum] : sums.items()) {
    events[name]["total"] = sum;
    if (done > 0) events[name]["per_operation"] = sum.get<double>() / done;
  }
  return events;
}

/** Each event by itself: some count the same transfer, so no sum over events is ever made. */
json counters_of(const CaseTrials& trials) {
  std::map<std::string, std::vector<double>> per_operation;
  std::map<std::string, double> running;
  std::string reason = "no trial ended ok";
  for (const json* record : trials.throughput) {
    const json counters = record->value("counters", json::object());
    reason = counters.value("absent", "not taken");
    if (!counters.contains("events")) continue;
    for (const auto& [name, event] : counters["events"].items()) {
      const double on = event.at("running_ns").get<double>();
      const double enabled = event.at("enabled_ns").get<double>();
      const double done = record->value("operations", 0.0);
      if (on <= 0 || done <= 0) continue;
      per_operation[name].push_back(event.at("value").get<double>() * enabled / on / done);
      running[name] = std::min(running.try_emplace(name, 1.0).first->second, on / enabled);
    }
  }
  if (per_operation.empty()) return {{"absent", reason}};
  json events = json::object();
  for (const auto& [name, values] : per_operation) {
    events[name]["per_operation"] = estimate(values);
    events[name]["running_share"] = running[name];
  }
  return {{"events", events}};
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

std::vector<double> rates(const CaseTrials& trials) {
  std::vector<double> values;
  for (const json* record : trials.throughput) {
    if (record->contains("rate")) values.push_back(record->at("rate").get<double>());
  }
  return values;
}

json aggregate_case(const CaseTrials& trials) {
  json result = trials.description;
  const std::vector<double> measured = rates(trials);
  if (measured.empty()) {
    result["reason"] = why_nothing(trials);
  } else {
    result["throughput"] = estimate(measured);
    result["throughput"].update(
        {{"unit", "operations/s"}, {"confidence", confidence}, {"repetitions", measured}});
  }
  result["kinds"] = kinds_of(trials, json::json_pointer("/kinds"));
  Records both = trials.throughput;
  both.insert(both.end(), trials.latency.begin(), trials.latency.end());
  for (const std::string& role : keys_of(both, json::json_pointer("/roles"))) {
    result["by_role"][role] = kinds_of(trials, json::json_pointer("/roles") / role);
  }
  add_sharing(result, trials);
  result["events"] = events_of(trials);
  result["software"] = totals(trials.throughput, "software");
  result["counters"] = counters_of(trials);
  if (json simulated = simulated_of(trials.throughput); !simulated.is_null())
    result["sim"] = std::move(simulated);
  for (const json* record : trials.all) {
    json trial = *record;
    trial.erase("case");
    result["trials"].push_back(std::move(trial));
  }
  return result;
}

}  // namespace faultline
