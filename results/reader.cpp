#include "results/reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>

#include "results/files.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr const char* a_results_file = "a results file of `faultline run` or `faultline sim`";

/** Checks one value after another and says where one is not as the schema has it. */
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

  void estimate(const json& object, const std::string& place, const char* key) const {
    if (!object.contains(key)) return;
    const json& value = member(object, place, key, json::value_t::object);
    member(value, place + "/" + key, "median", json::value_t::number_float);
    if (!value.contains("low") && !value.contains("high")) return;  // of one repetition
    for (const char* part : {"low", "high"})
      member(value, place + "/" + key, part, json::value_t::number_float);
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
  for (const json& rate : repetitions) {
    if (!rate.is_number()) {
      check.refuse(place + "/throughput/repetitions", "holds something else",
                   json::value_t::number_float);
    }
  }
}

void check_case(const Checker& check, const json& one, const std::string& place) {
  if (!one.is_object()) check.refuse(place, "is no case", json::value_t::object);
  for (const char* key : {"name", "workload", "scheme", "placement"}) check.text(one, place, key);
  check.member(one, place, "threads", json::value_t::number_float);
  check_throughput(check, one, place);
  check.estimate(one, place, "scaling");
  check.estimate(one, place, "waiting_share");
  check.member(one, place, "kinds", json::value_t::object);
}

void check_machine(const Checker& check, const json& part) {
  check.text(part, "/faultline", "date");
  const json& machine = check.member(part, "/faultline", "machine", json::value_t::object);
  for (const char* key : {"host", "cpu_model", "kernel"})
    check.text(machine, "/faultline/machine", key);
}

void check_models(const Checker& check, const json& part) {
  check.member(part, "/faultline", "seeds", json::value_t::array);
  const json& machine = check.member(part, "/faultline", "machine", json::value_t::object);
  const json& models = check.member(machine, "/faultline/machine", "models", json::value_t::array);
  for (std::size_t i = 0; i < models.size(); ++i)
    check.text(models[i], fmt::format("/faultline/machine/models/{}", i), "name");
}

void check_faultline(const Checker& check, const json& part) {
  for (const char* key : {"mode", "suite"}) check.text(part, "/faultline", key);
  part["mode"] == "sim" ? check_models(check, part) : check_machine(check, part);
  const json& build = check.member(part, "/faultline", "build", json::value_t::object);
  for (const char* key : {"version", "commit"}) check.text(build, "/faultline/build", key);
  check.member(part, "/faultline", "counters", json::value_t::object);
  for (const char* key : {"left_out", "discarded", "failures"}) {
    check.member(part, "/faultline", key, json::value_t::array);
  }
  const json& cases = check.member(part, "/faultline", "cases", json::value_t::array);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    check_case(check, cases[i], fmt::format("/faultline/cases/{}", i));
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
  }
  if (!results.is_object() || !results.contains("faultline") || !results["faultline"].is_object()) {
    throw std::invalid_argument(fmt::format(
        "foreign JSON, {}: no object \"faultline\", expected {}", path, a_results_file));
  }
  const json& part = results["faultline"];
  if (part.value("schema_version", json()) != 1) {
    throw std::invalid_argument(
        fmt::format("not a result of this version, {}: schema_version {}, expected 1", path,
                    part.value("schema_version", json()).dump()));
  }
  check_faultline(Checker(path), part);
  return results;
}

}  // namespace faultline
