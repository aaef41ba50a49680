#include "harness/check/semantic/check_semantic.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "harness/check/common/hunt.hpp"
#include "harness/check/common/pool.hpp"
#include "harness/check/semantic/mutant.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

constexpr u64 most_for_reach = 50;  // executions of a program
constexpr u64 at_first = 20;        // executions of a program before any lock gets more
// Executions of a program, unless the command line says how many. A program of a scheme has about
// ten times as many steps as one of a lock.
constexpr u64 most_for_locks = 2'000;
constexpr u64 most_for_schemes = 150;
constexpr int most_seconds = 60;             // of CPU time, for a program's executions
constexpr rlim_t most_memory = 16ULL << 30;  // bytes of addresses

// A mutant may loop for ever outside the executions, which count their steps: where the answers of
// one thread are computed, for example. The signal then ends the child.
void restart_watchdog() {
  const itimerval limit{{0, 0}, {most_seconds, 0}};
  setitimer(ITIMER_PROF, &limit, nullptr);
}

// For a child.
void limit_child() {
  const rlimit memory{most_memory, most_memory};
  setrlimit(RLIMIT_AS, &memory);
  restart_watchdog();
}

std::string text_of(const Mutant& mutant) {
  return fmt::format("{}:{}", mutant.file, mutant.name);
}

// Answers {"reaches": the numbers of the mutants that lie on the paths of `checked`}, or
// {"fails": what} where an execution fails although no mutant is active.
json reached_by(const Checked& checked, const CheckOptions& options) {
  for (const Stage& stage : hunt_stages(checked, false, options.seed))
    for (const Program& program : stage.programs) {
      SearchLimits limits = stage.limits;
      limits.executions = std::min(limits.executions, most_for_reach);
      const Outcome outcome = explore(checked, program, stage.options, limits);
      if (outcome.failure)
        return {{"fails", fmt::format("{} in {}: {}\n{}", outcome.failure->what, stage.what,
                                      to_string(program), outcome.failure->story)}};
    }
  json numbers = json::array();
  for (unsigned number = 1; number <= mutants().size(); ++number)
    if (reached_mutants[number]) numbers.push_back(number);
  return {{"reaches", numbers}};
}

// For each mutant's number, the locks that reach it.
std::map<unsigned, std::vector<const Checked*>> find_reach(const CheckOptions& options) {
  const std::vector<Checked>& locks = checked_list();
  std::vector<std::function<std::string()>> jobs;
  for (const Checked& checked : locks)
    jobs.push_back([&] { return reached_by(checked, options).dump(); });
  std::vector<json> found(jobs.size());
  const int stopped_by =
      run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
        if (!answer.text)
          throw std::runtime_error(fmt::format("check: {}: {} while its mutants were collected",
                                               locks[job].name, answer.reason));
        const json result = json::parse(*answer.text);
        if (result.contains("fails"))
          throw std::runtime_error(fmt::format("check: {} fails without a mutant: {}",
                                               locks[job].name,
                                               result["fails"].get<std::string>()));
        found[job] = result["reaches"];
      });
  end_by(stopped_by);
  std::map<unsigned, std::vector<const Checked*>> reach;
  for (usize i = 0; i < locks.size(); ++i)
    for (const json& number : found[i]) reach[number.get<unsigned>()].push_back(&locks[i]);
  return reach;
}

// Whether the file belongs to schemes alone, or is used by each scheme in another way.
bool is_of_schemes(std::string_view file) {
  return file.starts_with("locks/address_space/") || file.starts_with("locks/vmas/") ||
         file.starts_with("locks/schemes/") || file == "locks/rbtree.hpp" ||
         file == "locks/types.hpp";
}

// The locks on which a mutant is tried, of those that reach it: a lock's mutants on locks where
// some reach it, else on schemes; and on variants such as "rwsem:osq=off" only where nothing else
// reaches it.
std::vector<const Checked*> locks_for(const Mutant& mutant, std::vector<const Checked*> reaching) {
  const auto keep = [&](auto is_kept) {
    if (std::any_of(reaching.begin(), reaching.end(), is_kept))
      std::erase_if(reaching, [&](const Checked* checked) { return !is_kept(checked); });
  };
  if (!is_of_schemes(mutant.file))
    keep([](const Checked* checked) { return checked->family != Family::space; });
  keep([](const Checked* checked) { return !checked->is_ablation(); });
  return reaching;
}

struct Trial {
  unsigned number;
  const Mutant& mutant;
  std::vector<const Checked*> locks;
};

// Searches one lock after the other until one fails, with at most `most` executions of a program.
// Adds the executions to `executions`.
json hunt_once(const Trial& trial, CheckOptions options, u64 most, u64& executions) {
  options.most_executions = most;
  for (const Checked* lock : trial.locks) {
    restart_watchdog();
    json found = hunt(*lock, nullptr, options, restart_watchdog);
    executions += found["executions"].get<u64>();
    if (!found.contains("caught")) continue;
    found["executions"] = executions;
    found["program"] = fmt::format("{}: {}", lock->name, found["program"].get<std::string>());
    return found;
  }
  return {{"executions", executions}};
}

// In a child. Most mutants fail soon in some program, so each program is tried a little first.
json hunt(const Trial& trial, const CheckOptions& options) {
  limit_child();
  active_mutant = trial.number;
  u64 most = options.most_executions;
  if (most == CheckOptions().most_executions)
    most = is_of_schemes(trial.mutant.file) ? most_for_schemes : most_for_locks;
  u64 executions = 0;
  json found = hunt_once(trial, options, std::min(at_first, most), executions);
  return found.contains("caught") ? found : hunt_once(trial, options, most, executions);
}

struct Tally {
  usize caught = 0, equivalent = 0, survivors = 0;
  usize all() const { return caught + equivalent + survivors; }
};

// Answers whether the outcome is as it should be.
bool note(const Trial& trial, const Verdict& verdict, Tally& tally) {
  const bool is_equivalent = !trial.mutant.equivalent.empty();
  const char* result = "SURVIVES";
  if (verdict.caught)
    result = is_equivalent ? "CAUGHT, though called equivalent" : "caught";
  else if (is_equivalent)
    result = "equivalent";
  ++(verdict.caught ? tally.caught : is_equivalent ? tally.equivalent : tally.survivors);
  fmt::print("  {:<10} {}  {}\n", result, text_of(trial.mutant), verdict.text);
  if (is_equivalent)
    fmt::print("             {}\n", trial.mutant.equivalent);
  else if (!verdict.caught)
    fmt::print("             {}\n", trial.mutant.breaks);
  std::fflush(stdout);
  return verdict.caught != is_equivalent;
}

bool is_in_part(unsigned number, const CheckOptions& options) {
  return (number - 1) % options.parts == options.part - 1;
}

std::vector<Trial> trials_of(const CheckOptions& options) {
  std::vector<Trial> trials;
  bool any = false;
  for (unsigned number = 1; number <= mutants().size(); ++number) {
    const Mutant& mutant = mutants()[number - 1];
    if (!text_of(mutant).starts_with(options.at)) continue;
    any = true;
    if (is_in_part(number, options)) trials.push_back({number, mutant, {}});
  }
  if (!any)
    throw std::invalid_argument(
        fmt::format("--at '{}': no mutant stands there, expected the beginning of a mutant's text, "
                    "for example {}",
                    options.at, text_of(mutants().front())));
  if (trials.empty())
    throw std::invalid_argument(fmt::format(
        "--part {}/{}: no mutant is in it, expected fewer parts", options.part, options.parts));
  auto reach = find_reach(options);
  for (Trial& trial : trials) trial.locks = locks_for(trial.mutant, reach[trial.number]);
  return trials;
}

void print_table(const std::map<std::string_view, Tally>& files) {
  Tally sum;
  fmt::print("{:<40} {:>7} {:>7} {:>11} {:>9}\n", "file", "mutants", "caught", "equivalent",
             "survive");
  const auto print_row = [](std::string_view name, const Tally& tally) {
    fmt::print("{:<40} {:>7} {:>7} {:>11} {:>9}\n", name, tally.all(), tally.caught,
               tally.equivalent, tally.survivors);
  };
  for (const auto& [file, tally] : files) {
    print_row(file, tally);
    sum.caught += tally.caught;
    sum.equivalent += tally.equivalent;
    sum.survivors += tally.survivors;
  }
  print_row("all", sum);
}

}  // namespace

int check_semantic(const CheckOptions& options) {
  if (mutants().size() >= most_mutants)
    throw std::logic_error("there are more mutants than most_mutants");
  const std::vector<Trial> trials = trials_of(options);
  std::vector<std::function<std::string()>> jobs;
  for (const Trial& trial : trials)
    jobs.push_back([&trial, &options] { return hunt(trial, options).dump(); });
  std::map<std::string_view, Tally> files;
  bool as_expected = true;
  usize left = trials.size();
  const int stopped_by =
      run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
        const Trial& trial = trials[job];
        --left;
        Verdict verdict = verdict_of(answer);
        if (trial.locks.empty()) verdict.text = "no program reaches it";
        as_expected &= note(trial, verdict, files[trial.mutant.file]);
      });
  print_table(files);
  fmt::print("{}", untried(left, trials.size()));
  std::fflush(stdout);
  end_by(stopped_by);
  return as_expected ? 0 : 1;
}

}  // namespace faultline::check
