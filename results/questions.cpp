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

  /** The values of a case's repetitions; one value where it is over all of them; none if the case
   * does not have them. */
  std::vector<double> values(const json& one) const {
    if (what == What::throughput) {
      if (!one.contains("throughput")) return {};
      return one["throughput"]["repetitions"].get<std::vector<double>>();
    }
    if (what == What::latency) {
      const json found =
          one.value(json::json_pointer("/kinds") / kind / "latency_ns" / percentile, json());
      return found.is_number() ? std::vector{found.get<double>()} : std::vector<double>{};
    }
    std::vector<double> rates;
    for (const json& trial : one["trials"]) {
      if (trial.value("latency", false) || trial.value("status", "") != "ok") continue;
      const json rate = trial.value(json::json_pointer("/kinds") / kind / "rate", json());
      if (rate.is_number()) rates.push_back(rate.get<double>());
    }
    return rates;
  }

  /** "runs X times as fast as", "has X times the p99 of unmap of" */
  std::string compared(const std::string& ratio) const {
    if (what == What::throughput) return fmt::format("runs {} times as fast as", ratio);
    return fmt::format("has {} times the {} of", ratio, text);
  }
};

/** One side of a comparison: the case of each number of CPUs. */
using CasesByCpus = std::map<int, const json*>;

CasesByCpus cases_by_cpus(const json& part, const json& wanted, const json& machine) {
  CasesByCpus side;
  for (const json& one : part["cases"])
    if (one.value("machine", json()) == machine && stands_for(one, wanted))
      side[one["threads"].get<int>()] = &one;
  return side;
}

std::string verdict_of(const json& ratio) {
  if (!ratio.contains("low")) return "no interval";
  if (ratio["low"].get<double>() > 1) return "higher";
  return ratio["high"].get<double>() < 1 ? "lower" : "not decided";
}

json points_of(const CasesByCpus& base, const CasesByCpus& other, const Measure& measure,
               bool simulated) {
  json points = json::array();
  for (const auto& [cpus, one] : base) {
    const auto found = other.find(cpus);
    if (found == other.end()) continue;
    std::vector<double> before = measure.values(*one);
    std::vector<double> after = measure.values(*found->second);
    if (simulated) before = main_mode(before), after = main_mode(after);
    const bool positive = std::all_of(before.begin(), before.end(), [](double x) { return x > 0; });
    if (before.empty() || after.empty() || !positive) continue;
    const json ratio = ratio_estimate(before, after);
    json point = {{"cpus", cpus},
                  {"base", estimate(before)},
                  {"other", estimate(after)},
                  {"ratio", ratio},
                  {"verdict", verdict_of(ratio)}};
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

std::string cpus_text(int cpus) {
  return fmt::format("{} CPU{}", cpus, cpus == 1 ? "" : "s");
}

/** What the point at the most CPUs says. */
std::string headline(const json& point, const std::string& base, const std::string& other,
                     const Measure& measure) {
  const std::string at = cpus_text(point["cpus"]);
  const std::string ratio = ratio_text(point["ratio"]);
  if (point["verdict"] == "not decided")
    return fmt::format(
        "At {} it is not decided which of {} and {} has the higher {}: the ratio is {}.", at, other,
        base, measure.text, ratio);
  std::string text = fmt::format("At {} {} {} {}", at, other, measure.compared(ratio), base);
  if (point["verdict"] == "no interval") text += ", a number without an interval";
  return text + ".";
}

/** Of the points with one verdict: "higher at 1 and 4 (by most at 4: 1.5)", "not decided at 2",
 * "without an interval 0.9 at 1, 1.1 at 2". */
std::string told(const std::string& verdict, const std::vector<const json*>& points) {
  std::vector<std::string> ratios;
  std::vector<int> counts;
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
  return fmt::format("{} at {} (by most at {}: {})", verdict, listed(counts),
                     most["cpus"].get<int>(), number(most["ratio"]["median"]));
}

/** What the points at fewer CPUs say, by their verdicts. */
std::string rest_text(const json& points) {
  std::vector<std::string> parts;
  for (const char* verdict : {"higher", "lower", "not decided", "no interval"}) {
    std::vector<const json*> of_it;
    for (std::size_t i = 0; i + 1 < points.size(); ++i)
      if (points[i]["verdict"] == verdict) of_it.push_back(&points[i]);
    if (!of_it.empty()) parts.push_back(told(verdict, of_it));
  }
  return parts.empty() ? "" : fmt::format(" At fewer: {}.", fmt::join(parts, "; "));
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

std::vector<std::pair<json, std::string>> machines_of(const json& part) {
  if (part["mode"] != "sim")
    return {{json(), fmt::format("{}, native", part["machine"]["cpu_model"].get<std::string>())}};
  std::vector<std::pair<json, std::string>> machines;
  for (const json& model : part["machine"]["models"]) {
    const std::string name = model["name"];
    machines.emplace_back(name, name + ", simulated");
  }
  return machines;
}

json comparison_of(const std::vector<json>& parts, const json& asked) {
  const Measure measure = Measure::parse(asked.value("measure", "throughput"));
  json base = asked.value("case", json::object());
  json other = base;
  base.update(asked.at("base"));
  other.update(asked.at("other"));
  const std::string base_name = name_of(base, other);
  const std::string other_name = name_of(other, base);
  if (base_name.empty() || other_name.empty())
    throw std::invalid_argument(fmt::format("comparison {}: base and other are one case",
                                            asked.at("what").get<std::string>()));
  json answer = {{"what", asked.at("what")},
                 {"base", base_name},
                 {"other", other_name},
                 {"measure", measure.text},
                 {"machines", json::array()}};
  for (const json& part : parts) {
    const bool simulated = part["mode"] == "sim";
    for (const auto& [machine, where] : machines_of(part)) {
      const json points = points_of(cases_by_cpus(part, base, machine),
                                    cases_by_cpus(part, other, machine), measure, simulated);
      if (points.empty()) continue;
      const std::string sentence = headline(points.back(), base_name, other_name, measure) +
                                   rest_text(points) + doubt_text(points);
      answer["machines"].push_back(
          {{"where", where}, {"simulated", simulated}, {"sentence", sentence}, {"points", points}});
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

/** "At 64 CPUs waiting takes most of the time, 80 %; 10 % are work ..." */
std::string shares_sentence(int cpus, const json& shares) {
  if (!shares.contains("work"))
    return fmt::format(
        "At {} waiting takes {} of the threads' time. Stalls for lines were not "
        "measured.",
        cpus_text(cpus), share_text(shares["waiting"]));
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
  std::string text = fmt::format("At {} most of the CPUs' time is {}: {}", cpus_text(cpus),
                                 most->second, fmt::join(parts, ", "));
  if (shares.contains("line"))
    text += fmt::format("; of the lines {} stalls them most, {}",
                        shares["line"]["label"].get<std::string>(),
                        share_text(shares["line"]["share"]));
  return text + ".";
}

json shares_of(const std::vector<json>& parts, const json& asked) {
  json answer = {{"what", asked.at("what")}, {"machines", json::array()}};
  for (const json& part : parts)
    for (const auto& [machine, where] : machines_of(part)) {
      json points = json::array();
      for (const auto& [cpus, one] : cases_by_cpus(part, asked.at("case"), machine)) {
        json shares = time_of(*one);
        if (shares.is_null()) continue;
        shares["cpus"] = cpus;
        if (const std::string why = doubts_text(*one); !why.empty()) shares["doubtful"] = why;
        points.push_back(std::move(shares));
      }
      if (points.empty()) continue;
      const json& last = points.back();
      answer["machines"].push_back(
          {{"where", where},
           {"simulated", part["mode"] == "sim"},
           {"sentence", shares_sentence(last["cpus"], last) + doubt_text(points)},
           {"points", points}});
    }
  return answer;
}

}  // namespace

json answers_of(const std::vector<json>& parts, const json& asked) {
  json answers = {
      {"title", asked.at("title")}, {"source", asked.at("source")}, {"questions", json::array()}};
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
      answer["comparisons"].push_back(comparison_of(parts, comparison));
    for (const json& shares : question.value("shares", json::array()))
      answer["shares"].push_back(shares_of(parts, shares));
    for (const char* key : {"comparisons", "shares"})
      for (const json& one : answer[key]) is_answered = is_answered || !one["machines"].empty();
  }
  return is_answered ? answers : json();
}

namespace {

/** The files of results/questions/. */
std::vector<json> asked_questions() {
  std::set<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(data_file("questions")))
    if (file.path().extension() == ".json") paths.insert(file.path());
  std::vector<json> files;
  for (const auto& path : paths) {
    const std::string text = read_text(path.string(), a_file_of_questions);
    try {
      files.push_back(json::parse(text));
    } catch (const json::exception& error) {
      throw std::invalid_argument(fmt::format("not a file of questions, {}: {}, expected {}",
                                              path.string(), error.what(), a_file_of_questions));
    }
  }
  return files;
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
      print_one(out,
                fmt::format("{}: {} over {}", comparison["what"].get<std::string>(),
                            comparison["other"].get<std::string>(),
                            comparison["base"].get<std::string>()),
                comparison["machines"]);
    for (const json& shares : question["shares"])
      print_one(out, shares["what"], shares["machines"]);
    for (const json& open : question["open"])
      fmt::print(out, "   open: {}\n", open.get<std::string>());
  }
}

}  // namespace

std::vector<json> all_answers(const std::vector<json>& parts) {
  std::vector<json> all;
  for (const json& asked : asked_questions())
    if (json answers = answers_of(parts, asked); !answers.is_null())
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
