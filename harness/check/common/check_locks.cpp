#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/check/common/plan.hpp"
#include "harness/check/common/pool.hpp"
#include "harness/check/common/report.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

// The shortest failure of a lock, measured in operations.
struct Shortest {
  u32 operations = ~u32{0};
  std::string text;
};

struct Row {
  const Checked* checked;
  Stage stage;
  Shortest* shortest;  // one object for all rows of the lock
  usize left = 0;      // programs that have not ended
  usize incomplete = 0, failed = 0;
  u64 executions = 0;
  double seconds = 0;
};

json to_json(const Outcome& outcome) {
  json answer = {{"executions", outcome.executions},
                 {"complete", outcome.complete},
                 {"seconds", outcome.seconds}};
  if (outcome.failure)
    answer["failure"] = {{"what", outcome.failure->what},
                         {"story", outcome.failure->story},
                         {"execution", outcome.failure->execution},
                         {"operations", outcome.failure->operations}};
  return answer;
}

void note_failure(Row& row, const Program& program, u32 operations, const std::string& text) {
  ++row.failed;
  if (operations >= row.shortest->operations && !row.shortest->text.empty()) return;
  *row.shortest = {operations, fmt::format("\n{}: threads {}; {}: {}", row.checked->name,
                                           to_string(program), row.stage.what, text)};
}

void take(Row& row, const Program& program, const Answer& answer) {
  --row.left;
  if (!answer.text) return note_failure(row, program, ~u32{0}, answer.reason + "\n");
  const json outcome = json::parse(*answer.text);
  row.executions += outcome["executions"].get<u64>();
  row.seconds += outcome["seconds"].get<double>();
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

// Runs every program of every row. True: a program failed.
bool run_rows(std::vector<Row>& rows, usize at_once) {
  std::vector<std::pair<usize, usize>> places;  // the row and the program of each job
  std::vector<std::function<std::string()>> jobs;
  for (usize r = 0; r < rows.size(); ++r)
    for (usize p = 0; p < rows[r].stage.programs.size(); ++p) {
      places.push_back({r, p});
      jobs.push_back([&row = rows[r], p] {
        return to_json(explore(*row.checked, row.stage.programs[p], row.stage.options,
                               row.stage.limits))
            .dump();
      });
    }
  bool failed = false;
  run_in_children(jobs, at_once, [&](usize job, const Answer& answer) {
    Row& row = rows[places[job].first];
    take(row, row.stage.programs[places[job].second], answer);
    if (row.left != 0) return;
    print_row(row);
    failed |= row.failed != 0 || row.executions == 0;
  });
  return failed;
}

}  // namespace

int check_locks(const CheckOptions& options) {
  std::vector<Shortest> shortest(options.chosen.size());
  std::vector<Row> rows;
  for (usize i = 0; i < options.chosen.size(); ++i)
    for (Stage& stage : stages_of(*options.chosen[i], options.deep, options.seed)) {
      const usize programs = stage.programs.size();
      rows.push_back({options.chosen[i], std::move(stage), &shortest[i], programs});
    }
  fmt::print("{:<18} {:<46} {:>4} {:>10} {:>7}  {}\n", "lock", "threads x acquisitions, search",
             "of", "executions", "CPU s", "result");
  const bool failed = run_rows(rows, options.at_once);
  u64 executions = 0;
  for (const Row& row : rows) executions += row.executions;
  fmt::print(
      "{} executions; of: programs a row; a surprise: time over, an owner off its CPU, a weak "
      "exchange that fails, a wait that returns early; light: the spinlock inside is taken in one "
      "step; PCT: random priorities that change depth - 1 times, sequentially consistent\n",
      executions);
  for (const Shortest& failure : shortest) fmt::print("{}", failure.text);
  return failed || executions == 0 ? 1 : 0;
}

}  // namespace faultline::check
