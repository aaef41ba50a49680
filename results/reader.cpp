#include "results/reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <initializer_list>
#include <stdexcept>

#include "results/case_axes.hpp"
#include "results/files.hpp"
#include "results/old_names.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr const char* a_results_file = "a results file of `faultline run` or `faultline sim`";

/** Checks values one by one and names the place of the first that the schema does not allow. */
class Checker {
 public:
  explicit Checker(const std::string& path) : path_(path) {}

  const json& member(const json& object, const std::string& place, const char* key,
                     json::value_t type) const {
    const std::string here = place + "/" + key;
    if (!object.contains(key)) refuse(here, "is missing", type);
    const json& value = object[key];
    const bool fits =
        type == json::value_t::number_float ? value.is_number() : value.type() == type;
    if (!fits) refuse(here, fmt::format("is of type {}", value.type_name()), type);
    return value;
  }

  void text(const json& object, const std::string& place, const char* key) const {
    member(object, place, key, json::value_t::string);
  }

  void whole_number(const json& object, const std::string& place, const char* key) const {
    const json& value = member(object, place, key, json::value_t::number_float);
    if (!value.is_number_integer())
      refuse(place + "/" + key, "is no whole number", json::value_t::number_integer);
  }

  /** Checks that an optional member, if present, has this type. */
  void optional(const json& object, const std::string& place, const char* key,
                json::value_t type) const {
    if (object.contains(key)) member(object, place, key, type);
  }

  void estimate(const json& object, const std::string& place, const char* key) const {
    if (!object.contains(key)) return;
    const json& value = member(object, place, key, json::value_t::object);
    member(value, place + "/" + key, "median", json::value_t::number_float);
    // the estimate is of one repetition
    if (!value.contains("low") && !value.contains("high")) return;
    for (const char* part : {"low", "high"})
      member(value, place + "/" + key, part, json::value_t::number_float);
  }

  /** Calls `see` with every member, which must be an object, and with its place. */
  template <class F>
  void each(const json& object, const std::string& place, const char* key, F&& see) const {
    const json& members = member(object, place, key, json::value_t::object);
    for (const auto& [name, unused] : members.items()) {
      const std::string here = place + "/" + key;
      see(member(members, here, name.c_str(), json::value_t::object), here + "/" + name);
    }
  }

  /** Calls `see` with every element, which must be an object, and with its place. */
  template <class F>
  void list(const json& object, const std::string& place, const char* key, F&& see) const {
    const json& elements = member(object, place, key, json::value_t::array);
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const std::string here = fmt::format("{}/{}/{}", place, key, i);
      if (!elements[i].is_object()) refuse(here, "is no object", json::value_t::object);
      see(elements[i], here);
    }
  }

  void texts(const json& object, const std::string& place, const char* key) const {
    const json& list = member(object, place, key, json::value_t::array);
    for (std::size_t i = 0; i < list.size(); ++i)
      if (!list[i].is_string())
        refuse(fmt::format("{}/{}/{}", place, key, i),
               fmt::format("is of type {}", list[i].type_name()), json::value_t::string);
  }

  /** Checks numbers by name, or objects of such. */
  void numbers(const json& object, const std::string& place, const char* key) const {
    const json& members = member(object, place, key, json::value_t::object);
    const std::string here = place + "/" + key;
    for (const auto& [name, value] : members.items()) {
      if (value.is_object())
        numbers(members, here, name.c_str());
      else
        member(members, here, name.c_str(), json::value_t::number_float);
    }
  }

  [[noreturn]] void refuse(const std::string& place, const std::string& what,
                           json::value_t type) const {
    const json sample(type);
    throw std::invalid_argument(
        fmt::format("not a result of this version, {}: {} {}, expected {} of type {}", path_, place,
                    what, a_results_file, sample.type_name()));
  }

 private:
  const std::string& path_;
};

void check_throughput(const Checker& check, const json& one, const std::string& place) {
  if (!one.contains("throughput")) return;
  check.estimate(one, place, "throughput");
  const json& repetitions =
      check.member(one["throughput"], place + "/throughput", "repetitions", json::value_t::array);
  if (repetitions.empty())
    check.refuse(place + "/throughput/repetitions", "is empty", json::value_t::array);
  for (const json& rate : repetitions) {
    if (!rate.is_number()) {
      check.refuse(place + "/throughput/repetitions", "holds something else",
                   json::value_t::number_float);
    }
  }
  if (!one["throughput"].contains("modes")) return;
  check.list(one["throughput"], place + "/throughput", "modes",
             [&](const json& mode, const std::string& here) {
               check.member(mode, here, "median", json::value_t::number_float);
               check.whole_number(mode, here, "repetitions");
             });
}

/** Why a simulated case should not be trusted; absent in older files and in cases without doubt. */
void check_doubts(const Checker& check, const json& one, const std::string& place) {
  if (!one.contains("doubtful")) return;
  check.list(one, place, "doubtful", [&](const json& doubt, const std::string& here) {
    for (const char* key : {"kind", "why"}) check.text(doubt, here, key);
  });
}

void check_kinds(const Checker& check, const json& object, const std::string& place,
                 const char* key) {
  check.each(object, place, key, [&](const json& kind, const std::string& here) {
    check.estimate(kind, here, "rate");
    if (kind.contains("latency_ns")) check.member(kind, here, "latency_ns", json::value_t::object);
  });
}

void check_counts(const Checker& check, const json& one, const std::string& place) {
  const auto per_operation = [&](const json& event, const std::string& here) {
    check.estimate(event, here, "per_operation");
  };
  check.each(one, place, "events", per_operation);
  const json& counters = check.member(one, place, "counters", json::value_t::object);
  if (counters.contains("events"))
    check.each(counters, place + "/counters", "events", per_operation);
  if (!one.contains("fairness")) return;
  const json& fairness = check.member(one, place, "fairness", json::value_t::object);
  check.member(fairness, place + "/fairness", "jain", json::value_t::object);
  check.estimate(fairness, place + "/fairness", "jain");
}

/** The machine and the simulator's counts. */
void check_simulated(const Checker& check, const json& one, const std::string& place) {
  check.text(one, place, "machine");
  if (!one.contains("sim")) return;  // no operation completed
  const json& sim = check.member(one, place, "sim", json::value_t::object);
  const std::string here = place + "/sim";
  check.text(sim, here, "machine");
  check.member(sim, here, "seeds", json::value_t::array);
  check.member(sim, here, "simulated_ms", json::value_t::number_float);
  check.each(sim, here, "transfers", [&](const json& label, const std::string& at) {
    check.member(label, at, "per_operation", json::value_t::number_float);
    check.numbers(label, at, "by");
  });
  const json& time = check.member(sim, here, "time", json::value_t::object);
  for (const char* part : {"work", "spinning", "sleeping", "shootdown"})
    check.member(time, here + "/time", part, json::value_t::number_float);
  check.numbers(time, here + "/time", "stall");
}

void check_case(const Checker& check, const json& one, const std::string& place) {
  if (!one.is_object()) check.refuse(place, "is no case", json::value_t::object);
  for (const char* key : {"name", "workload", "scheme", "placement"}) check.text(one, place, key);
  for (const char* key : {"reason", "machine", "roles"})
    check.optional(one, place, key, json::value_t::string);
  for (const char* key : {"private", "kernel"})
    check.optional(one, place, key, json::value_t::boolean);
  check.whole_number(one, place, "threads");
  check_throughput(check, one, place);
  check_doubts(check, one, place);
  if (one.contains("notes")) check.texts(one, place, "notes");
  check.estimate(one, place, "scaling");
  check.estimate(one, place, "waiting_share");
  check_kinds(check, one, place, "kinds");
  if (one.contains("by_role")) {
    const json& roles = check.member(one, place, "by_role", json::value_t::object);
    for (const auto& [role, unused] : roles.items())
      check_kinds(check, roles, place + "/by_role", role.c_str());
  }
  check_counts(check, one, place);
  if (one.contains("machine") || one.contains("sim")) check_simulated(check, one, place);
}

/** Failures, discarded trials and what was left out: entries with these texts, and holders and
 * waiters if there are any. */
void check_entries(const Checker& check, const json& part, const char* key,
                   std::initializer_list<const char*> texts) {
  const json& entries = check.member(part, "/faultline", key, json::value_t::array);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string place = fmt::format("/faultline/{}/{}", key, i);
    if (!entries[i].is_object()) check.refuse(place, "is no entry", json::value_t::object);
    for (const char* text : texts) check.text(entries[i], place, text);
    // An entry of left_out has no repetition.
    if (std::string_view(key) != "left_out") check.whole_number(entries[i], place, "repetition");
    if (!entries[i].contains("stall")) continue;
    const json& stall = check.member(entries[i], place, "stall", json::value_t::object);
    for (const char* list : {"holding", "waiting"}) {
      if (stall.contains(list)) check.member(stall, place + "/stall", list, json::value_t::array);
    }
  }
}

void check_machine(const Checker& check, const json& part) {
  check.text(part, "/faultline", "date");
  const json& machine = check.member(part, "/faultline", "machine", json::value_t::object);
  for (const char* key : {"host", "cpu_model", "kernel"})
    check.text(machine, "/faultline/machine", key);
}

void check_model(const Checker& check, const json& model, const std::string& place) {
  if (!model.is_object()) check.refuse(place, "is no machine", json::value_t::object);
  for (const char* key : {"name", "summary"}) check.text(model, place, key);
  for (const char* key : {"cpus", "nodes"})
    check.member(model, place, key, json::value_t::number_float);
  if (model.contains("calibrated")) {
    const json& host = check.member(model, place, "calibrated", json::value_t::object);
    for (const char* key : {"host", "cpu_model"}) check.text(host, place + "/calibrated", key);
  }
  const json& constants = check.member(model, place, "constants", json::value_t::array);
  for (std::size_t i = 0; i < constants.size(); ++i)
    for (const char* key : {"key", "value", "origin"})
      check.text(constants[i], fmt::format("{}/constants/{}", place, i), key);
}

void check_models(const Checker& check, const json& part) {
  if (check.member(part, "/faultline", "seeds", json::value_t::array).empty())
    check.refuse("/faultline/seeds", "is empty", json::value_t::array);
  const json& machine = check.member(part, "/faultline", "machine", json::value_t::object);
  const json& models = check.member(machine, "/faultline/machine", "models", json::value_t::array);
  for (std::size_t i = 0; i < models.size(); ++i)
    check_model(check, models[i], fmt::format("/faultline/machine/models/{}", i));
}

/** Checks the file's axes, as axes_json declares them. */
void check_axes(const Checker& check, const json& part) {
  if (!part.contains("axes")) return;  // the file is older than the declaration
  const json& axes = check.member(part, "/faultline", "axes", json::value_t::array);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::string place = fmt::format("/faultline/axes/{}", i);
    if (!axes[i].is_object()) check.refuse(place, "is no axis", json::value_t::object);
    for (const char* key : {"key", "label", "picture"}) check.text(axes[i], place, key);
    for (const char* key : {"default", "before"})
      if (!axes[i].contains(key))
        check.refuse(place + "/" + key, "is missing", json::value_t::string);
    if (!axes[i].contains("values")) continue;
    const json& values = check.member(axes[i], place, "values", json::value_t::array);
    for (std::size_t j = 0; j < values.size(); ++j) {
      const std::string here = fmt::format("{}/values/{}", place, j);
      if (!values[j].is_object() || !values[j].contains("value"))
        check.refuse(here, "is no value of an axis", json::value_t::object);
      check.text(values[j], here, "label");
    }
  }
}

void check_faultline(const Checker& check, const json& part) {
  for (const char* key : {"mode", "suite"}) check.text(part, "/faultline", key);
  part["mode"] == "sim" ? check_models(check, part) : check_machine(check, part);
  const json& build = check.member(part, "/faultline", "build", json::value_t::object);
  for (const char* key : {"version", "commit"}) check.text(build, "/faultline/build", key);
  check.optional(check.member(part, "/faultline", "counters", json::value_t::object),
                 "/faultline/counters", "reason", json::value_t::string);
  check_axes(check, part);
  check_entries(check, part, "left_out", {"what", "why"});
  check_entries(check, part, "discarded", {"case", "reason"});
  check_entries(check, part, "failures", {"case", "reason"});
  const json& cases = check.member(part, "/faultline", "cases", json::value_t::array);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string place = fmt::format("/faultline/cases/{}", i);
    check_case(check, cases[i], place);
    if (part["mode"] == "sim") check.text(cases[i], place, "machine");
  }
}

}  // namespace

json load_results(const std::string& path) {
  const std::string text = read_text(path, a_results_file);
  json results;
  try {
    results = json::parse(text);
  } catch (const json::parse_error& error) {
    const std::size_t place = std::min(error.byte, text.size());
    throw std::invalid_argument(fmt::format("{} JSON, {}: byte {} of {}, expected {}",
                                            place >= text.size() ? "truncated" : "broken", path,
                                            place, text.size(), a_results_file));
  } catch (const json::out_of_range&) {
    throw std::invalid_argument(fmt::format(
        "broken JSON, {}: a number that is out of range, expected {}", path, a_results_file));
  }
  if (!results.is_object() || !results.contains("faultline") || !results["faultline"].is_object()) {
    throw std::invalid_argument(fmt::format(
        "foreign JSON, {}: no object \"faultline\", expected {}", path, a_results_file));
  }
  json& part = results["faultline"];
  if (part.value("schema_version", json()) != 1) {
    throw std::invalid_argument(
        fmt::format("not a result of this version, {}: schema_version {}, expected 1", path,
                    part.value("schema_version", json()).dump()));
  }
  check_faultline(Checker(path), part);
  rename_old(part);
  complete_settings(part);
  return results;
}

}  // namespace faultline
