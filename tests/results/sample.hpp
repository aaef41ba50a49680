// A made-up run for the tests of results/ and plots/: the records of its journal, built by hand.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "harness/case/axes.hpp"

namespace faultline::sample {

using nlohmann::json;

/** A directory of the test. It is removed with its files at the end. */
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "faultline-test-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name) const { return path_ / name; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      all.push_back(entry.path().filename());
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  std::filesystem::path path_;
};

inline std::string text_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void put_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Shape {
  std::vector<int> threads = {1, 2};
  int repetitions = 9;
  double speed = 1;     // multiplies every rate
  double noise = 0.01;  // standard deviation of a rate
  std::uint64_t seed = 1;
  bool counters = false;
  bool refused_event = false;  // one event could not be counted, besides the others
  bool spoiled = true;         // contains a failed and a discarded trial
  std::string host = "testhost";
  std::string mode = "native";  // or "sim": on a modelled machine
};

/** The header of a simulation, which has no date and no machine. */
inline json simulated_header(json header) {
  header["context"] = {{"executable", "faultline"}};
  header.erase("date");
  header["mode"] = "sim";
  header["seeds"] = {1, 2, 3};
  const json constant = {{"key", "hit.load"}, {"value", "1.5"}, {"origin", "made up"}};
  header["machine"] = {{"models",
                        {{{"name", "testbox"},
                          {"summary", "a made-up machine"},
                          {"cpus", 128},
                          {"nodes", 2},
                          {"constants", {constant}}}}}};
  return header;
}

inline json native_header(const Shape& shape) {
  return {{"axes", axes_json()},
          {"context",
           {{"date", "2026-11-24T02:30:00+00:00"},
            {"host_name", shape.host},
            {"executable", "faultline"},
            {"num_cpus", 2},
            {"mhz_per_cpu", 2800},
            {"cpu_scaling_enabled", false},
            {"caches", json::array()},
            {"load_avg", {0.1, 0.2, 0.3}},
            {"library_build_type", "release"}}},
          {"mode", shape.mode},
          {"date", "2026-11-24T02:30:00Z"},
          {"suite", "quick"},
          {"seed", shape.seed},
          {"command", "faultline run --suite quick --out results.json"},
          {"machine",
           {{"host", shape.host},
            {"cpu_model", "Test CPU </script> 3000"},
            {"kernel", "6.1.0"},
            {"cpus", shape.threads.back()},
            {"nodes", 1},
            {"sockets", 1},
            {"smt", "off"},
            {"governor", "performance"},
            {"virtual", "kvm"},
            {"hwloc_xml", "<topology/>"}}},
          {"build",
           {{"version", "0.1.0"},
            {"commit", "0123abc"},
            {"compiler", "g++ 12.2.0"},
            {"flags", "-O2"},
            {"type", "Release"}}},
          {"counters", shape.counters
                           ? json{{"available", true}, {"pmu", "icx"}}
                           : json{{"available", false}, {"reason", "this machine has no PMU"}}},
          {"left_out", {{{"what", "threads 3 of page_fault1"}, {"why", "budget 2m"}}}}};
}

inline json header(const Shape& shape) {
  return shape.mode == "sim" ? simulated_header(native_header(shape)) : native_header(shape);
}

struct SampleCase {
  std::string workload;
  std::string scheme;
  int threads = 1;
  double rate = 1e6;
  double waiting = 0;  // share
  bool private_spaces = false;
};

inline json describe(const SampleCase& one) {
  json cpus = json::array();
  for (int i = 0; i < one.threads; ++i) cpus.push_back(i);
  return {{"name", fmt::format("{}/{}/compact/threads:{}{}", one.workload, one.scheme, one.threads,
                               one.private_spaces ? "/private" : "")},
          {"workload", one.workload},
          {"scheme", one.scheme},
          {"placement", "compact"},
          {"threads", one.threads},
          {"cpus", cpus},
          {"oversubscribed", false},
          {"roles", ""},
          {"private", one.private_spaces},
          {"page_clear", "memset"},
          {"shootdown", "cpumask"},
          {"merge", true},
          {"thp", false},
          {"warmup_s", 0.05},
          {"duration_s", 0.2}};
}

/** Log-linear buckets of a skewed distribution around `centre` nanoseconds, with a tail. */
inline json latency(double centre, std::mt19937_64& random) {
  std::vector<std::uint64_t> counts(40 * 8, 0);
  std::lognormal_distribution<double> body(std::log(centre), 0.3);
  std::uint64_t most = 0;
  for (int i = 0; i < 11000; ++i) {
    const double tail = random() % 200 == 0 ? 20 : 1;
    const auto value = static_cast<std::uint64_t>(body(random) * tail);
    most = std::max(most, value);
    const int power =
        static_cast<int>(std::log2(static_cast<double>(std::max<std::uint64_t>(value, 8))));
    const auto step =
        static_cast<std::size_t>((value - std::min(value, std::uint64_t{1} << power)) * 8 >> power);
    ++counts[static_cast<std::size_t>(power) * 8 + step];
  }
  json buckets = json::array();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::uint64_t base = std::uint64_t{1} << (i / 8);
    buckets.push_back({base + base * (i % 8) / 8, base + base * (i % 8 + 1) / 8, counts[i]});
  }
  return {{"max", most}, {"buckets", buckets}};
}

inline json threads_of(const SampleCase& one, double operations, double window) {
  json threads = json::array();
  for (int i = 0; i < one.threads; ++i) {
    const double share = (1 + 0.1 * i) / (one.threads * (1 + 0.05 * (one.threads - 1)));
    const auto done = static_cast<std::uint64_t>(operations * share);
    threads.push_back({{"cpu", i},
                       {"node", 0},
                       {"role", "all"},
                       {"operations", done},
                       {"first_ns", 1000},
                       {"last_ns", static_cast<std::uint64_t>(window * 1e9) - 1000},
                       {"waiting_ns", static_cast<std::uint64_t>(one.waiting * window * 1e9)},
                       {"rate", static_cast<double>(done) / window}});
  }
  return threads;
}

/** A repetition that ended ok. */
inline json trial(const SampleCase& one, int repetition, bool with_latency, const Shape& shape,
                  std::mt19937_64& random) {
  const double window = 0.2;
  std::normal_distribution<double> noise(1, shape.noise);
  const double rate = one.rate * shape.speed * noise(random);
  const auto operations = static_cast<std::uint64_t>(rate * window);
  const auto faults = operations * 9 / 10;
  json record = {{"case", describe(one)},
                 {"repetition", repetition},
                 {"latency", with_latency},
                 {"status", "ok"},
                 {"reason", ""},
                 {"started", "2026-11-24T02:30:00Z"},
                 {"window_s", window},
                 {"operations", operations},
                 {"rate", rate},
                 {"threads", threads_of(one, rate * window, window)},
                 {"software",
                  {{"minor_faults", 0},
                   {"involuntary_switches", 3},
                   {"steal_ns", 1000},
                   {"cpu_s", window * one.threads}}},
                 {"counters", {{"absent", "this machine has no PMU"}}},
                 {"oracle", "ok"}};
  record["kinds"]["fault"] = {{"count", faults}, {"errors", 0}, {"rate", rate * 0.9}};
  record["kinds"]["unmap"] = {{"count", operations - faults}, {"errors", 0}, {"rate", rate * 0.1}};
  record["events"] = {{one.scheme + ".slow_path", operations / 20},
                      {one.scheme + ".handoff", operations / 5000}};
  if (shape.counters) {
    const json event = {
        {"value", operations * 2}, {"enabled_ns", 200000000}, {"running_ns", 100000000}};
    record["counters"] = {{"events",
                           {{"icx::MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM", event},
                            {"icx::OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM", event}}}};
    if (shape.refused_event)
      record["counters"]["events"]["icx::REFUSED"] = {{"absent", "too many open files"}};
  }
  if (with_latency) {
    const double centre = 1e9 * one.threads / rate;
    record["kinds"]["fault"]["latency"] = latency(centre, random);
    record["kinds"]["unmap"]["latency"] = latency(centre * 5, random);
  }
  return record;
}

/** The cases of the made-up run: four schemes that scale more or less, the kernel, the floor and a
 * ceiling. */
inline std::vector<SampleCase> cases(const Shape& shape) {
  struct Scheme {
    std::string name;
    double one_thread;
    double contention;  // in the universal scalability law
    bool private_spaces = false;
  };
  const std::vector<Scheme> schemes = {
      {"mmap_sem", 1.5e6, 0.35},        {"mmap_sem:osq=off", 1.45e6, 0.5},
      {"range_lock", 1.2e6, 0.45},      {"lock_in_tree", 1.1e6, 0.06},
      {"refcount", 1.6e6, 0.02},        {"linux", 0.9e6, 0.1},
      {"refcount", 1.65e6, 0.005, true}};
  std::vector<SampleCase> all;
  for (const auto& [workload, scale] : std::vector<std::pair<std::string, double>>{
           {"page_fault1", 1}, {"local", 0.4}, {"mix", 0.7}}) {
    for (const Scheme& scheme : schemes) {
      for (int threads : shape.threads) {
        const double rate = scale * scheme.one_thread * threads /
                            (1 + scheme.contention * (threads - 1) * (2 - scale));
        const double waiting =
            threads == 1 ? 0 : std::min(0.9, scheme.contention * (threads - 1) / threads);
        all.push_back({workload, scheme.name, threads, rate, waiting, scheme.private_spaces});
      }
    }
    all.push_back({workload, "none", 1, scale * 1.8e6, 0, false});
  }
  return all;
}

inline json spoiled(const std::string& status, const std::string& reason) {
  json record = {{"case", describe({"page_fault1", "mmap_sem", 2})},
                 {"repetition", 99},
                 {"latency", false},
                 {"status", status},
                 {"reason", reason},
                 {"started", "2026-11-24T02:30:00Z"}};
  if (status == "failed") {
    record["stall"] = {{"waiting", {"thread 1 waits 10.1 s for rwsem@0x10"}},
                       {"holding", {"thread 0 holds rwsem@0x10 for writing"}}};
  }
  return record;
}

/** Changes the record to that of a simulation: every operation moves a line twice, and half of the
 * time is stall. */
inline void make_simulated(json& record) {
  json& one = record["case"];
  one["machine"] = "testbox";
  one["name"] = one["name"].get<std::string>() + "/on:testbox";
  for (const char* key : {"started", "software"}) record.erase(key);
  if (record["status"] != "ok") return;
  record.update({{"warmup_s", 0.4}, {"settled", true}, {"drift", 0.01}});
  const auto operations = record["operations"].get<std::uint64_t>();
  const std::vector<std::uint64_t> share(one["threads"].get<std::size_t>(), 50'000'000);
  const std::vector<std::uint64_t> none(share.size(), 0);
  record["sim"] = {
      {"machine", "testbox"},
      {"seed", 1 + record["repetition"].get<std::uint64_t>()},
      {"simulated_ms", 200},
      {"accesses", operations * 20},
      {"transfers",
       {{"rwsem.count", {{"rmw", {{"hop1", {{"true_sharing", operations}}}}}}},
        {"vma.lock",
         {{"load",
           {{"cluster", {{"false_sharing", operations / 2}, {"cold", operations / 2}}}}}}}}},
      {"time",
       {{"work", share},
        {"spinning", share},
        {"sleeping", none},
        {"shootdown", none},
        {"stall", {{"rwsem.count", share}, {"vma.lock", share}}}}}};
}

inline std::vector<json> trials(const Shape& shape) {
  std::mt19937_64 random(shape.seed);
  std::vector<json> records;
  for (const SampleCase& one : cases(shape)) {
    for (int i = 0; i < shape.repetitions; ++i)
      records.push_back(trial(one, i, false, shape, random));
    records.push_back(trial(one, 0, true, shape, random));
  }
  if (shape.spoiled) {
    records.push_back(spoiled("failed", "no progress for 10 s"));
    records.push_back(spoiled("discarded", "steal 7 % of the window"));
  }
  if (shape.mode == "sim") {
    std::erase_if(records, [](const json& one) { return one["case"]["scheme"] == "linux"; });
    for (json& record : records) make_simulated(record);
  }
  // A run interleaves its repetitions at random.
  std::shuffle(records.begin(), records.end(), random);
  return records;
}

}  // namespace faultline::sample
