#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/check/plan.hpp"
#include "harness/check/pool.hpp"
#include "harness/check/report.hpp"

namespace faultline::check {
namespace {

using nlohmann::json;

// One program of one stage: a child's work.
struct Task {
  const Checked* checked;
  usize stage;  // in all of `stages`
  const Program* program;
};

struct Row {
  const Checked* checked;
  Stage stage;
  usize left = 0;  // programs that have not ended
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

void print_failure(const Row& row, const Program& program, const json& failure) {
  fmt::print("\n{}: {}\n  {}, threads {}, execution {}; {} operations:\n{}\n", row.checked->name,
             failure["what"].get<std::string>(), row.stage.what, to_string(program),
             failure["execution"].get<u64>(), failure["operations"].get<u32>(),
             failure["story"].get<std::string>());
}

void take(Row& row, const Program& program, const Answer& answer) {
  --row.left;
  if (!answer.text) {
    ++row.failed;
    fmt::print("\n{}: {}\n  {}, threads {}\n", row.checked->name, answer.reason, row.stage.what,
               to_string(program));
    return;
  }
  const json outcome = json::parse(*answer.text);
  row.executions += outcome["executions"].get<u64>();
  row.seconds += outcome["seconds"].get<double>();
  if (outcome.contains("failure")) {
    // One failure a row is told; the others are counted.
    if (row.failed++ == 0) print_failure(row, program, outcome["failure"]);
  } else if (!outcome["complete"].get<bool>()) {
    ++row.incomplete;
  }
}

std::string result_of(const Row& row) {
  if (row.failed != 0)
    return fmt::format("FAILED in {} of {}", row.failed, row.stage.programs.size());
  if (row.executions == 0) return "FAILED: nothing was run";
  if (row.stage.options.search == Search::random) return "no failure";
  if (row.incomplete == 0) return "complete";
  return fmt::format("not complete in {} of {}, no failure", row.incomplete,
                     row.stage.programs.size());
}

void print_row(const Row& row) {
  fmt::print("{:<18} {:<46} {:>4} {:>10} {:>7.1f}  {}\n", row.checked->name, row.stage.what,
             row.stage.programs.size(), row.executions, row.seconds, result_of(row));
  std::fflush(stdout);
}

}  // namespace

int check_locks(const CheckOptions& options) {
  std::vector<Row> rows;
  for (const Checked* checked : options.chosen)
    for (Stage& stage : stages_of(checked->family, options.deep)) {
      const usize programs = stage.programs.size();
      rows.push_back({checked, std::move(stage), programs});
    }
  std::vector<std::pair<usize, usize>> places;  // row and program of each job
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
  fmt::print("{:<18} {:<46} {:>4} {:>10} {:>7}  {}\n", "lock", "threads x acquisitions, search",
             "of", "executions", "CPU s", "result");
  bool failed = false;
  run_in_children(jobs, options.at_once, [&](usize job, const Answer& answer) {
    Row& row = rows[places[job].first];
    take(row, row.stage.programs[places[job].second], answer);
    if (row.left == 0) {
      print_row(row);
      failed |= row.failed != 0 || row.executions == 0;
    }
  });
  u64 executions = 0;
  for (const Row& row : rows) executions += row.executions;
  fmt::print(
      "{} executions; of: programs a row; a surprise: time over, an owner off its CPU, a weak "
      "exchange that fails, a wait that returns early\n",
      executions);
  return failed || executions == 0 ? 1 : 0;
}

}  // namespace faultline::check
