#include "harness/check/common/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

#include "locks/random.hpp"

namespace faultline::check {
namespace {

template <class F>
bool any_act(const std::vector<Script>& scripts, const F& is) {
  return std::any_of(scripts.begin(), scripts.end(), [&](const Script& script) {
    return std::any_of(script.begin(), script.end(), is);
  });
}

bool has_downgrade(const Program& program) {
  return any_act(program.threads, [](const Act& act) { return act.hold == Hold::downgraded; });
}

// Whether threads meet, and one of them waits for a shared hold, which might overlap another one.
bool meets_shared(const Program& program) {
  return program.meets() && any_act(program.threads, [](const Act& act) {
           return !act.tries && (act.hold == Hold::shared || act.hold == Hold::downgraded);
         });
}

// Whether threads map at fixed addresses.
bool has_fixed_map(const Program& program) {
  return any_act(program.threads, [](const Act& act) {
    return act.call == Call::map || act.call == Call::map_stack;
  });
}

// CPU time of a program that ends after a number of executions.
constexpr double longest_seconds = 600;

class Plan {
 public:
  Plan(const Checked& checked, Extent extent, u64 seed)
      : checked_(checked),
        family_(checked.family),
        light_(checked.make_light != nullptr),
        atomic_downgrade_(checked.atomic_downgrade),
        main_(!checked.is_ablation()),
        deep_(extent == Extent::deep),
        by_default_(extent == Extent::sampled),
        sampled_(extent == Extent::sampled && checked.is_ablation() && !checked.is_broken()),
        seed_(seed),
        drawn_(seed) {}

  // `most` bounds the executions of each program, so that one seed gives the same executions on
  // every machine. A deep run has a bound of time instead, which check_locks sets, but runs no
  // fewer.
  SearchOptions& add(std::string what, std::vector<Program> programs, Search search, u64 most) {
    if (!atomic_downgrade_) std::erase_if(programs, has_downgrade);
    if (!checked_.shares) std::erase_if(programs, meets_shared);
    if (sampled_) keep_some(programs);
    if (search == Search::exhaustive) most /= checked_.fewer;
    if (search == Search::bounded) most /= std::max(1U, checked_.fewer / 10);
    if (family_ == Family::space) prepare(programs);
    Stage& stage = stages_.emplace_back();
    stage.what = std::move(what);
    stage.options.search = search;
    stage.options.seed = seed_;
    stage.options.threads = static_cast<u32>(programs.front().threads.size());
    stage.programs = std::move(programs);
    stage.limits.seconds = longest_seconds;
    (deep_ ? stage.limits.least : stage.limits.executions) = most;
    if (deep_ && search == Search::priorities) stage.limits.executions = 300 * most;
    return stage.options;
  }
  // Fills in what depends on the scheme.
  void prepare(std::vector<Program>& programs) const {
    for (Program& program : programs) {
      program.discards_by_page = checked_.discards_by_page;
      program.places_apart = checked_.places_apart;
      program.apart = checked_.leaves_apart ||
                      (checked_.reserves &&
                       (program.maps_anywhere() || (program.is_drawn && has_fixed_map(program))));
      if (!program.is_drawn && checked_.own_tables) {
        program.shootdown = shootdown_precise;
        program.page_table = page_table_per_cpu;
      }
      program.sequential = sequential_histories(program);
    }
  }
  // Keeps about a third, and at least one.
  void keep_some(std::vector<Program>& programs) {
    const usize least = draw_below(programs.size());
    usize i = 0;
    std::erase_if(programs, [&](const Program&) { return i++ != least && draw_below(3) != 0; });
  }
  u64 draw_below(u64 limit) { return splitmix64(drawn_ += golden_gamma) % limit; }
  void lighten() {
    if (!light_) return;
    stages_.back().options.light = true;
    stages_.back().what += ", light";
  }
  void add_pairs(u32 surprises) {
    const std::string more = surprises == 1 ? "" : fmt::format(", {} surprises", surprises);
    // Two surprises multiply the executions of a lock whose every step is an exchange that may
    // fail.
    add("2 threads x 1, exhaustive" + more, programs_of_pairs(family_), Search::exhaustive,
        surprises == 1 ? 500'000 : 50'000)
        .surprises = surprises;
  }
  // A search with bounds takes long. So it has only the first three programs, and where an
  // acquisition has many steps the last one too. Random search has all.
  void add_bounded(u32 preemptions, u32 deviations) {
    std::vector<Program> programs = programs_of_many(family_, 3);
    const std::ptrdiff_t last = std::ssize(programs) - (checked_.fewer > 1 ? 1 : 0);
    programs.erase(programs.begin() + std::min<std::ptrdiff_t>(3, last), programs.begin() + last);
    SearchOptions& options = add(
        fmt::format("3 threads x 1, {} preemption(s), {} deviation(s)", preemptions, deviations),
        std::move(programs), Search::bounded, 100'000);
    options.preemptions = preemptions;
    options.deviations = deviations;
  }
  void add_late_calls() {
    add_bounded_calls("2 threads that enter", programs_of_late(), 1, 2'000);
    add_random_calls("2 threads that enter", programs_of_late());
  }
  void add_calls() {
    add("2 threads of calls, exhaustive, no surprise", programs_of_calls(2), Search::exhaustive,
        2'000)
        .surprises = 0;
    add_bounded_calls("2 threads of calls", programs_of_calls(2), 1, 4'000);
    add_bounded_calls("2 threads of calls", programs_of_calls(2), 2, 2'000);
    add_random_calls("2 threads of calls", programs_of_calls(2));
    add_bounded_calls("3 threads of calls", programs_of_calls(3), 1, 2'000);
    add_random_calls("3 threads of calls", programs_of_calls(3));
    add_late_calls();
  }
  void add_bounded_calls(const char* what, std::vector<Program> programs, u32 preemptions,
                         u64 most) {
    SearchOptions& options =
        add(fmt::format("{}, {} preemption(s), 1 deviation(s)", what, preemptions),
            std::move(programs), Search::bounded, most);
    options.preemptions = preemptions;
    options.deviations = 1;
  }
  void add_random_calls(const char* what, std::vector<Program> programs) {
    add(fmt::format("{}, random", what), std::move(programs), Search::random, 1'000).surprises = 3;
  }
  // Variants of a scheme get fewer executions, and none at depth 4. `far`: the address space
  // contains the break and the area for placement.
  void add_priorities(bool far) {
    const auto add_some = [&](const char* what, std::vector<Program> programs, u32 depth,
                              u64 most) {
      add(fmt::format("{}, PCT depth {}, seed {}", what, depth, seed_), std::move(programs),
          Search::priorities, most)
          .depth = depth;
    };
    const u64 most = main_ ? (by_default_ ? 3'000 : 5'000) : sampled_ ? 600 : 1'500;
    add_some("2 threads of calls", programs_of_calls(2), 3, most);
    add_some("3 threads of calls", programs_of_calls(3), 3, most);
    add_some("2 threads, VMAs merge", programs_of_absorbed(), 3, most);
    std::vector<Program> timed = programs_of_real_time();
    if (!far && !checked_.make_tall) std::erase_if(timed, std::mem_fn(&Program::far));
    add_some("3 threads in real time", std::move(timed), 3, most);
    add_some("2 threads that enter", programs_of_late(), 3, most);
    if (far) add_some("2 or 3 threads, far calls", programs_of_places(), 3, most);
    if (checked_.make_split)
      add_some("2 or 3 threads, two spaces", programs_of_split(), 5, 2 * most);
    const u32 drawn = main_ ? (by_default_ ? 250 : 400) : sampled_ ? 60 : 150;
    const Drawn may{.far = far || checked_.make_tall != nullptr,
                    .top = far && !checked_.places_apart,
                    .split = checked_.make_split != nullptr};
    add_some("2 threads, each pair of calls", programs_of_met(may, seed_), 3, 200);
    add_some("2 or 3 threads, drawn calls", programs_drawn(drawn, may, seed_), 3,
             main_ ? 300 : 200);
    std::vector<Program> optional = programs_of_calls(3);
    draw_options(optional, seed_);
    add_some("3 threads of calls, drawn options", std::move(optional), 3, most);
    if (!main_) return;
    add_some("3 threads of calls", programs_of_calls(3), 4, most);
    add_some("4 threads of calls", programs_of_calls(4), 4, most);
  }
  void add_readers() {
    add_bounded_calls("an edit | a reader", programs_of_readers(2), 1, 4'000);
    add_bounded_calls("an edit | a reader", programs_of_readers(2), 2, 4'000);
    add_random_calls("an edit | a reader", programs_of_readers(2));
    add_bounded_calls("an edit | two readers", programs_of_readers(3), 1, 4'000);
    add_random_calls("an edit | two readers", programs_of_readers(3));
  }
  // The edges of read sections conflict with one another, so a search with reduction has little to
  // leave out and does not end.
  void add_under_rcu() {
    for (const u32 preemptions : {1U, 2U}) {
      const u64 most = 20'000;
      add_bounded_calls("2 threads x 1", programs_of_pairs(family_), preemptions, most);
      add_bounded_calls("2 threads x 2", programs_of_two(family_), preemptions, most);
      add_bounded_calls("3 threads x 1", programs_of_many(family_, 3), preemptions, most);
    }
    add_random(3, 10'000);
    add_random(4, 20'000);
    add_passers();
  }
  void add_random() {
    add_random(3, 10'000);
    // More take seconds, but minutes where the lock has a spinlock inside. Locks with the longest
    // executions get half.
    const u64 most = checked_.fewer < 100 ? 20'000 : 10'000;
    add_random(4, main_ && !light_ && checked_.fewer == 1 ? 30'000 : most);
  }
  // For pairs of which exhaustive searches explore little.
  void add_random_pairs() {
    add("2 threads x 1, random", programs_of_pairs(family_), Search::random, 1'000).surprises = 2;
  }
  void add_random(u32 threads, u64 executions) {
    add(fmt::format("{} threads x 1, random", threads), programs_of_many(family_, threads),
        Search::random, executions)
        .surprises = 4;
  }
  void add_passers() {
    std::vector<Program> programs = programs_of_passers(family_);
    if (programs.empty()) return;
    add("3 threads, one again and again, random", std::move(programs), Search::random, 20'000)
        .surprises = 4;
  }
  bool is_main() const { return main_; }
  std::vector<Stage> stages() { return std::move(stages_); }

 private:
  const Checked& checked_;
  Family family_;
  bool light_;
  bool atomic_downgrade_;
  bool main_;  // it is not a variant of another lock
  bool deep_;
  bool by_default_;  // neither deep nor a hunt for a fault that was put in
  bool sampled_;
  u64 seed_;
  u64 drawn_;
  std::vector<Stage> stages_;
};

}  // namespace

std::vector<Stage> stages_of(const Checked& checked, Extent extent, u64 seed) {
  const Family family = checked.family;
  Plan plan(checked, extent, seed);
  if (family == Family::space) {
    if (checked.make != nullptr) plan.add_calls();
    if (checked.make_space != nullptr) plan.add_priorities(!checked.is_small);
    return plan.stages();
  }
  if (family == Family::tree) {
    plan.add_readers();
    return plan.stages();
  }
  if (checked.under_rcu) {
    plan.add_under_rcu();
    return plan.stages();
  }
  plan.add_pairs(1);
  plan.add("2 threads x 2, exhaustive, no surprise", programs_of_two(family), Search::exhaustive,
           200'000)
      .surprises = 0;
  if (family == Family::mutex)
    plan.add("3 threads x 1, exhaustive", programs_of_many(family, 3), Search::exhaustive, 100'000);
  plan.add_bounded(1, 1);
  plan.add_bounded(2, 1);
  plan.add_pairs(2);
  plan.lighten();
  plan.add("2 threads x 1 or 2, exhaustive, no surprise", programs_of_two_long(family),
           Search::exhaustive, 200'000)
      .surprises = 0;
  plan.lighten();
  // Only the lock itself gets this time; its variants do not.
  if (extent == Extent::deep || plan.is_main()) {
    plan.add_bounded(3, 1);
    plan.lighten();
  }
  plan.add_random();
  if (checked.fewer > 1) plan.add_random_pairs();
  if (extent == Extent::deep || plan.is_main()) plan.add_passers();
  return plan.stages();
}

}  // namespace faultline::check
