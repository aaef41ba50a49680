#include "harness/check/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace faultline::check {
namespace {

bool has_downgrade(const Program& program) {
  const auto downgrades = [](const Act& act) { return act.hold == Hold::downgraded; };
  return std::any_of(program.threads.begin(), program.threads.end(), [&](const Script& script) {
    return std::any_of(script.begin(), script.end(), downgrades);
  });
}

class Plan {
 public:
  Plan(const Checked& checked, bool deep)
      : family_(checked.family),
        light_(checked.make_light != nullptr),
        atomic_downgrade_(checked.atomic_downgrade),
        more_(deep ? 300 : 1) {}

  // `seconds`: of CPU time, a program.
  SearchOptions& add(std::string what, std::vector<Program> programs, Search search,
                     double seconds) {
    if (!atomic_downgrade_) std::erase_if(programs, has_downgrade);
    Stage& stage = stages_.emplace_back();
    stage.what = std::move(what);
    stage.options.search = search;
    stage.options.threads = static_cast<u32>(programs.front().threads.size());
    stage.programs = std::move(programs);
    stage.limits.seconds = seconds * more_;
    return stage.options;
  }
  void lighten() {
    if (!light_) return;
    stages_.back().options.light = true;
    stages_.back().what += ", light";
  }
  void add_pairs(u32 surprises) {
    const std::string more = surprises == 1 ? "" : fmt::format(", {} surprises", surprises);
    add("2 threads x 1, exhaustive" + more, programs_of_pairs(family_), Search::exhaustive, 30)
        .surprises = surprises;
  }
  void add_bounded(u32 preemptions, u32 deviations) {
    SearchOptions& options = add(
        fmt::format("3 threads x 1, {} preemption(s), {} deviation(s)", preemptions, deviations),
        programs_of_many(family_, 3), Search::bounded, 60);
    options.preemptions = preemptions;
    options.deviations = deviations;
  }
  void add_calls() {
    add("2 threads of calls, exhaustive, no surprise", programs_of_calls(), Search::exhaustive, 4)
        .surprises = 0;
    for (u32 bound : {1U, 2U}) {
      SearchOptions& options =
          add(fmt::format("2 threads of calls, {} preemption(s), 1 deviation(s)", bound),
              programs_of_calls(), Search::bounded, 10);
      options.preemptions = bound;
      options.deviations = 1;
    }
    add("2 threads of calls, random", programs_of_calls(), Search::random, 3).surprises = 3;
    stages_.back().limits.executions = more_ == 1 ? 5'000 : ~u64{0};
  }
  void add_random() {
    add("4 threads x 1, random", programs_of_many(family_, 4), Search::random, 3).surprises = 3;
    stages_.back().limits.executions = more_ == 1 ? 20'000 : ~u64{0};
  }
  std::vector<Stage> stages() { return std::move(stages_); }

 private:
  Family family_;
  bool light_;
  bool atomic_downgrade_;
  double more_;
  std::vector<Stage> stages_;
};

}  // namespace

std::vector<Stage> stages_of(const Checked& checked, bool deep) {
  const Family family = checked.family;
  Plan plan(checked, deep);
  if (family == Family::space) {
    plan.add_calls();
    return plan.stages();
  }
  plan.add_pairs(1);
  plan.add("2 threads x 2, exhaustive, no surprise", programs_of_two(family), Search::exhaustive,
           90)
      .surprises = 0;
  if (family == Family::mutex)
    plan.add("3 threads x 1, exhaustive", programs_of_many(family, 3), Search::exhaustive, 10);
  plan.add_bounded(1, 1);
  plan.add_bounded(2, 1);
  plan.add_pairs(2);
  plan.lighten();
  plan.add("2 threads x 1 or 2, exhaustive, no surprise", programs_of_two_long(family),
           Search::exhaustive, 60)
      .surprises = 0;
  plan.lighten();
  // Of a lock and its ablations only the lock itself is worth the time.
  if (deep || std::string_view(checked.name).find(':') == std::string_view::npos) {
    plan.add_bounded(3, 1);
    plan.lighten();
  }
  plan.add_random();
  return plan.stages();
}

}  // namespace faultline::check
