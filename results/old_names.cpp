#include "results/old_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace faultline {
namespace {

using nlohmann::json;

std::vector<std::string> split(std::string_view text, const char* separators) {
  std::vector<std::string> fields;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    fields.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return fields;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string with(const std::string& name, const char* key, const std::string& value,
                 const char* usual) {
  return value.empty() || value == usual ? name : name + ":" + key + "=" + value;
}

// The former form: "mix:FAULTS:UPDATES[,private|shared][,discard]".
std::string present_mix(const std::vector<std::string>& fields, const std::string& name) {
  std::vector<std::string> numbers;
  bool shared = false;
  bool discard = false;
  for (std::size_t i = 1; i < fields.size(); ++i) {
    if (is_number(fields[i]))
      numbers.push_back(fields[i]);
    else if (fields[i] == "shared")
      shared = true;
    else if (fields[i] == "discard")
      discard = true;
    else if (fields[i] != "private")
      return name;
  }
  if (numbers.size() > 2) return name;
  numbers.resize(2);
  std::string text = with("mix", "faults", numbers[0], "9");
  text = with(text, "updates", numbers[1], "1");
  return text + (shared ? ":shared=on" : "") + (discard ? ":discard=on" : "");
}

// The former form: "lock_loop[:section=NS][,gap=NS][,read=PERCENT][,layout=full|disjoint|random]".
std::string present_lock_loop(const std::vector<std::string>& fields) {
  std::map<std::string, std::string> values;
  for (std::size_t i = 1; i < fields.size(); ++i) {
    const std::size_t equals = std::min(fields[i].find('='), fields[i].size());
    const std::string key = fields[i].substr(0, equals);
    values[key == "layout" ? "ranges" : key] =
        equals == fields[i].size() ? "" : fields[i].substr(equals + 1);
  }
  std::string text = "lock_loop";
  for (const char* key : {"section", "gap", "read"}) text = with(text, key, values[key], "0");
  return with(text, "ranges", values["ranges"], "full");
}

// `workload` may have a former name.
bool runs_on_lock(std::string_view workload) {
  return workload.starts_with("lock_loop");
}

// The name of a case: "WORKLOAD/SCHEME/...".
std::string present_case(const std::string& name) {
  const std::size_t first = name.find('/');
  if (first == std::string::npos) return name;
  const std::size_t second = std::min(name.find('/', first + 1), name.size());
  const std::string workload = name.substr(0, first);
  const std::string contestant = name.substr(first + 1, second - first - 1);
  return present_workload(workload) + "/" +
         (runs_on_lock(workload) ? present_lock(contestant) : present_scheme(contestant)) +
         name.substr(second);
}

void rename(json& object, const char* key, std::string (*present)(std::string_view)) {
  if (object.contains(key) && object[key].is_string())
    object[key] = present(object[key].get_ref<const std::string&>());
}

void rename_case(json& one) {
  if (!one.is_object()) return;
  const bool of_lock = one.contains("workload") && one["workload"].is_string() &&
                       runs_on_lock(one["workload"].get_ref<const std::string&>());
  rename(one, "scheme", of_lock ? present_lock : present_scheme);
  rename(one, "workload", present_workload);
  rename(one, "workload_text", present_workload);
  rename(one, "name", [](std::string_view name) { return present_case(std::string(name)); });
  if (!one.contains("kernel") && one.value("scheme", json()) == "linux") one["kernel"] = true;
}

}  // namespace

std::string present_scheme(std::string_view name) {
  constexpr std::string_view both_off = "reader_steal=off:writer_steal=off";
  static const std::map<std::string, std::string, std::less<>> present = {
      {"mmap_sem:no-osq", "mmap_sem:osq=off"},
      {"mmap_sem:no-steal", fmt::format("mmap_sem:{}", both_off)},
      {"mmap_sem:no-handoff", "mmap_sem:handoff=off"},
      {"mmap_sem:rwsem_2012", "mmap_sem:lock=rwsem_2012"},
      {"mmap_sem:pthread_rwlock", "mmap_sem:lock=pthread_rwlock"},
      {"mmap_sem:std::shared_mutex", "mmap_sem:lock=std_shared_mutex"},
      {"range_lock:mcs", "range_lock:structure=mcs"},
      {"range_lock:rwsem", "range_lock:structure=rwsem"},
      {"range_lock:full", "full_range"},
      {"rwsem:no-osq", "rwsem:osq=off"},
      {"rwsem:no-steal", fmt::format("rwsem:{}", both_off)},
      {"rwsem:no-handoff", "rwsem:handoff=off"},
      {"std::shared_mutex", "std_shared_mutex"},
  };
  if (const auto found = present.find(name); found != present.end()) return found->second;
  std::string text(name);
  // As the value of an option, this is the former name of a lock. A scheme has it now.
  constexpr std::string_view naive = "=refcount_naive";
  if (const std::size_t at = text.find(naive); at != std::string::npos)
    text.replace(at + 1, naive.size() - 1, "naive_refcount_lock");
  // The former option stopped readers and writers.
  constexpr std::string_view former = ":steal=off";
  if (const std::size_t at = text.find(former); at != std::string::npos)
    text.replace(at + 1, former.size() - 1, both_off);
  return text;
}

std::string present_lock(std::string_view name) {
  // A scheme has that name now.
  return name == "refcount_naive" ? "naive_refcount_lock" : present_scheme(name);
}

std::string present_workload(std::string_view name) {
  const std::string text(name);
  const std::string base = text.substr(0, text.find(':'));
  if (base == text) return text;
  if (base == "replay")
    return text.starts_with("replay:file=") ? text : "replay:file=" + text.substr(7);
  const std::vector<std::string> fields = split(text, ":,");
  const bool former =
      text.find(',') != std::string::npos || text.find("layout=") != std::string::npos;
  if (base == "lock_loop") return former ? present_lock_loop(fields) : text;
  if (base == "mix") return present_mix(fields, text);
  const bool sized = base == "mmap1" || base == "clear_pages" || base.starts_with("page_fault");
  if (!sized || fields.size() != 2 || fields[1].find('=') != std::string::npos) return text;
  return with(base, "size", fields[1], base == "mmap1" ? "128M" : "2M");
}

void rename_old(json& part) {
  if (!part.is_object()) return;
  for (const char* list : {"discarded", "failures"})
    if (part.contains(list) && part[list].is_array())
      for (json& entry : part[list])
        if (entry.is_object())
          rename(entry, "case",
                 [](std::string_view name) { return present_case(std::string(name)); });
  if (part.contains("cases") && part["cases"].is_array())
    for (json& one : part["cases"]) rename_case(one);
  if (part.contains("case") && part["case"].is_object()) rename_case(part["case"]);
}

}  // namespace faultline
