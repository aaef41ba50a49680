#include "harness/check/plan.hpp"

#include <fmt/format.h>

namespace faultline::check {
namespace {

Stage stage(std::string what, std::vector<Program> programs, Search search, u32 threads,
            double seconds) {
  Stage made;
  made.what = std::move(what);
  made.programs = std::move(programs);
  made.options.search = search;
  made.options.threads = threads;
  made.limits.seconds = seconds;
  return made;
}

}  // namespace

std::vector<Stage> stages_of(Family family, bool deep) {
  const double more = deep ? 300 : 1;
  std::vector<Stage> stages;
  stages.push_back(stage("2 threads x 1, exhaustive", programs_of_pairs(family), Search::exhaustive,
                         2, 30 * more));
  stages.push_back(stage("2 threads x 2, exhaustive, no surprise", programs_of_two(family),
                         Search::exhaustive, 2, 90 * more));
  stages.back().options.surprises = 0;
  if (deep) {
    stages.push_back(stage("2 threads x 1, exhaustive, 2 surprises", programs_of_pairs(family),
                           Search::exhaustive, 2, 30 * more));
    stages.back().options.surprises = 2;
  }
  if (family == Family::mutex)
    stages.push_back(stage("3 threads x 1, exhaustive", programs_of_many(family, 3),
                           Search::exhaustive, 3, 10 * more));
  for (u32 bound = 1; bound <= 3; ++bound) {
    stages.push_back(stage(fmt::format("3 threads x 1, {} preemption(s), 1 deviation", bound),
                           programs_of_many(family, 3), Search::bounded, 3, 6 * more));
    stages.back().options.preemptions = bound;
    stages.back().options.deviations = 1;
  }
  stages.push_back(
      stage("4 threads x 1, random", programs_of_many(family, 4), Search::random, 4, 3 * more));
  stages.back().options.surprises = 3;
  stages.back().limits.executions = deep ? ~u64{0} : 20'000;
  return stages;
}

}  // namespace faultline::check
