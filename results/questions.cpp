#include "results/questions.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "harness/stats/stats.hpp"
#include "results/aggregate.hpp"
#include "results/case_axes.hpp"
#include "results/data_files.hpp"
#include "results/doubt.hpp"
#include "results/files.hpp"
#include "results/published_case.hpp"
#include "results/reader.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr const char* a_file_of_questions = "questions as results/questions/ has them";

/** What is compared: the values of one number of each repetition, or one value of all together. */
struct Measure {
  enum class What { throughput, rate, latency } what = What::throughput;
  std::string kind;        // of operations
  std::string percentile;  // "p99"
  std::string text;

  static Measure parse(const std::string& text) {
    if (text == "throughput") return {What::throughput, "", "", text};
    const std::size_t of = text.find(" of ");
    const std::string what = text.substr(0, of);
    if (of != std::string::npos && what == "rate")
      return {What::rate, text.substr(of + 4), "", text};
    if (of != std::string::npos && what.starts_with("p") && what.size() > 1)
      return {What::latency, text.substr(of + 4), what, text};
    throw std::invalid_argument(
        fmt::format("measure {}, expected throughput, rate of KIND or pNN of KIND", text));
  }

  /** The values of a case's repetitions, of a simulated case those of its main mode; one value
   * where it is over all repetitions; none if the case does not have them. A repetition that
   * completed no operation of the kind has the rate 0. */
  std::vector<double> values(const json& one, bool simulated) const {
    if (what == What::latency) {
      const json found =
          one.value(json::json_pointer("/kinds") / kind / "latency_ns" / percentile, json());
      return found.is_number() ? std::vector{found.get<double>()} : std::vector<double>{};
    }
    if (!one.contains("throughput")) return {};
    const auto all = one["throughput"]["repetitions"].get<std::vector<double>>();
    const std::vector<double> kept = simulated ? main_mode(all) : all;
    if (what == What::throughput || kept.empty()) return kept;
    const auto [least, most] = std::minmax_element(kept.begin(), kept.end());
    std::vector<double> rates;
    for (const json& trial : one["trials"]) {
      if (trial.value("latency", false) || trial.value("status", "") != "ok") continue;
      const double rate = trial.at("rate");
      if (rate < *least || rate > *most) continue;
      rates.push_back(trial.value(json::json_pointer("/kinds") / kind / "rate", 0.0));
    }
    return rates;
  }

  /** "runs X times as fast as", "has X times the p99 of unmap of" */
  std::string compared(const std::string& ratio) const {
    if (what == What::throughput) return fmt::format("runs {} times as fast as", ratio);
    return fmt::format("has {} times the {} of", ratio, text);
  }
};

/** The cases of one side by the number of CPUs, apart for each setting of what is not named. */
using CasesByCpus = std::map<int, const json*>;
using CasesBySettings = std::map<std::string, CasesByCpus>;

/** How the case departs from the defaults on the axes that `wanted` does not name. */
std::string other_settings(const json& one, const json& wanted, const json& axes) {
  std::string text;
  for (const json& axis : axes) {
    const std::string key = axis["key"];
    if (wanted.contains(key) || one.value(key, axis["default"]) == axis["default"]) continue;
    text += ", " + setting_label(one, axis);
  }
  const std::string placement = one.value("placement", "compact");
  if (!wanted.contains("placement") && placement != "compact") text += ", " + placement;
  return text;
}

/** Where all settings that are not named have their defaults in one case at least, only such cases:
 * the others do other work. */
CasesBySettings cases_by_settings(const json& part, const json& wanted, const json& machine,
                                  const json& axes) {
  CasesBySettings found;
  for (const json& one : part["cases"])
    if (one.value("machine", json()) == machine && stands_for(one, wanted) &&
        !one.value("oversubscribed", false))
      found[other_settings(one, wanted, axes)][one["threads"].get<int>()] = &one;
  if (found.contains("")) return {{"", found[""]}};
  return found;
}

std::string verdict_of(const json& ratio) {
  if (!ratio.contains("low")) return "no interval";
  if (ratio["low"].get<double>() > 1) return "higher";
  return ratio["high"].get<double>() < 1 ? "lower" : "not decided";
}

std::size_t zeros(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::count(values.begin(), values.end(), 0.0));
}

/** The point of two cases that have values. Where a repetition completed nothing, a ratio would
 * hide that, so the point has none. */
json point_of(int cpus, const std::vector<double>& base, const std::vector<double>& other) {
  json point = {{"cpus", cpus}};
  if (zeros(base) + zeros(other) != 0) {
    point["verdict"] = "none completed";
    point["none"] = {{"base", zeros(base)},
                     {"of_base", base.size()},
                     {"other", zeros(other)},
                     {"of_other", other.size()}};
    return point;
  }
  const json ratio = ratio_estimate(base, other);
  point.update({{"base", estimate(base)},
                {"other", estimate(other)},
                {"ratio", ratio},
                {"verdict", verdict_of(ratio)}});
  return point;
}

/** The points at which both cases were measured; `missing` gets the counts of the others. */
json points_of(const CasesByCpus& base, const CasesByCpus& other, const Measure& measure,
               bool simulated, std::set<int>& missing) {
  json points = json::array();
  for (const auto& [cpus, one] : other)
    if (!base.contains(cpus)) missing.insert(cpus);
  for (const auto& [cpus, one] : base) {
    const auto found = other.find(cpus);
    const std::vector<double> before = measure.values(*one, simulated);
    const std::vector<double> after =
        found == other.end() ? std::vector<double>{} : measure.values(*found->second, simulated);
    if (before.empty() || after.empty()) {
      missing.insert(cpus);
      continue;
    }
    json point = point_of(cpus, before, after);
    const std::string why = doubts_text(*one);
    const std::string doubt = why.empty() ? doubts_text(*found->second) : why;
    if (!doubt.empty()) point["doubtful"] = doubt;
    points.push_back(std::move(point));
  }
  return points;
}

std::string number(double value) {
  return value >= 99.5 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
}

std::string ratio_text(const json& ratio) {
  const std::string median = number(ratio["median"]);
  if (!ratio.contains("low")) return median;
  return fmt::format("{} ({} to {})", median, number(ratio["low"]), number(ratio["high"]));
}

/** "1, 2 and 4" */
std::string listed(const std::vector<int>& counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i)
    text += (i == 0 ? "" : i + 1 == counts.size() ? " and " : ", ") + std::to_string(counts[i]);
  return text;
}

/** "8 CPUs" of a simulated machine, "8 threads" of a measured one. */
std::string count_text(int count, bool simulated) {
  return fmt::format("{} {}{}", count, simulated ? "CPU" : "thread", count == 1 ? "" : "s");
}

/** "refcount completed no unmap in 4 of 6 repetitions" */
std::string none_text(const std::string& name, const Measure& measure, const json& zero,
                      const json& of) {
  return fmt::format("{} completed no {} in {} of {} repetitions", name,
                     measure.kind.empty() ? "operation" : measure.kind, zero.get<int>(),
                     of.get<int>());
}

/** What the point at the most CPUs says. */
std::string headline(const json& point, const std::string& base, const std::string& other,
                     const Measure& measure, bool simulated) {
  const std::string at = count_text(point["cpus"], simulated);
  if (point["verdict"] == "none completed") {
    const json& none = point["none"];
    return fmt::format("At {} {}, and {}.", at,
                       none_text(other, measure, none["other"], none["of_other"]),
                       none_text(base, measure, none["base"], none["of_base"]));
  }
  const std::string ratio = ratio_text(point["ratio"]);
  if (point["verdict"] == "not decided")
    return fmt::format(
        "At {} it is not decided which of {} and {} has the higher {}: the ratio is {}.", at, other,
        base, measure.text, ratio);
  std::string text = fmt::format("At {} {} {} {}", at, other, measure.compared(ratio), base);
  if (point["verdict"] == "no interval") text += ", a number without an interval";
  return text + ".";
}

/** Of the points with one verdict: "higher at 1 and 4 (farthest at 4, 1.5)", "not decided at 2",
 * "without an interval 0.9 at 1, 1.1 at 2". */
std::string told(const std::string& verdict, const std::vector<const json*>& points) {
  std::vector<std::string> ratios;
  std::vector<int> counts;
  if (verdict == "none completed") {
    for (const json* point : points) counts.push_back((*point)["cpus"]);
    return fmt::format("repetitions that completed nothing at {}", listed(counts));
  }
  const auto distance = [](const json* point) {
    return std::abs(std::log((*point)["ratio"]["median"].get<double>()));
  };
  for (const json* point : points) {
    counts.push_back((*point)["cpus"]);
    ratios.push_back(fmt::format("{} at {}", number((*point)["ratio"]["median"]), counts.back()));
  }
  if (verdict == "no interval")
    return fmt::format("without an interval {}", fmt::join(ratios, ", "));
  if (verdict == "not decided") return fmt::format("not decided at {}", listed(counts));
  const json& most =
      **std::max_element(points.begin(), points.end(),
                         [&](const json* a, const json* b) { return distance(a) < distance(b); });
  const std::string ratio = number(most["ratio"]["median"]);
  if (counts.size() == 1) return fmt::format("{} at {} ({})", verdict, counts[0], ratio);
  return fmt::format("{} at {} (farthest at {}, {})", verdict, listed(counts),
                     most["cpus"].get<int>(), ratio);
}

/** What the points at fewer CPUs say, by their verdicts. */
std::string rest_text(const json& points) {
  std::vector<std::string> parts;
  for (const char* verdict : {"higher", "lower", "not decided", "no interval", "none completed"}) {
    std::vector<const json*> of_it;
    for (std::size_t i = 0; i + 1 < points.size(); ++i)
      if (points[i]["verdict"] == verdict) of_it.push_back(&points[i]);
    if (!of_it.empty()) parts.push_back(told(verdict, of_it));
  }
  return parts.empty() ? "" : fmt::format(" At fewer: {}.", fmt::join(parts, "; "));
}

std::string missing_text(const std::set<int>& missing) {
  return missing.empty()
             ? ""
             : fmt::format(" Not measured at {}.", listed({missing.begin(), missing.end()}));
}

std::string doubt_text(const json& points) {
  std::vector<int> doubtful;
  for (const json& point : points)
    if (point.contains("doubtful")) doubtful.push_back(point["cpus"]);
  return doubtful.empty() ? "" : fmt::format(" Doubtful at {}.", listed(doubtful));
}

/** The values in which two cases differ: "mmap_sem:vmas=maple", "mix:shared=on", "merge off". */
std::string name_of(const json& wanted, const json& against) {
  std::vector<std::string> names;
  for (const auto& [key, value] : wanted.items()) {
    if (against.value(key, json()) == value) continue;
    const std::string text = value.is_string()    ? value.get<std::string>()
                             : value.is_boolean() ? (value.get<bool>() ? "on" : "off")
                                                  : value.dump();
    names.push_back(key == "scheme" || key == "workload" ? text : key + " " + text);
  }
  return fmt::format("{}", fmt::join(names, " with "));
}

/** A machine of one file. */
struct Place {
  json machine;       // null where it was measured
  std::string where;  // "epyc-7742x2, simulated"; of several files with the file's number
};

std::vector<Place> places_of(const std::vector<json>& parts, std::size_t index) {
  const json& part = parts[index];
  const std::string file = parts.size() > 1 ? fmt::format(", file {}", index + 1) : "";
  if (part["mode"] != "sim")
    return {{json(),
             fmt::format("{}, native{}", part["machine"]["cpu_model"].get<std::string>(), file)}};
  std::vector<Place> places;
  for (const json& model : part["machine"]["models"])
    places.push_back(
        {model["name"], fmt::format("{}, simulated{}", model["name"].get<std::string>(), file)});
  return places;
}

/** What one comparison says of one place and setting; null without a case. */
json told_at(const std::string& where, const CasesByCpus& base, const CasesByCpus& other,
             const json& names, const Measure& measure, bool simulated) {
  std::set<int> missing;
  const json points = points_of(base, other, measure, simulated, missing);
  if (points.empty() && missing.empty()) return nullptr;
  std::string sentence;
  if (!points.empty())
    sentence = headline(points.back(), names["base"], names["other"], measure, simulated) +
               rest_text(points) + doubt_text(points);
  sentence += missing_text(missing);
  return {{"where", where},
          {"simulated", simulated},
          {"sentence", sentence.substr(sentence.find_first_not_of(' '))},
          {"points", points}};
}

json comparison_of(const std::vector<json>& parts, const json& axes, const json& asked) {
  const Measure measure = Measure::parse(asked.value("measure", "throughput"));
  json base = asked.value("case", json::object());
  json other = base;
  base.update(asked.at("base"));
  other.update(asked.at("other"));
  json answer = {{"what", asked.at("what")},
                 {"base", name_of(base, other)},
                 {"other", name_of(other, base)},
                 {"measure", measure.text},
                 {"machines", json::array()}};
  if (answer["base"] == "" || answer["other"] == "")
    throw std::invalid_argument(fmt::format("comparison {}: base and other are one case",
                                            asked.at("what").get<std::string>()));
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (const auto& [machine, where] : places_of(parts, i)) {
      CasesBySettings before = cases_by_settings(parts[i], base, machine, axes);
      CasesBySettings after = cases_by_settings(parts[i], other, machine, axes);
      std::set<std::string> settings;
      for (const auto* side : {&before, &after})
        for (const auto& [setting, cases] : *side) settings.insert(setting);
      for (const std::string& setting : settings) {
        json said = told_at(where + setting, before[setting], after[setting], answer, measure,
                            parts[i]["mode"] == "sim");
        if (!said.is_null()) answer["machines"].push_back(std::move(said));
      }
    }
  return answer;
}

/** Where the threads' time goes in one case, as shares; null where it was not measured. */
json time_of(const json& one) {
  const json time = one.value(json::json_pointer("/sim/time"), json());
  if (time.is_null()) {
    const json waiting = one.value(json::json_pointer("/waiting_share/median"), json());
    return waiting.is_null() ? json() : json{{"waiting", waiting}};
  }
  double stall = 0;
  json line = nullptr;
  double most = 0;
  for (const auto& [label, share] : time.at("stall").items()) {
    stall += share.get<double>();
    if (share.get<double>() > most) most = share, line = label;
  }
  json shares = {{"work", time.at("work")},
                 {"waiting", time.at("spinning").get<double>() + time.at("sleeping").get<double>()},
                 {"stall", stall},
                 {"shootdown", time.at("shootdown")}};
  if (!line.is_null()) shares["line"] = {{"label", line}, {"share", most}};
  return shares;
}

std::string share_text(double share) {
  return fmt::format("{:.0f} %", 100 * share);
}

/** "At 64 CPUs the greatest part of the threads' time is work: work 60 %, ..." */
std::string shares_sentence(int cpus, const json& shares, bool simulated) {
  const std::string at = count_text(cpus, simulated);
  if (!shares.contains("work"))
    return fmt::format(
        "At {} waiting takes {} of the threads' time. Stalls for lines were not measured.", at,
        share_text(shares["waiting"]));
  const std::pair<const char*, const char*> names[] = {{"work", "work"},
                                                       {"waiting", "waiting for locks"},
                                                       {"stall", "stalls for cache lines"},
                                                       {"shootdown", "shootdowns"}};
  const auto* most = &names[0];
  std::vector<std::string> parts;
  for (const auto& name : names) {
    if (shares[name.first].get<double>() > shares[most->first].get<double>()) most = &name;
    parts.push_back(fmt::format("{} {}", name.second, share_text(shares[name.first])));
  }
  std::string text = fmt::format("At {} the greatest part of the threads' time is {}: {}", at,
                                 most->second, fmt::join(parts, ", "));
  if (shares.contains("line"))
    text += fmt::format("; of the lines {} stalls them most, {}",
                        shares["line"]["label"].get<std::string>(),
                        share_text(shares["line"]["share"]));
  return text + ".";
}

json shares_at(const std::string& where, const CasesByCpus& cases, bool simulated) {
  json points = json::array();
  for (const auto& [cpus, one] : cases) {
    json shares = time_of(*one);
    if (shares.is_null()) continue;
    shares["cpus"] = cpus;
    if (const std::string why = doubts_text(*one); !why.empty()) shares["doubtful"] = why;
    points.push_back(std::move(shares));
  }
  if (points.empty()) return nullptr;
  const json& last = points.back();
  return {{"where", where},
          {"simulated", simulated},
          {"sentence", shares_sentence(last["cpus"], last, simulated) + doubt_text(points)},
          {"points", points}};
}

json shares_of(const std::vector<json>& parts, const json& axes, const json& asked) {
  json answer = {{"what", asked.at("what")}, {"machines", json::array()}};
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (const auto& [machine, where] : places_of(parts, i))
      for (const auto& [setting, cases] :
           cases_by_settings(parts[i], asked.at("case"), machine, axes))
        if (json said = shares_at(where + setting, cases, parts[i]["mode"] == "sim");
            !said.is_null())
          answer["machines"].push_back(std::move(said));
  return answer;
}

}  // namespace

json answers_of(const std::vector<json>& parts, const json& asked) {
  json answers = {
      {"title", asked.at("title")}, {"source", asked.at("source")}, {"questions", json::array()}};
  const json axes = axes_of(parts);
  bool is_answered = false;
  for (const json& question : asked.at("questions")) {
    json& answer = answers["questions"].emplace_back();
    answer = {{"name", question.at("name")},
              {"question", question.at("question")},
              {"said", question.value("said", json::array())},
              {"open", question.value("open", json::array())},
              {"comparisons", json::array()},
              {"shares", json::array()}};
    for (const json& comparison : question.at("comparisons"))
      answer["comparisons"].push_back(comparison_of(parts, axes, comparison));
    for (const json& shares : question.value("shares", json::array()))
      answer["shares"].push_back(shares_of(parts, axes, shares));
    for (const char* key : {"comparisons", "shares"})
      for (const json& one : answer[key]) is_answered = is_answered || !one["machines"].empty();
  }
  return is_answered ? answers : json();
}

namespace {

/** What answers_of says about one file of results/questions/. */
json answers_of_file(const std::vector<json>& parts, const std::filesystem::path& path) {
  const std::string text = read_text(path.string(), a_file_of_questions);
  try {
    json answers = answers_of(parts, json::parse(text));
    if (!answers.is_null()) answers["name"] = path.stem().string();
    return answers;
  } catch (const std::exception& error) {
    throw std::invalid_argument(fmt::format("not a file of questions, {}: {}, expected {}",
                                            path.string(), error.what(), a_file_of_questions));
  }
}

void print_one(std::ostream& out, const std::string& what, const json& machines) {
  fmt::print(out, "   * {}\n", what);
  if (machines.empty()) fmt::print(out, "     no case in these results\n");
  for (const json& machine : machines)
    fmt::print(out, "     {}: {}\n", machine["where"].get<std::string>(),
               machine["sentence"].get<std::string>());
}

void print_answers(std::ostream& out, const json& answers) {
  fmt::print(out, "{}\n{}\n", answers["title"].get<std::string>(),
             answers["source"].get<std::string>());
  int i = 0;
  for (const json& question : answers["questions"]) {
    fmt::print(out, "\n{}. {}\n", ++i, question["question"].get<std::string>());
    for (const json& said : question["said"]) fmt::print(out, "   {}\n", said.get<std::string>());
    for (const json& comparison : question["comparisons"])
      print_one(
          out,
          fmt::format("{}: {} over {}, {}", comparison["what"].get<std::string>(),
                      comparison["other"].get<std::string>(), comparison["base"].get<std::string>(),
                      comparison["measure"].get<std::string>()),
          comparison["machines"]);
    for (const json& shares : question["shares"])
      print_one(out, shares["what"], shares["machines"]);
    for (const json& open : question["open"])
      fmt::print(out, "   open: {}\n", open.get<std::string>());
  }
}

}  // namespace

std::vector<json> all_answers(const std::vector<json>& parts) {
  std::set<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(data_file("questions")))
    if (file.path().extension() == ".json") paths.insert(file.path());
  std::vector<json> all;
  for (const auto& path : paths)
    if (json answers = answers_of_file(parts, path); !answers.is_null())
      all.push_back(std::move(answers));
  return all;
}

bool print_answers_of(const std::vector<std::string>& files, std::ostream& out) {
  std::vector<json> parts;
  for (const std::string& file : files) parts.push_back(load_results(file)["faultline"]);
  const std::vector<json> all = all_answers(parts);
  for (const json& answers : all) print_answers(out, answers);
  return !all.empty();
}

}  // namespace faultline
