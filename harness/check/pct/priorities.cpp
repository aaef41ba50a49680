#include "harness/check/pct/priorities.hpp"

#include "harness/check/common/cpu_time.hpp"
#include "harness/check/common/space_calls.hpp"
#include "harness/check/common/story.hpp"
#include "harness/check/pct/engine.hpp"
#include "locks/random.hpp"

namespace faultline::check {
namespace {

constexpr u64 frames_per_thread = 16;
constexpr u64 executions_for_shorter = 300;  // after the first failure
constexpr usize most_entries = 2 * pct::Engine::most_steps;
constexpr usize most_labels = 65'536;

std::unique_ptr<AddressSpace> make_space(const Checked& checked, const Program& program) {
  const AddressSpaceOptions options = small_space(program, frames_per_thread);
  if (program.split) return checked.make_split(options, split_of(program));
  return (program.far && checked.make_tall ? checked.make_tall : checked.make_space)(options);
}

// The body of an execution.
void execute(const Checked& checked, const Program& program) {
  pct::Engine& engine = pct::engine();
  const auto threads = static_cast<u32>(program.threads.size());
  const std::unique_ptr<AddressSpace> space = make_space(checked, program);
  for (u32 thread = threads; thread-- > 0;) {
    if (program.enters_late(thread)) continue;
    engine.act_as(thread);
    space->enter();
  }
  prepare_space(*space, program);
  Answers answers;
  engine.parallel(threads, [&](u32 thread) {
    if (program.enters_late(thread)) space->enter();
    for (const Act& act : program.threads[thread]) {
      // Another thread may run before the call begins, as before an access.
      engine.step();
      answers.begin(thread);
      answers.add(thread, call_space(*space, program, act, thread));
    }
  });
  if (const std::string wrong = answers.judge(*space, program); !wrong.empty()) engine.fail(wrong);
}

// Runs the failing execution again with a record, and answers its story.
std::string tell(const pct::Schedule& schedule, const std::function<void()>& body) {
  std::vector<LogEntry> log;
  std::vector<Label> labels;
  log.reserve(most_entries);
  labels.reserve(most_labels);
  pct::engine().log = &log;
  pct::engine().labels = &labels;
  looks.repeat();
  const pct::Verdict verdict = pct::engine().run(schedule, body);
  looks.end_repeat();
  pct::engine().log = nullptr;
  pct::engine().labels = nullptr;
  if (verdict.failure.empty()) return "  (the execution does not fail when run again)\n";
  return story_of(log, labels);
}

}  // namespace

Outcome explore_by_priorities(const Checked& checked, const Program& program,
                              const SearchOptions& options, const SearchLimits& limits,
                              const Weakening* weakening, std::vector<Site>* sites) {
  const std::function<void()> body = [&] { execute(checked, program); };
  looks.begin_program();
  pct::engine().weakening = weakening;
  pct::engine().sites = sites;
  const double start = cpu_seconds();
  Outcome outcome;
  pct::Schedule shortest;
  u64 steps = 0;
  u64 last = limits.executions;
  for (; outcome.executions < last &&
         (outcome.executions < limits.least || cpu_seconds() - start < limits.seconds);
       ++outcome.executions) {
    // The mean number of steps so far, and a quarter, estimates the steps of the next execution.
    const u64 usual = outcome.executions == 0 ? 0 : steps / outcome.executions * 5 / 4;
    const pct::Schedule schedule{options.seed + outcome.executions * golden_gamma, options.depth,
                                 static_cast<u32>(usual)};
    const pct::Verdict verdict = pct::engine().run(schedule, body);
    steps += verdict.steps;
    if (verdict.failure.empty()) continue;
    if (!outcome.failure) {
      last = limits.seconds_for_shorter == 0
                 ? 0
                 : std::min(last, outcome.executions + executions_for_shorter);
      outcome.failure.emplace().execution = outcome.executions + 1;
    } else if (verdict.steps >= outcome.failure->operations) {
      continue;
    }
    outcome.failure->what = verdict.failure;
    outcome.failure->operations = verdict.steps;
    shortest = schedule;
  }
  outcome.seconds = cpu_seconds() - start;
  pct::engine().sites = nullptr;
  if (outcome.failure) outcome.failure->story = tell(shortest, body);
  pct::engine().weakening = nullptr;
  return outcome;
}

}  // namespace faultline::check
