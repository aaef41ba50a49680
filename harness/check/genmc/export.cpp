#include "harness/check/genmc/export.hpp"

#include <fmt/format.h>

#include <set>
#include <stdexcept>
#include <string_view>

#include "harness/check/common/sources.hpp"

namespace faultline::check {
namespace {

struct Exportable {
  std::string_view name;
  std::string_view type;  // over a platform P, in parentheses
  std::string_view folder;
};

constexpr Exportable exportable[] = {
#define FAULTLINE_MUTEX(name, type, ...) {#name, #type, "locks/mutex/"},
#include "locks/mutex/list.def"
#define FAULTLINE_SHARED(name, type, ...) {#name, #type, "locks/shared/"},
#include "locks/shared/list.def"
#define FAULTLINE_RANGE(name, type, ...) {#name, #type, "locks/range/"},
#include "locks/range/list.def"
};

// Writes a source and, before it, what it includes from the tree.
class Amalgam {
 public:
  void add(const std::string& file) {
    if (!added_.insert(file).second) return;
    std::string_view left = source_text(file);
    if (left.empty()) throw std::logic_error("no source " + file);
    std::string own = fmt::format("\n// {}\n", file);
    while (!left.empty()) {
      const std::string_view line = left.substr(0, left.find('\n'));
      left.remove_prefix(std::min(left.size(), line.size() + 1));
      constexpr std::string_view include = "#include \"";
      if (line.starts_with(include))
        add(std::string(line.substr(include.size(), line.rfind('"') - include.size())));
      else if (line != "#pragma once")
        own.append(line).append("\n");
    }
    text_ += own;
  }
  void append(std::string_view text) { text_ += text; }
  std::string text() && { return std::move(text_); }

 private:
  std::set<std::string> added_;
  std::string text_;
};

const Exportable& find(const std::string& name) {
  std::string known;
  for (const Exportable& one : exportable) {
    const std::string_view source = source_text(fmt::format("{}{}.hpp", one.folder, one.name));
    // The platform of an exported lock knows no end of a grace period.
    if (source.empty() || source.find("P::rcu::synchronize") != std::string_view::npos) continue;
    if (one.name == name) return one;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", one.name);
  }
  throw std::invalid_argument(
      fmt::format("check: --export-genmc '{}': expected one of {}", name, known));
}

// The type without its parentheses. Those of the rwsems have choices, which the export leaves at
// their defaults.
std::string type_of(const Exportable& one) {
  if (one.name == "rwsem") return "Rwsem<P>";
  if (one.name == "rwsem_2019") return "Rwsem2019<P>";
  return std::string(one.type.substr(1, one.type.size() - 2));
}

}  // namespace

std::string exported(const std::string& name) {
  const Exportable& one = find(name);
  Amalgam file;
  file.append(fmt::format(
      "// The lock `{0}` of faultline, written by `faultline check --export-genmc {0}`.\n"
      "// Number of threads: -DEXPORTED_THREADS=2, to 4. Acquisitions of each: "
      "-DEXPORTED_TURNS=1.\n"
      "//   genmc -- -std=c++20 FILE\n"
      "//   g++ -std=c++20 -g -fsanitize=thread -pthread FILE && ./a.out\n",
      name));
  file.add("harness/check/genmc/platform.hpp");
  file.add(fmt::format("{}{}.hpp", one.folder, one.name));
  file.append(
      fmt::format("\nnamespace faultline {{\nusing P = GenmcPlatform;\n"
                  "using ExportedLock = {};\n}}  // namespace faultline\n",
                  type_of(one)));
  file.add("harness/check/genmc/program.hpp");
  return std::move(file).text();
}

}  // namespace faultline::check
