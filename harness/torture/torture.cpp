#include "harness/torture/torture.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "harness/native/crash.hpp"
#include "harness/run/trial_process.hpp"
#include "harness/topology/pinned.hpp"
#include "harness/torture/crew.hpp"

namespace faultline::torture {
namespace {

using nlohmann::json;

constexpr double longest_round_s = 1;  // all threads rest after a round, for the victim's check

// By default four more threads than CPUs, so that threads are preempted while they hold locks.
u32 threads_for(const VictimEntry& entry, u32 asked) {
  const u32 usual = static_cast<u32>(allowed_cpus().size()) + 4;
  const u32 threads = std::min(asked != 0 ? asked : usual, native::max_threads - 1);
  return entry.max_threads == 0 ? threads : std::min(threads, entry.max_threads);
}

class Torture {
 public:
  Torture(const VictimEntry& entry, const Options& options)
      : options_(options),
        threads_(threads_for(entry, options.threads)),
        victim_(entry.make(entry, threads_)),
        crew_(*victim_, threads_, options.seed) {
    record_ = {{"name", entry.name}, {"threads", threads_}, {"failure", ""}};
  }

  json run() {
    catch_crashes();
    // Every other round sends no signals, since a signal would wake a sleeper that the lock has
    // forgotten.
    const double round_s = std::min(options_.duration_s / 2, longest_round_s);
    bool signals = false;
    for (double left = options_.duration_s; left > 0 && !failed(); left -= round_s) {
      if (!crew_.round(std::min(left, round_s), signals, options_.patience_s)) give_up();
      fail(victim_->verdict());
      signals = !signals;
    }
    if (crew_.tally().operations == 0) fail("no operation completed");
    return with_tally();
  }

 private:
  bool failed() const { return record_["failure"] != ""; }
  void fail(const std::string& why) {
    if (!failed()) record_["failure"] = why;
  }

  json with_tally() const {
    const CrewTally& tally = crew_.tally();
    json record = record_;
    record.update({{"operations", tally.operations},
                   {"signals", tally.signals},
                   {"migrations", tally.migrations},
                   {"threads_made", tally.threads_made}});
    return record;
  }

  // Writes the record and ends the process here, since threads that hang cannot be unwound.
  [[noreturn]] void give_up() {
    std::string why = crash();
    if (why.empty())
      why = fmt::format("{} of {} threads did not come back within {:g} s", crew_.out(), threads_,
                        options_.patience_s);
    const std::vector<std::string> waiting = native::waiting_threads();
    if (!waiting.empty()) why += ": " + fmt::format("{}", fmt::join(waiting, "; "));
    fail(why);
    std::cout << with_tally().dump() << std::endl;
    _exit(0);
  }

  const Options& options_;
  const u32 threads_;
  const std::unique_ptr<Victim> victim_;
  Crew crew_;
  json record_;
};

bool is_record(const json& record) {
  return record.is_object() && record.contains("failure") && record["failure"].is_string() &&
         record.contains("threads_made");
}

// Runs one name in a process of its own. Returns a record even if the process crashed or hung; null
// when a signal ended the run.
json run_process_of(const VictimEntry& entry, const Options& options,
                    const std::vector<std::string>& command, Interrupts& interrupts) {
  const double limit_s = 2 * options.duration_s + options.patience_s + options.set_up_s;
  const std::string input = json(Spec{entry.name, options}).dump();
  const ChildOutput child = run_process(command, {.input = &input, .limit_s = limit_s}, interrupts);
  if (child.interrupted) return nullptr;
  json record = json::parse(child.out, nullptr, false);
  if (!is_record(record)) record = {{"failure", reason_without_record(child, limit_s)}};
  // A sanitizer reports by the exit code, which comes after a record without failure.
  if (record["failure"] == "" && child.status != 0)
    record["failure"] = reason_without_record(child, limit_s);
  return record;
}

constexpr const char* row_form = "{:<28}{:>8}{:>13}{:>9}{:>11}{:>9}  {:<42}{}\n";

std::string row(const VictimEntry& entry, const json& record) {
  const auto number = [&](const char* key) {
    return record.contains(key) ? record[key].dump() : std::string("-");
  };
  return fmt::format(fmt::runtime(row_form), entry.name, number("threads"), number("operations"),
                     number("signals"), number("migrations"), number("threads_made"), entry.checks,
                     record["failure"] == "" ? "ok" : "FAILED");
}

}  // namespace

void to_json(json& out, const Spec& spec) {
  out = {{"name", spec.name},
         {"duration_s", spec.options.duration_s},
         {"threads", spec.options.threads},
         {"seed", spec.options.seed},
         {"patience_s", spec.options.patience_s}};
}

void from_json(const json& in, Spec& spec) {
  in.at("name").get_to(spec.name);
  in.at("duration_s").get_to(spec.options.duration_s);
  in.at("threads").get_to(spec.options.threads);
  in.at("seed").get_to(spec.options.seed);
  in.at("patience_s").get_to(spec.options.patience_s);
}

void torture_here(const VictimEntry& entry, const Options& options) {
  // This thread checks the lock while the crew rests, for which it must be registered.
  const NativeThread caretaker(0, 0, 0, options.seed);
  std::cout << Torture(entry, options).run().dump() << '\n';
}

void torture_by_spec(std::istream& in) {
  // This process must not outlive its parent.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const json told = json::parse(text, nullptr, false);
  const auto spec = told.is_object() ? told.get<Spec>() : Spec{};
  const VictimEntry* entry = find_victim(spec.name);
  if (entry == nullptr)
    throw std::invalid_argument("standard input: expected a spec that `faultline torture` writes");
  torture_here(*entry, spec.options);
}

int torture_all(const std::vector<std::string>& names, const Options& options,
                const std::vector<std::string>& command, std::ostream& table) {
  Interrupts interrupts;
  std::vector<std::string> failures;
  table << fmt::format(fmt::runtime(row_form), "name", "threads", "operations", "signals",
                       "migrations", "made", "checked", "verdict");
  for (const std::string& name : names) {
    const VictimEntry& entry = *find_victim(name);
    const json record = run_process_of(entry, options, command, interrupts);
    if (record.is_null()) break;
    table << row(entry, record) << std::flush;
    const std::string failure = record["failure"].get<std::string>();
    if (!failure.empty()) failures.push_back(fmt::format("{}: {}", name, failure));
  }
  for (const std::string& failure : failures) table << "failed: " << failure << '\n';
  if (interrupts.signal() != 0) return 128 + interrupts.signal();
  return failures.empty() ? 0 : 1;
}

}  // namespace faultline::torture
