// The arguments of `faultline check`, but for those of semantic mutants.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "harness/check/common/command_line.hpp"
#include "harness/check/common/pool.hpp"
#include "harness/check/genmc/export.hpp"
#include "locks/catalogue.hpp"

namespace faultline::check {
namespace {

// The names that the checker explores: of all, or of the variants of one lock or scheme.
std::string known_names(const char* of = nullptr) {
  std::string names;
  for (const Checked& checked : checked_list()) {
    const std::string_view name = checked.name;
    if (of == nullptr || name.substr(0, name.find(':')) == of) names += std::string(name) + ", ";
  }
  return of == nullptr ? names + "or busted" : names.substr(0, names.size() - 2);
}

// Why the checker does not explore a lock, a scheme or a container that the catalogue has.
std::string reason_against(const Chosen& chosen) {
  const Entry& entry = chosen.entry();
  if (entry.family == vmas_family)
    return "exists, and is checked within the schemes that use it, such as mmap_sem";
  const bool is_checked_by_default = find_checked(entry.name) != nullptr;
  if (is_checked_by_default && !chosen.is_native_only())
    return fmt::format("exists, and is checked only with other options; expected one of {}",
                       known_names(entry.name));
  const char* why = entry.kernel              ? "it is the kernel's own code"
                    : chosen.is_native_only() ? "its source belongs to a library"
                                              : "it takes no lock";
  return fmt::format("exists, and is checked by `faultline torture {}` alone: {}", chosen.text(),
                     why);
}

const Checked* checked_named(const std::string& name) {
  if (const Checked* checked = find_checked(name)) return checked;
  const Entry* entry =
      find_entry(lock_families | vmas_family | scheme_family, name.substr(0, name.find(':')));
  if (entry == nullptr) {
    if (const std::string why = left_out(name); !why.empty())
      throw std::invalid_argument(fmt::format("check: {}: {}", name, why));
    throw std::invalid_argument(
        fmt::format("check: no lock or scheme '{}': expected one of {}", name, known_names()));
  }
  // It throws where a key or a value does not exist. Its text leaves defaults out.
  const Chosen chosen = choose(entry->family, name);
  if (const Checked* checked = find_checked(chosen.text())) return checked;
  throw std::invalid_argument(fmt::format("check: {}: {}", name, reason_against(chosen)));
}

// Each name once, in the order in which they are given first.
std::vector<const Checked*> chosen(const std::vector<std::string>& names) {
  std::vector<const Checked*> found;
  if (names.empty())
    for (const Checked& checked : checked_list()) found.push_back(&checked);
  for (const std::string& name : names)
    if (const Checked* one = checked_named(name);
        std::find(found.begin(), found.end(), one) == found.end())
      found.push_back(one);
  return found;
}

}  // namespace

int check_command(int argc, char** argv) {
  CLI::App app("explores what threads can do with a lock, and says what was explored",
               "faultline check");
  std::vector<std::string> names;
  bool weakened = false, broken = false, mutants = false;
  CheckOptions options;
  app.add_option(
      "NAME", names,
      "locks and schemes, as `faultline list` names them, osq_queue, vma_refcount, "
      "vma_naive_refcount, vma_rwsem, vma_sleeping_lock, or busted; all but busted if not given");
  app.add_flag("--weakened", weakened,
               "weaken every memory order and drop every wake-up in turn: each must be noticed");
  app.add_option(
      "--at", options.at,
      "with --weakened: only sites whose text begins with this: \"locks/mutex/mcs.hpp\"");
  app.add_flag(
      "--broken", broken,
      "check locks that are broken by hand, of the kind of each NAME: each must be caught");
  app.add_flag("--mutants", mutants)->group("");  // the former name of both
  app.add_flag("--deep", options.deep,
               "search for an hour, or for --duration; beside --weakened or --broken: run up to "
               "5000000 executions of each program");
  std::string duration;
  app.add_option("--duration", duration,
                 "with --deep: how long the run takes, such as 30m or 8h; each program gets an "
                 "equal share of what the earlier ones left, and explores at least what it does "
                 "without --deep");
  std::string to_export;
  app.add_option("--export-genmc", to_export,
                 "write this lock and a program for GenMC to standard output, as one C++ file");
  add_search_options(app, options);
  app.footer(
      "`faultline check --mutants --semantic` tries faults that are put into locks/; see its "
      "--help");
  if (const auto code = parse(app, argc, argv)) return *code;
  if (!to_export.empty()) {
    if (argc != 3 && !(argc == 2 && std::string_view(argv[1]).starts_with("--export-genmc=")))
      throw std::invalid_argument("check: --export-genmc: expected nothing but one name beside it");
    fmt::print("{}", exported(to_export));
    return 0;
  }
  options.chosen = chosen(names);
  if (mutants)
    throw std::invalid_argument(
        "check: --mutants: expected --weakened, --broken or both in its place, or --semantic "
        "beside it");
  if (!options.at.empty() && !weakened)
    throw std::invalid_argument("check: --at: expected --weakened beside it");
  if (!duration.empty() && (!options.deep || weakened || broken))
    throw std::invalid_argument(
        "check: --duration: expected --deep beside it, and neither --weakened nor --broken");
  if (!duration.empty()) options.seconds = parse_seconds("--duration", duration);
  if (!weakened && !broken) return check_locks(options);
  const int unnoticed = weakened ? check_weakened(options) : 0;
  const int uncaught = broken && !is_stopped() ? check_broken(options) : 0;
  return std::max(unnoticed, uncaught);
}

}  // namespace faultline::check
