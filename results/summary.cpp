#include "results/summary.hpp"

#include <fmt/core.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "results/case_axes.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr std::size_t columns_a_block = 4;
constexpr int cell_width = 26;
// In 2^(1-n) of all cases all n repetitions fall on one side of the true median. From n = 6 on that
// is below 5 %.
constexpr std::size_t bounding_repetitions = 6;

/** The cases of one workload, placement and setting, which may be compared with one another. */
struct Panel {
  std::set<std::int64_t> threads;
  std::vector<std::string> rows;  // in order of appearance
  std::map<std::pair<std::string, std::int64_t>, const json*> cells;
};

/** Whether a case is ranked. The running kernel does more than our schemes, and private address
 * spaces share nothing. */
bool ranked(const json& one) {
  return !one.value("private", false) && !one.value("kernel", false);
}

std::string row_name(const json& one) {
  return one["scheme"].get<std::string>() + (one.value("private", false) ? ", private" : "");
}

std::string panel_name(const json& one, const json& axes) {
  std::string name =
      one["workload"].get<std::string>() + ", " + one["placement"].get<std::string>();
  if (one.contains("machine")) name += ", simulated on " + one["machine"].get<std::string>();
  for (const json& axis : axes) {
    const auto key = axis["key"].get<std::string>();
    if (axis["picture"] == "line" || one.value(key, axis["default"]) == axis["default"]) continue;
    name += ", " + setting_label(one, axis);
  }
  return name;
}

std::map<std::string, Panel> panels_of(const json& part) {
  const json axes = axes_of({part});
  std::map<std::string, Panel> panels;
  for (const json& one : part["cases"]) {
    Panel& panel = panels[panel_name(one, axes)];
    const std::string row = row_name(one);
    const std::int64_t threads = one["threads"].get<std::int64_t>();
    panel.threads.insert(threads);
    if (std::find(panel.rows.begin(), panel.rows.end(), row) == panel.rows.end())
      panel.rows.push_back(row);
    panel.cells[{row, threads}] = &one;
  }
  return panels;
}

double best_of(const Panel& panel, std::int64_t threads) {
  double best = 0;
  for (const auto& [place, one] : panel.cells) {
    if (place.second != threads || !ranked(*one) || !one->contains("throughput")) continue;
    best = std::max(best, (*one)["throughput"]["median"].get<double>());
  }
  return best;
}

/** Half the interval, as a share of the median. */
std::string spread_of(const json& rate) {
  if (!rate.contains("low")) return "   once";
  const double median = rate["median"].get<double>();
  const double half = (rate["high"].get<double>() - rate["low"].get<double>()) / 2;
  return fmt::format("\u00b1{:>6}",
                     median > 0 ? fmt::format("{:4.1f} %", half / median * 100) : "-");
}

/** "4 x 790 k, 2 x 1.29 M": how many seeds have which median. */
std::string modes_text(const json& modes) {
  std::string text;
  for (const json& mode : modes)
    text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", mode["repetitions"].dump(),
                        human_rate(mode["median"].get<double>()));
  return text;
}

std::string cell(const json* one, double best) {
  if (one == nullptr) return "";
  if (!one->contains("throughput")) return "not measured";
  const json& rate = (*one)["throughput"];
  const char* mark = one->contains("doubtful") ? " ?" : "";
  if (rate.contains("modes")) return modes_text(rate["modes"]) + mark;
  const double median = rate["median"].get<double>();
  const std::string relative =
      ranked(*one) && best > 0 ? fmt::format("{:5.2f}", median / best) : "    -";
  return fmt::format("{:>7} {} {}{}", human_rate(median), spread_of(rate), relative, mark);
}

/** Pads by characters on the screen, since the plus-minus sign is two bytes. */
std::string padded(const std::string& text) {
  const auto continuation = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  const std::ptrdiff_t wide = static_cast<std::ptrdiff_t>(text.size()) -
                              std::count_if(text.begin(), text.end(), continuation);
  return std::string(static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, cell_width - wide)),
                     ' ') +
         text;
}

void print_block(std::ostream& out, const Panel& panel, const std::vector<std::int64_t>& threads) {
  std::size_t width = 6;
  for (const std::string& row : panel.rows) width = std::max(width, row.size());
  fmt::print(out, "  {:<{}}", "scheme", width);
  for (std::int64_t count : threads) {
    fmt::print(out, "{}", padded(fmt::format("{} thread{}", count, count == 1 ? "" : "s")));
  }
  fmt::print(out, "\n");
  for (const std::string& row : panel.rows) {
    std::string line;
    bool measured = false;
    for (std::int64_t count : threads) {
      const auto found = panel.cells.find({row, count});
      measured |= found != panel.cells.end();
      line +=
          padded(cell(found == panel.cells.end() ? nullptr : found->second, best_of(panel, count)));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (measured) fmt::print(out, "  {:<{}}{}\n", row, width, line);
  }
}

void print_panel(std::ostream& out, const std::string& name, const Panel& panel) {
  fmt::print(out, "\n{}\n", name);
  const std::vector<std::int64_t> threads(panel.threads.begin(), panel.threads.end());
  for (std::size_t from = 0; from < threads.size(); from += columns_a_block) {
    const std::size_t to = std::min(from + columns_a_block, threads.size());
    print_block(out, panel,
                {threads.begin() + static_cast<std::ptrdiff_t>(from),
                 threads.begin() + static_cast<std::ptrdiff_t>(to)});
  }
}

/** The fewest repetitions of the cases that were measured. */
std::size_t fewest_repetitions(const json& cases) {
  std::size_t fewest = bounding_repetitions;
  for (const json& one : cases)
    if (one.contains("throughput"))
      fewest = std::min(fewest, one["throughput"]["repetitions"].size());
  return fewest;
}

std::string without_digits(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isdigit(c) != 0; });
  return text;
}

/** Texts of one kind, which differ only in their numbers, and the case of the first. */
struct TextKind {
  std::size_t count = 0;
  bool alike = true;
  std::string first;
  std::string where;
};

void add_text(std::map<std::string, TextKind>& kinds, const std::string& kind,
              const std::string& text, const std::string& where) {
  TextKind& one = kinds[kind];
  if (one.count++ == 0) one = {1, true, text, where};
  one.alike &= text == one.first;
}

/** "discarded: 3 trials: for example, steal 7 %". */
void print_kinds(std::ostream& out, const std::map<std::string, TextKind>& kinds, const char* what,
                 const char* unit) {
  for (const auto& [kind, one] : kinds)
    fmt::print(out, "{}: {} {}{}{}: {}{}\n", what, one.count, unit, one.count == 1 ? "" : "s",
               one.where.empty() ? "" : ", such as " + one.where, one.alike ? "" : "for example, ",
               one.first);
}

/** Prints how many trials were discarded and how many cases have a note, with one example each. */
void print_by_kind(std::ostream& out, const json& part) {
  std::map<std::string, TextKind> notes;
  for (const json& one : part["cases"])
    for (const json& note : one.value("notes", json::array())) {
      const auto text = note.get<std::string>();
      add_text(notes, without_digits(text), text, one["name"].get<std::string>());
    }
  print_kinds(out, notes, "note", "case");
  std::map<std::string, TextKind> discarded;
  for (const json& one : part["discarded"]) {
    const auto text = one["reason"].get<std::string>();
    add_text(discarded, without_digits(text), text, "");
  }
  print_kinds(out, discarded, "discarded", "trial");
}

/** Prints how many cases are doubtful, and for each kind of doubt how many and one example. */
void print_doubts(std::ostream& out, const json& cases) {
  std::size_t doubtful = 0;
  std::map<std::string, TextKind> kinds;
  for (const json& one : cases) {
    const json doubts = one.value("doubtful", json::array());
    doubtful += doubts.empty() ? 0 : 1;
    for (const json& doubt : doubts)
      add_text(kinds, doubt["kind"].get<std::string>(), doubt["why"].get<std::string>(),
               one["name"].get<std::string>());
  }
  if (doubtful == 0) return;
  fmt::print(out, "{} of {} cases are doubtful, which a ? marks\n", doubtful, cases.size());
  print_kinds(out, kinds, "doubtful", "case");
}

/** Prints what was left out, by reason: all entries if they are few, else the first and the number
 * of the rest. */
void print_left_out(std::ostream& out, const json& left_out) {
  constexpr std::size_t few = 8, shown = 4;
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const json& one : left_out)
    by_reason[one["why"].get<std::string>()].push_back(one["what"].get<std::string>());
  for (const auto& [why, entries] : by_reason) {
    const std::size_t printed = entries.size() <= few ? entries.size() : shown;
    for (std::size_t i = 0; i < printed; ++i)
      fmt::print(out, "left out: {}: {}\n", entries[i], why);
    if (printed < entries.size())
      fmt::print(out, "left out: {} more, which the file's left_out names: {}\n",
                 entries.size() - printed, why);
  }
}

void print_unfinished(std::ostream& out, const json& part) {
  for (const json& one : part["failures"]) {
    fmt::print(out, "failed: {} repetition {}: {}\n", one["case"].get<std::string>(),
               one["repetition"].dump(), one["reason"].get<std::string>());
    for (const char* key : {"holding", "waiting"}) {
      if (!one.contains("stall") || !one["stall"].contains(key)) continue;
      for (const json& line : one["stall"][key]) {
        fmt::print(out, "  {}: {}\n", key,
                   line.is_string() ? line.get<std::string>() : line.dump());
      }
    }
  }
  print_doubts(out, part["cases"]);
  print_by_kind(out, part);
  print_left_out(out, part["left_out"]);
  const json& counters = part["counters"];
  if (part["mode"] != "sim" && counters.contains("available") && counters["available"] == false) {
    fmt::print(out, "no hardware counters: {}\n", counters.value("reason", "no reason given"));
  }
}

}  // namespace

std::string human_rate(double per_second) {
  const char* prefixes[] = {"", " k", " M", " G", " T"};
  std::size_t step = 0;
  while (step < 4 && per_second >= 999.5) {
    per_second /= 1000;
    ++step;
  }
  const int digits = per_second >= 99.95 ? 0 : per_second >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", per_second, digits, prefixes[step]);
}

std::string provenance(const json& part) {
  const std::string build = part["build"]["commit"].get<std::string>();
  const json& machine = part["machine"];
  if (part["mode"] != "sim")
    return fmt::format("{}, {}, {}, {}, build {}", part["mode"].get<std::string>(),
                       machine["host"].get<std::string>(), machine["cpu_model"].get<std::string>(),
                       part["date"].get<std::string>(), build);
  std::string names;
  for (const json& model : machine["models"])
    names += (names.empty() ? "" : ", ") + model["name"].get<std::string>();
  const json& seeds = part["seeds"];
  const std::string range =
      seeds.size() == 1 ? fmt::format("seed {}", seeds.front().dump())
                        : fmt::format("seeds {}-{}", seeds.front().dump(), seeds.back().dump());
  return fmt::format("simulated on {}, {}, build {}", names, range, build);
}

void print_summary(std::ostream& out, const json& results) {
  const json& part = results.at("faultline");
  fmt::print(out, "{}\n", provenance(part));
  fmt::print(out, "operations per second: median, half its 95 % interval, share of the best\n");
  if (const std::size_t fewest = fewest_repetitions(part["cases"]); fewest < bounding_repetitions)
    fmt::print(out,
               "with fewer than {} repetitions (here {}) no interval holds a median with 95 % "
               "confidence: it is half the range seen\n",
               bounding_repetitions, fewest);
  for (const auto& [name, panel] : panels_of(part)) print_panel(out, name, panel);
  fmt::print(out, "\n");
  print_unfinished(out, part);
}

}  // namespace faultline
