#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "harness/check/common/meetings.hpp"
#include "harness/check/common/plan.hpp"
#include "harness/check/common/pool.hpp"
#include "harness/check/common/report.hpp"
#include "harness/check/common/shares.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

// The shortest failure of a lock, measured in operations. Of two that are as short it is the one of
// the earlier row and program, so that it does not depend on which ended first.
struct Shortest {
  std::tuple<u32, const void*, usize> key = {~u32{0}, nullptr, 0};
  std::string text;
};

struct Row {
  const Checked* checked;
  Stage stage;
  Shortest* shortest;  // one object for all rows of the lock
  usize left = 0;      // programs that have not ended
  usize incomplete = 0, failed = 0;
  u64 executions = 0;
  bool makes_promise = false;
  u64 promises = 0;
  double seconds = 0;
  Meetings::Met met{};
};

json to_json(const Outcome& outcome) {
  json answer = {{"executions", outcome.executions},
                 {"complete", outcome.complete},
                 {"makes_promise", outcome.makes_promise},
                 {"promises", outcome.promises},
                 {"seconds", outcome.seconds}};
  if (outcome.failure)
    answer["failure"] = {{"what", outcome.failure->what},
                         {"story", outcome.failure->story},
                         {"execution", outcome.failure->execution},
                         {"operations", outcome.failure->operations}};
  return answer;
}

// `program` is its index in the row.
void note_failure(Row& row, usize program, u32 operations, const std::string& text) {
  ++row.failed;
  const std::tuple<u32, const void*, usize> key = {operations, &row, program};
  if (key >= row.shortest->key && !row.shortest->text.empty()) return;
  *row.shortest = {key, fmt::format("\n{}: threads {}; {}: {}", row.checked->name,
                                    to_string(row.stage.programs[program]), row.stage.what, text)};
}

void take(Row& row, usize program, const Answer& answer) {
  --row.left;
  if (!answer.text) return note_failure(row, program, ~u32{0}, answer.reason + "\n");
  const json outcome = json::parse(*answer.text);
  row.executions += outcome["executions"].get<u64>();
  row.makes_promise |= outcome["makes_promise"].get<bool>();
  row.promises += outcome["promises"].get<u64>();
  row.seconds += outcome["seconds"].get<double>();
  const auto met = outcome["met"].get<Meetings::Met>();
  for (usize kind = 0; kind < met.size(); ++kind) row.met[kind] |= met[kind];
  if (outcome.contains("failure")) {
    const json& failure = outcome["failure"];
    const u32 operations = failure["operations"].get<u32>();
    note_failure(row, program, operations,
                 fmt::format("{}, in execution {}, here in {} operations:\n{}",
                             failure["what"].get<std::string>(), failure["execution"].get<u64>(),
                             operations, failure["story"].get<std::string>()));
  } else if (!outcome["complete"].get<bool>()) {
    ++row.incomplete;
  }
}

std::string result_of(const Row& row) {
  if (row.left != 0) {
    const usize ended = row.stage.programs.size() - row.left;
    return fmt::format("{} after {} of {}", row.failed != 0 ? "FAILED; stopped" : "stopped", ended,
                       row.stage.programs.size());
  }
  if (row.failed != 0)
    return fmt::format("FAILED in {} of {}", row.failed, row.stage.programs.size());
  if (row.executions == 0) return "FAILED: nothing was run";
  const Search search = row.stage.options.search;
  if (search == Search::random || search == Search::priorities) return "no failure";
  if (row.incomplete == 0) return "complete";
  return fmt::format("not complete in {} of {}, no failure", row.incomplete,
                     row.stage.programs.size());
}

void print_row(const Row& row) {
  fmt::print("{:<18} {:<46} {:>4} {:>10} {:>7.1f}  {}\n", row.checked->name, row.stage.what,
             row.stage.programs.size(), row.executions, row.seconds, result_of(row));
  std::fflush(stdout);
}

// Tells on standard error how far a long search has come.
void tell_progress(const std::vector<Row>& rows, const std::vector<std::pair<usize, usize>>& places,
                   const std::vector<usize>& under_way) {
  usize left = 0, failed = 0;
  u64 executions = 0;
  for (const Row& row : rows) {
    left += row.left;
    failed += row.failed;
    executions += row.executions;
  }
  fmt::print(stderr, "check: {} of {} programs have ended, {} failed, {} executions; under way:",
             places.size() - left, places.size(), failed, executions);
  const char* separator = " ";
  for (const usize job : under_way) {
    const auto [r, p] = places[job];
    fmt::print(stderr, "{}{}: {}, program {} of {}", std::exchange(separator, "; "),
               rows[r].checked->name, rows[r].stage.what, p + 1, rows[r].stage.programs.size());
  }
  fmt::print(stderr, "\n");
}

// Explains the words of the table.
void print_legend(const std::vector<Row>& rows, u64 executions) {
  const auto any = [&](const auto& fits) {
    return std::any_of(rows.begin(), rows.end(),
                       [&](const Row& row) { return fits(row.stage.options); });
  };
  fmt::print("{} executions\n  of: the programs of a row\n", executions);
  if (any([](const SearchOptions& options) { return options.surprises != 0; }))
    fmt::print(
        "  surprise: time that is over, an owner off its CPU, a weak exchange that fails, a wait "
        "that returns early\n");
  if (any([](const SearchOptions& options) { return options.light; }))
    fmt::print("  light: the spinlock inside is taken in one step\n");
  if (any([](const SearchOptions& options) { return options.search == Search::priorities; }))
    fmt::print("  PCT: random priorities that change depth - 1 times, sequentially consistent\n");
}

struct Ended {
  double late = 0;      // seconds of the clock after the time that a deep run was given
  bool failed = false;  // a program failed, or none ran
  int stopped_by = 0;   // a signal; 0: none
};

// Prints what a stopped run has explored of the rows that have begun, and names the locks of those
// that have not.
void print_stopped(const std::vector<Row>& rows) {
  usize not_begun = 0;
  std::string names;
  const Checked* last = nullptr;
  for (const Row& row : rows) {
    const bool has_begun = row.left != row.stage.programs.size();
    if (has_begun && row.left != 0) print_row(row);
    if (has_begun) continue;
    ++not_begun;
    if (std::exchange(last, row.checked) != row.checked)
      names += (names.empty() ? ", of " : ", ") + std::string(row.checked->name);
  }
  fmt::print("stopped; {} of {} rows have not begun{}\n", not_begun, rows.size(), names);
}

usize programs_left(const std::vector<Row>& rows) {
  usize left = 0;
  for (const Row& row : rows) left += row.left;
  return left;
}

// Runs every program of every row.
Ended run_rows(std::vector<Row>& rows, const CheckOptions& options) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  const auto end = Clock::now() + Seconds(options.seconds);
  std::vector<std::pair<usize, usize>> places;  // the row and the program of each job
  std::vector<std::function<std::string()>> jobs;
  for (usize r = 0; r < rows.size(); ++r)
    for (usize p = 0; p < rows[r].stage.programs.size(); ++p) {
      places.push_back({r, p});
      jobs.push_back([&, &row = rows[r], p] {
        meetings.reset();
        SearchLimits limits = row.stage.limits;
        if (options.deep)
          limits.seconds =
              share_of(Seconds(end - Clock::now()).count(), options.at_once, programs_left(rows));
        json answer =
            to_json(explore(*row.checked, row.stage.programs[p], row.stage.options, limits));
        answer["met"] = meetings.met();
        return answer.dump();
      });
    }
  Ended ended;
  const auto done = [&](usize job, const Answer& answer) {
    Row& row = rows[places[job].first];
    take(row, places[job].second, answer);
    ended.failed |= row.failed != 0;
    if (row.left != 0) return;
    print_row(row);
    ended.failed |= row.executions == 0;
  };
  Progress progress;
  if (options.deep)
    progress = [&](const std::vector<usize>& under_way) { tell_progress(rows, places, under_way); };
  ended.stopped_by = run_in_children(jobs, options.at_once, done, progress);
  ended.late = Seconds(Clock::now() - end).count();
  return ended;
}

void tell_lateness(const CheckOptions& options, const Ended& ended) {
  if (options.deep && ended.late > 1)
    fmt::print(
        "it took {:.0f} s instead of {:.0f} s, since each program explores at least what it does "
        "without --deep\n",
        options.seconds + ended.late, options.seconds);
}

// Whether a lock states a bound on passes, which all executions kept since no waiter of it was ever
// promised anything. Says so.
bool tell_idle_promises(const std::vector<const Checked*>& chosen, const std::vector<Row>& rows) {
  bool any = false;
  for (const Checked* checked : chosen) {
    if (checked->is_ablation()) continue;  // it is explored in part only
    bool states = false, makes = false;
    for (const Row& row : rows) {
      states |= row.checked == checked && row.makes_promise;
      makes |= row.checked == checked && row.promises != 0;
    }
    if (!states || makes) continue;
    any = true;
    fmt::print("\n{}: promises its waiters a bound, but made that promise in no execution\n",
               checked->name);
  }
  return any;
}

// Prints which calls have met in the schemes. Their variants are explored in part only. Answers
// whether all that must have.
bool print_meetings(const std::vector<Row>& rows) {
  std::vector<SchemeMeetings> schemes;
  for (const Row& row : rows) {
    if (row.checked->family != Family::space || row.checked->is_ablation()) continue;
    if (schemes.empty() || schemes.back().scheme != row.checked->name)
      schemes.push_back({row.checked->name, {}});
    for (usize kind = 0; kind < row.met.size(); ++kind) schemes.back().met[kind] |= row.met[kind];
  }
  bool all_met = true;
  if (!schemes.empty()) fmt::print("{}", table_of(schemes, all_met));
  return all_met;
}

}  // namespace

int check_locks(const CheckOptions& options) {
  std::vector<Shortest> shortest(options.chosen.size());
  std::vector<Row> rows;
  for (usize i = 0; i < options.chosen.size(); ++i)
    for (Stage& stage : stages_of(*options.chosen[i], options.deep ? Extent::deep : Extent::sampled,
                                  options.seed)) {
      const usize programs = stage.programs.size();
      rows.push_back({options.chosen[i], std::move(stage), &shortest[i], programs});
    }
  fmt::print("{:<18} {:<46} {:>4} {:>10} {:>7}  {}\n", "lock", "threads x acquisitions, search",
             "of", "executions", "CPU s", "result");
  const Ended ended = run_rows(rows, options);
  if (ended.stopped_by != 0) print_stopped(rows);
  u64 executions = 0;
  for (const Row& row : rows) executions += row.executions;
  print_legend(rows, executions);
  tell_lateness(options, ended);
  const bool all_met = ended.stopped_by != 0 || ended.failed || print_meetings(rows);
  for (const Shortest& failure : shortest) fmt::print("{}", failure.text);
  const bool idle = ended.stopped_by == 0 && tell_idle_promises(options.chosen, rows);
  if (ended.failed || idle || !all_met) return 1;
  end_by(ended.stopped_by);
  return executions == 0 ? 1 : 0;
}

}  // namespace faultline::check
