#include "results/writer.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

#include "harness/stats/stats.hpp"
#include "results/aggregate.hpp"
#include "results/doubt.hpp"
#include "results/files.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr int schema_version = 1;

/** Sorts cases for the reader, since the trials ran in a random order. */
std::vector<CaseTrials> by_case(const std::vector<json>& trials) {
  using Key = std::tuple<std::string, std::string, std::string, std::string, bool, std::int64_t,
                         std::string>;
  std::map<Key, CaseTrials> cases;
  for (const json& trial : trials) {
    const json& one = trial.at("case");
    const Key key{one.at("workload"), one.at("placement"),         one.value("roles", ""),
                  one.at("scheme"),   one.value("private", false), one.at("threads"),
                  one.at("name")};
    CaseTrials& entry = cases[key];
    entry.description = one;
    entry.all.push_back(&trial);
    if (trial.at("status") != "ok") continue;
    (trial.value("latency", false) ? entry.latency : entry.throughput).push_back(&trial);
  }
  std::vector<CaseTrials> ordered;
  for (auto& [key, entry] : cases) {
    const auto place = [](const json* trial) {
      return std::tuple(trial->at("repetition").get<std::int64_t>(), trial->value("latency", false),
                        trial->at("status").get<std::string>(), trial->value("reason", ""));
    };
    const auto by_repetition = [&](const json* a, const json* b) { return place(a) < place(b); };
    for (auto* records : {&entry.all, &entry.throughput, &entry.latency}) {
      std::stable_sort(records->begin(), records->end(), by_repetition);
    }
    ordered.push_back(std::move(entry));
  }
  return ordered;
}

/** A key that is equal for cases which differ only in their number of threads. */
std::string curve_of(const json& description) {
  json rest = description;
  for (const char* key : {"name", "threads", "cpus", "oversubscribed"}) rest.erase(key);
  return rest.dump();
}

/** Adds "scaling": the throughput over that of the same curve at one thread. */
void add_scaling(std::vector<CaseTrials>& cases, json& aggregated) {
  std::map<std::string, std::vector<double>> at_one;
  for (const CaseTrials& one : cases) {
    if (one.description.at("threads") == 1)
      at_one[curve_of(one.description)] = rates(main_mode_of(one));
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto base = at_one.find(curve_of(cases[i].description));
    const std::vector<double> measured = rates(main_mode_of(cases[i]));
    if (base == at_one.end() || base->second.empty() || measured.empty()) continue;
    if (*std::min_element(base->second.begin(), base->second.end()) <= 0) continue;
    aggregated[i]["scaling"] = ratio_estimate(base->second, measured);
  }
}

/** One repetition as Google Benchmark would have it: an iteration whose time is that of one
 * operation. */
json benchmark_entry(const json& record, std::size_t family, std::size_t repetitions,
                     std::size_t index) {
  const json& one = record.at("case");
  const double rate = record.at("rate").get<double>();
  const double operations = record.at("operations").get<double>();
  const double time = 1e9 / rate;
  const json::json_pointer cpu("/software/cpu_s");
  const bool timed = record.contains(cpu) && operations > 0;
  return {{"name", one.at("name")},
          {"family_index", family},
          {"per_family_instance_index", 0},
          {"run_name", one.at("name")},
          {"run_type", "iteration"},
          {"repetitions", repetitions},
          {"repetition_index", index},
          {"threads", one.at("threads")},
          {"iterations", 1},
          {"real_time", time},
          {"cpu_time", timed ? record.at(cpu).get<double>() * 1e9 / operations : time},
          {"time_unit", "ns"},
          {"items_per_second", rate}};
}

json benchmark_entries(const std::vector<CaseTrials>& cases) {
  json entries = json::array();
  for (std::size_t family = 0; family < cases.size(); ++family) {
    const std::size_t repetitions = rates(cases[family]).size();
    std::size_t index = 0;
    for (const json* record : cases[family].throughput) {
      if (!record->contains("rate") || (*record)["rate"].get<double>() <= 0) continue;
      entries.push_back(benchmark_entry(*record, family, repetitions, index++));
    }
  }
  return entries;
}

/** Sorts by case, since the order in which trials end varies. */
json unfinished(const std::vector<CaseTrials>& cases, const char* status) {
  json list = json::array();
  for (const CaseTrials& one : cases) {
    for (const json* trial : one.all) {
      if (trial->at("status") != status) continue;
      json entry = {{"case", one.description.at("name")},
                    {"repetition", trial->at("repetition")},
                    {"reason", trial->value("reason", "")}};
      if (trial->contains("stall")) entry["stall"] = (*trial)["stall"];
      list.push_back(std::move(entry));
    }
  }
  return list;
}

/** The trials that a killed run had not done. The journal may hold a discarded trial more than
 * once. */
json lost_to_a_kill(const JournalContent& journal) {
  std::set<std::tuple<std::string, std::int64_t, bool>> begun;
  for (const json& trial : journal.trials) {
    begun.emplace(trial.at("case").at("name"), trial.at("repetition"),
                  trial.value("latency", false));
  }
  const std::size_t planned = journal.header.value("planned_trials", std::size_t{0});
  const std::string what = planned > begun.size()
                               ? fmt::format("{} of {} trials", planned - begun.size(), planned)
                               : fmt::format("all after the first {} trials", begun.size());
  return {{"what", what}, {"why", "the run was killed, or its disk was full"}};
}

json faultline_part(const JournalContent& journal, std::vector<CaseTrials>& cases) {
  json part = {{"schema_version", schema_version}};
  for (const char* key : {"mode", "suite", "seed", "command", "machine", "build", "counters"}) {
    part[key] = journal.header.at(key);
  }
  // The same command must give the same file, so a simulation has seeds and no date.
  const char* own = part["mode"] == "sim" ? "seeds" : "date";
  part[own] = journal.header.at(own);
  part["ended"] = !journal.killed;
  for (const char* key : {"planned_trials", "axes"})
    if (journal.header.contains(key)) part[key] = journal.header[key];
  part["cases"] = json::array();
  for (const CaseTrials& one : cases) part["cases"].push_back(aggregate_case(one));
  add_scaling(cases, part["cases"]);
  part["left_out"] = journal.header.at("left_out");
  part["discarded"] = unfinished(cases, "discarded");
  part["failures"] = unfinished(cases, "failed");
  if (journal.killed) part["left_out"].push_back(lost_to_a_kill(journal));
  return part;
}

}  // namespace

json build_results(const JournalContent& journal, const std::string& where) {
  try {
    std::vector<CaseTrials> cases = by_case(journal.trials);
    json context = journal.header.value("context", json::object());
    return {{"context", std::move(context)},
            {"benchmarks", benchmark_entries(cases)},
            {"faultline", faultline_part(journal, cases)}};
  } catch (const json::exception& error) {
    throw std::invalid_argument(fmt::format(
        "not a whole journal, {}: {}, expected the records of a run", where, error.what()));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("not a whole journal, {}: {}", where, error.what()));
  }
}

void write_results(const json& results, const std::string& path) {
  write_atomically(path, results.dump(-1, ' ', false, json::error_handler_t::replace) + '\n');
}

json recover(const std::string& journal, const std::string& out) {
  json results = build_results(read_journal(journal), journal);
  write_results(results, out);
  return results;
}

}  // namespace faultline
