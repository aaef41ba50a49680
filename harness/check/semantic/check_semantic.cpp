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
#include "harness/check/semantic/unit_tests.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;
using semantic::Mutant;
using semantic::mutants;

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
  rlimit memory;
  getrlimit(RLIMIT_AS, &memory);
  memory.rlim_cur = std::min(memory.rlim_max, most_memory);
  setrlimit(RLIMIT_AS, &memory);
  restart_watchdog();
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
    if (semantic::reached_mutants[number]) numbers.push_back(number);
  return {{"reaches", numbers}};
}

// Whether the file belongs to schemes alone, or is used by each scheme in another way.
bool is_of_schemes(std::string_view file) {
  return file.starts_with("locks/address_space/") || file.starts_with("locks/vmas/") ||
         file.starts_with("locks/schemes/") || file == "locks/rbtree.hpp" ||
         file == "locks/types.hpp";
}

using Locks = std::vector<const Checked*>;

// Adds to `reach`, for each mutant's number, those of `locks` that reach it.
void find_reach(const Locks& locks, const CheckOptions& options, std::map<unsigned, Locks>& reach) {
  std::vector<std::function<std::string()>> jobs;
  for (const Checked* checked : locks)
    jobs.push_back([=, &options] { return reached_by(*checked, options).dump(); });
  std::vector<json> found(jobs.size());
  const int stopped_by =
      run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
        if (!answer.text)
          throw std::runtime_error(fmt::format("check: {}: {} while its mutants were collected",
                                               locks[job]->name, answer.reason));
        const json result = json::parse(*answer.text);
        if (result.contains("fails"))
          throw std::runtime_error(fmt::format("check: {} fails without a mutant: {}",
                                               locks[job]->name,
                                               result["fails"].get<std::string>()));
        found[job] = result["reaches"];
      });
  end_early(stopped_by, "while the locks that reach each mutant were collected; none was tried");
  for (usize i = 0; i < locks.size(); ++i)
    for (const json& number : found[i]) reach[number.get<unsigned>()].push_back(locks[i]);
}

struct Trial {
  unsigned number;
  const Mutant& mutant;
  Locks locks;
};

// Chooses the locks on which each mutant is tried: those that reach it, of the first kind of which
// any does: locks, variants such as "rwsem:osq=off", schemes and trees, variants of schemes. A
// mutant of schemes is tried on schemes and trees alone.
void find_locks(std::vector<Trial>& trials, const CheckOptions& options) {
  for (const bool schemes : {false, true})
    for (const bool variants : {false, true}) {
      const auto waits = [&](const Trial& trial) {
        return trial.locks.empty() && (schemes || !is_of_schemes(trial.mutant.file));
      };
      if (std::none_of(trials.begin(), trials.end(), waits)) continue;
      Locks locks;
      for (const Checked& checked : checked_list())
        if (const bool is_space = checked.family == Family::space || checked.family == Family::tree;
            checked.is_ablation() == variants && is_space == schemes)
          locks.push_back(&checked);
      std::map<unsigned, Locks> reach;
      find_reach(locks, options, reach);
      for (Trial& trial : trials)
        if (waits(trial)) trial.locks = reach[trial.number];
    }
}

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

// Most mutants fail soon in some program, so each program is tried a little first.
json search(const Trial& trial, const CheckOptions& options) {
  u64 most = options.most_executions;
  if (most == CheckOptions().most_executions)
    most = is_of_schemes(trial.mutant.file) ? most_for_schemes : most_for_locks;
  u64 executions = 0;
  json found = hunt_once(trial, options, std::min(at_first, most), executions);
  return found.contains("caught") ? found : hunt_once(trial, options, most, executions);
}

// In a child.
json hunt(const Trial& trial, const CheckOptions& options) {
  limit_child();
  semantic::active_mutant = trial.number;
  return search(trial, options);
}

// In a child. Answers "" where all unit tests pass. `mutant`: its text, or empty for none.
json run_tests(const std::string& mutant) {
  limit_child();
  try {
    return {{"test", failing_test(mutant).value_or("")}};
  } catch (const std::runtime_error& error) {
    return {{"error", error.what()}};  // a crash of this process would count as caught
  }
}

std::string failed_test_of(const Answer& answer) {
  if (!answer.text) return answer.reason;
  const json found = json::parse(*answer.text);
  if (found.contains("error")) throw std::runtime_error(found["error"].get<std::string>());
  return found["test"].get<std::string>();
}

struct Tally {
  usize caught = 0, by_tests = 0, equivalent = 0, survivors = 0;
  usize all() const { return caught + by_tests + equivalent + survivors; }
};

struct Judgement {
  bool caught = false, by_test = false;
  std::string text;
};

Judgement judgement_of(const Trial& trial, const Answer& answer) {
  const Verdict verdict = verdict_of(answer);
  return {verdict.caught, false,
          trial.locks.empty() && !verdict.caught ? "no program reaches it" : verdict.text};
}

// Answers whether the outcome is as it should be.
bool note(const Trial& trial, const Judgement& verdict, Tally& tally) {
  const bool is_equivalent = !trial.mutant.equivalent.empty();
  const char* result = "SURVIVES";
  if (verdict.caught)
    result = is_equivalent ? "CAUGHT, though called equivalent"
             : trial.mutant.left_to_tests && !verdict.by_test
                 ? "caught by a search, though left to tests"
                 : "caught";
  else if (is_equivalent)
    result = "equivalent";
  ++(verdict.by_test  ? tally.by_tests
     : verdict.caught ? tally.caught
     : is_equivalent  ? tally.equivalent
                      : tally.survivors);
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
    if (is_in_part(number, options) && !(options.no_unit_tests && mutant.left_to_tests))
      trials.push_back({number, mutant, {}});
  }
  if (!any)
    throw std::invalid_argument(
        fmt::format("--at '{}': no mutant stands there, expected the beginning of a mutant's text, "
                    "for example {}",
                    options.at, text_of(mutants().front())));
  if (trials.empty())
    throw std::invalid_argument(
        fmt::format("--part {}/{}{}: no mutant is left, expected fewer parts or options",
                    options.part, options.parts, options.no_unit_tests ? " --no-unit-tests" : ""));
  find_locks(trials, options);
  return trials;
}

void print_table(const std::map<std::string_view, Tally>& files) {
  Tally sum;
  fmt::print("{:<40} {:>7} {:>7} {:>8} {:>11} {:>9}\n", "file", "mutants", "caught", "by tests",
             "equivalent", "survive");
  const auto print_row = [](std::string_view name, const Tally& tally) {
    fmt::print("{:<40} {:>7} {:>7} {:>8} {:>11} {:>9}\n", name, tally.all(), tally.caught,
               tally.by_tests, tally.equivalent, tally.survivors);
  };
  for (const auto& [file, tally] : files) {
    print_row(file, tally);
    sum.caught += tally.caught;
    sum.by_tests += tally.by_tests;
    sum.equivalent += tally.equivalent;
    sum.survivors += tally.survivors;
  }
  print_row("all", sum);
}

// What became of the mutants.
class Results {
 public:
  void take(const Trial& trial, const Judgement& judgement) {
    as_expected_ &= note(trial, judgement, files_[trial.mutant.file]);
    ++judged_;
  }
  // No search has caught it, and the unit tests have not judged it.
  void leave(const Trial& trial, const Judgement& judgement) {
    fmt::print("  {:<10} {}  {}, and no unit test was run\n", "uncaught", text_of(trial.mutant),
               judgement.text);
    ++left_;
  }
  void take_unsound_tests(const std::string& failed) {
    fmt::print("the unit tests must pass without a mutant: {}\n", failed);
    as_expected_ = false;
  }
  // Answers the exit code. `all`: the trials that there are.
  int tell(usize all, int stopped_by) const {
    print_table(files_);
    fmt::print("{}", untried(all - judged_ - left_, all));
    std::fflush(stdout);
    if (as_expected_) end_by(stopped_by);
    return as_expected_ ? 0 : 1;
  }

 private:
  std::map<std::string_view, Tally> files_;
  bool as_expected_ = true;
  usize judged_ = 0, left_ = 0;
};

struct Uncaught {
  const Trial* trial;
  Judgement judgement;  // of the searches
  bool is_tested = false;
};

// Searches with each mutant. Adds those that no search catches to `uncaught`, where unit tests
// judge them. Answers the signal that has stopped the searches.
int search_all(const std::vector<Trial>& trials, const CheckOptions& options, Results& results,
               std::vector<Uncaught>& uncaught) {
  std::vector<std::function<std::string()>> jobs;
  for (const Trial& trial : trials)
    jobs.push_back([&trial, &options] { return hunt(trial, options).dump(); });
  return run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
    const Trial& trial = trials[job];
    const Judgement judgement = judgement_of(trial, answer);
    if (judgement.caught || options.no_unit_tests)
      results.take(trial, judgement);
    else
      uncaught.push_back({&trial, judgement});
  });
}

// Runs the unit tests without a mutant. All must pass. Answers the signal that has stopped them.
int expect_sound_tests(Results& results, bool& sound) {
  return run_in_children({[] { return run_tests("").dump(); }}, 1,
                         [&](usize, const Answer& answer) {
                           const std::string failed = failed_test_of(answer);
                           sound = failed.empty();
                           if (!sound) results.take_unsound_tests(failed);
                         });
}

// Runs the unit tests with each mutant. Answers the signal that has stopped them.
int test_all(std::vector<Uncaught>& uncaught, const CheckOptions& options, Results& results) {
  if (uncaught.empty()) return 0;
  fmt::print("no search has caught {}: now the unit tests, first without a mutant\n",
             uncaught.size());
  bool sound = false;
  if (const int signal = expect_sound_tests(results, sound); signal != 0 || !sound) return signal;
  std::vector<std::function<std::string()>> jobs;
  for (const Uncaught& one : uncaught)
    jobs.push_back([&one] { return run_tests(text_of(one.trial->mutant)).dump(); });
  return run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
    Judgement judgement = uncaught[job].judgement;
    if (const std::string failed = failed_test_of(answer); !failed.empty())
      judgement = {true, true, fmt::format("{}, test {}", judgement.text, failed)};
    results.take(*uncaught[job].trial, judgement);
    uncaught[job].is_tested = true;
  });
}

}  // namespace

int check_semantic(const CheckOptions& options) {
  if (mutants().size() >= semantic::most_mutants)
    throw std::logic_error("there are more mutants than most_mutants");
  if (!options.no_unit_tests) expect_unit_tests();
  const std::vector<Trial> trials = trials_of(options);
  Results results;
  std::vector<Uncaught> uncaught;
  int stopped_by = search_all(trials, options, results, uncaught);
  if (stopped_by == 0) stopped_by = test_all(uncaught, options, results);
  for (const Uncaught& one : uncaught)
    if (!one.is_tested) results.leave(*one.trial, one.judgement);
  return results.tell(trials.size(), stopped_by);
}

}  // namespace faultline::check
