#include "harness/case/suites.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>

#include "harness/case/names.hpp"
#include "harness/sim/machine/machine.hpp"
#include "harness/topology/placement.hpp"
#include "results/data_files.hpp"
#include "results/files.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// One object of the file. It hands out its members and refuses unknown ones.
class Members {
 public:
  Members(const std::string& file, std::string place, const json& object,
          const std::set<std::string>& known)
      : file_(file), place_(std::move(place)), object_(object) {
    if (!object.is_object()) refuse("", "an object");
    for (const auto& [key, unused] : object.items())
      if (!known.contains(key))
        refuse(key, fmt::format("no such key, but {}", fmt::join(known, ", ")));
  }

  bool has(const std::string& key) const { return object_.contains(key); }
  const json& at(const std::string& key, const std::string& expected) const {
    if (!has(key)) refuse(key, expected);
    return object_[key];
  }

  std::string text(const std::string& key) const {
    const json& value = at(key, "a text");
    if (!value.is_string() || value == "") refuse(key, "a text");
    return value;
  }
  bool flag(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!object_[key].is_boolean()) refuse(key, "true or false");
    return object_[key];
  }
  double number(const std::string& key, double otherwise, double least) const {
    if (!has(key)) return otherwise;
    if (!object_[key].is_number() || object_[key].get<double>() < least)
      refuse(key, fmt::format("a number, {:g} at least", least));
    return object_[key];
  }
  unsigned whole(const std::string& key, unsigned otherwise, unsigned least) const {
    if (!has(key)) return otherwise;
    constexpr unsigned most = 100'000;
    const json& value = object_[key];
    if (!value.is_number_unsigned() || value.get<u64>() < least || value.get<u64>() > most)
      refuse(key, fmt::format("a whole number from {} to {}", least, most));
    return value;
  }
  std::vector<std::string> texts(const std::string& key, const std::string& expected) const {
    const json& list = at(key, expected);
    const auto is_text = [](const json& one) { return one.is_string(); };
    if (!list.is_array() || list.empty() || !std::all_of(list.begin(), list.end(), is_text))
      refuse(key, expected);
    return list;
  }
  // Numbers of CPUs.
  std::vector<u32> counts(const std::string& key) const {
    constexpr u32 most = 1024;  // of a simulation
    const std::string expected = fmt::format("a list of whole numbers from 1 to {}", most);
    const json& list = at(key, expected);
    const auto is_count = [](const json& one) {
      return one.is_number_unsigned() && one.get<u64>() >= 1 && one.get<u64>() <= most;
    };
    if (!list.is_array() || list.empty() || !std::all_of(list.begin(), list.end(), is_count))
      refuse(key, expected);
    return list;
  }

  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const {
    throw std::invalid_argument(fmt::format("suite {}: {}{}{}: expected {}", file_, place_,
                                            place_.empty() || key.empty() ? "" : "/", key,
                                            expected));
  }
  // Runs `call`. A refusal of it becomes a refusal with the place of `key`.
  template <class F>
  auto within(const std::string& key, F&& call) const {
    try {
      return call();
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(
          fmt::format("suite {}: {}/{}: {}", file_, place_, key, error.what()));
    }
  }

 private:
  const std::string& file_;
  const std::string place_;
  const json& object_;
};

class SuiteReader {
 public:
  SuiteReader(std::string file, const json& root)
      : file_(std::move(file)),
        root_(file_, "", root,
              {"$schema", "summary", "simulated", "machines", "cpus", "most_threads", "most_counts",
               "budget_s", "repetitions", "duration_s", "ceiling", "latency", "schemes",
               "entries"}) {}

  Suite read() {
    suite_.name = fs::path(file_).stem();
    suite_.summary = root_.text("summary");
    suite_.simulated = root_.flag("simulated", false);
    suite_.machines = machines_of(root_);
    suite_.most_threads = root_.whole("most_threads", 0, 0);
    suite_.most_counts = root_.whole("most_counts", 0, 0);
    suite_.budget_s = root_.number("budget_s", 0, 0);
    suite_.repetitions = root_.whole("repetitions", suite_.repetitions, 1);
    suite_.duration_s = root_.number("duration_s", suite_.duration_s, least_s);
    suite_.ceiling = root_.flag("ceiling", true);
    suite_.latency = root_.flag("latency", true);
    const json& entries = root_.at("entries", "a list of entries");
    if (!entries.is_array() || entries.empty()) root_.refuse("entries", "a list of entries");
    for (usize i = 0; i < entries.size(); ++i)
      add_entry({file_,
                 fmt::format("entries/{}", i),
                 entries[i],
                 {"workload", "schemes", "locks", "axes", "machines", "cpus", "placement",
                  "repetitions", "duration_s", "warmup_s"}});
    return std::move(suite_);
  }

 private:
  static constexpr double least_s = 1e-6;  // of a window

  void add_entry(const Members& members) {
    SuiteEntry entry;
    entry.workload = with_trace(members.text("workload"));
    const Chosen chosen =
        members.within("workload", [&] { return workload_named(entry.workload); });
    entry.workload = chosen.text();
    entry.schemes = contestants(members, chosen.entry());
    if (members.has("axes")) entry.axes = axes_of_entry(members);
    entry.machines = machines_of(members);
    entry.cpus = cpus_of(members.has("cpus") ? members : root_, entry);
    if (members.has("placement")) entry.placement = placement_of(members);
    if (members.has("repetitions")) entry.repetitions = members.whole("repetitions", 0, 1);
    if (members.has("duration_s")) entry.duration_s = members.number("duration_s", 0, least_s);
    entry.warmup_s = members.number("warmup_s", 0, 0);
    suite_.entries.push_back(std::move(entry));
  }

  static std::string placement_of(const Members& members) {
    const std::vector<std::string>& known = placement_names();
    const std::string name = members.text("placement");
    if (std::find(known.begin(), known.end(), name) == known.end())
      members.refuse("placement", fmt::format("one of {}", fmt::join(known, ", ")));
    return name;
  }

  std::vector<std::string> machines_of(const Members& members) {
    if (!members.has("machines")) return {};
    std::vector<std::string> names = members.texts("machines", "names of machines");
    for (const std::string& name : names)
      if (!cpus_of_machine_.contains(name))
        cpus_of_machine_[name] =
            members.within("machines", [&] { return sim::Machine::load(name).places.size(); });
    return names;
  }

  // The numbers of CPUs for an entry. Refuses those that none of the entry's machines has.
  std::vector<u32> cpus_of(const Members& members, const SuiteEntry& entry) const {
    if (!members.has("cpus")) return {};
    if (!suite_.simulated) members.refuse("cpus", "a suite with \"simulated\": true");
    const std::vector<u32> counts = members.counts("cpus");
    const auto& machines = entry.machines.empty() ? suite_.machines : entry.machines;
    if (machines.empty()) return counts;  // the command line names the machines
    usize most = 0;
    for (const std::string& name : machines) most = std::max(most, cpus_of_machine_.at(name));
    for (u32 count : counts)
      if (count > most)
        members.refuse("cpus", fmt::format("numbers from 1 to {}, the CPUs of {}, instead of {}",
                                           most, fmt::join(machines, ", "), count));
    return counts;
  }

  // A trace's relative path is searched beside the suite's file, then among the program's data
  // files.
  std::string with_trace(const std::string& workload) const {
    constexpr std::string_view replay = "replay:file=";
    if (!workload.starts_with(replay)) return workload;
    const fs::path path = workload.substr(replay.size());
    if (path.is_absolute()) return workload;
    const fs::path beside = fs::path(file_).parent_path() / path;
    return std::string(replay) + (fs::exists(beside) ? beside : data_file(path)).string();
  }

  std::vector<std::string> contestants(const Members& members, const Entry& workload) const {
    const bool locks = workload.needs_lock;
    const std::string key = locks ? "locks" : "schemes";
    if (const std::string other = locks ? "schemes" : "locks"; members.has(other))
      members.refuse(other, fmt::format("{} for workload {}", key, workload.name));
    const Members& from = members.has(key) || locks ? members : root_;
    const std::string expected = "\"all\", \"defaults\", \"designs\", or a list of " + key;
    std::vector<std::string> names;
    const auto& selection = from.at(key, expected);
    if (selection == "all" || selection == "defaults" || selection == "designs") {
      names = all_contestants(locks);
      if (selection != "all")
        std::erase_if(names, [&](const std::string& name) {
          const Chosen chosen = scheme_or_lock_named(name);
          const bool is_default = chosen.departures() == 0;
          return chosen.is_profile() ? selection == "defaults" || is_default : !is_default;
        });
      if (suite_.simulated) std::erase_if(names, is_native_only);
      return names;
    }
    names = from.texts(key, expected);
    for (std::string& name : names)
      name = from.within(key, [&] { return contestant_named(workload, name).text(); });
    return names;
  }

  static bool is_native_only(const std::string& name) {
    return scheme_or_lock_named(name).is_native_only();
  }

  AxisValues axes_of_entry(const Members& members) const {
    std::set<std::string> known;
    for (const Axis& row : axes())
      if (row.applies(suite_.simulated)) known.insert(row.key);
    const Members given(file_, "axes", members.at("axes", "an object"), known);
    AxisValues values;
    for (const std::string& key : known) {
      if (!given.has(key)) continue;
      values[key] = given.texts(key, "a list of values");
      for (const std::string& value : values[key])
        given.within(key, [&] { axis(key).require(value); });
    }
    return values;
  }

  const std::string file_;
  const Members root_;
  std::map<std::string, usize> cpus_of_machine_;
  Suite suite_;
};

}  // namespace

std::vector<std::string> suite_names() {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(data_file("suites")))
    if (file.path().extension() == ".json" && file.path().stem() != "schema")
      names.push_back(file.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

Suite load_suite(const std::string& given) {
  const bool is_path = given.find('/') != std::string::npos || given.ends_with(".json");
  const std::vector<std::string> names = suite_names();
  if (!is_path && std::find(names.begin(), names.end(), given) == names.end())
    throw std::invalid_argument(fmt::format("--suite '{}': expected FILE.json or one of {}", given,
                                            fmt::join(names, ", ")));
  const std::string path = is_path ? given : data_file("suites/" + given + ".json").string();
  const std::string text = read_text(path, "a suite, as workloads/suites/schema.json has it");
  try {
    return SuiteReader(path, json::parse(text)).read();
  } catch (const json::exception& error) {
    throw std::invalid_argument(fmt::format("suite {}: {}, expected JSON", path, error.what()));
  }
}

}  // namespace faultline
