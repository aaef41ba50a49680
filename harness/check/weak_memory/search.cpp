#include "harness/check/common/search.hpp"

#include "harness/check/common/looks.hpp"
#include "harness/check/common/story.hpp"
#include "harness/check/pct/priorities.hpp"
#include "harness/check/weak_memory/platform.hpp"
#include "harness/check/weak_memory/scheduler.hpp"

namespace faultline::check {
namespace {

using P = CheckPlatform;

struct Job {
  const Checked* checked = nullptr;
  const Program* program = nullptr;
  bool light = false;
  Subject* make() const { return (light ? checked->make_light : checked->make)(*program); }
};

// The job of the test suite. Relacy constructs the suite without arguments.
Job& job() {
  static constinit Job current;
  return current;
}

constexpr u32 most_cells = 3;

struct GuardedCell {
  P::data<u64> value;
  u64 writes = 0;
  u32 writers = 0, readers = 0;
};

// The cells that the lock guards, each with the number of holders inside.
class Guarded {
 public:
  // Makes only the cells that the lock guards, since each costs time in every execution.
  explicit Guarded(Family family) {
    for (u32 i = 0; i < (family == Family::range ? most_cells : 1); ++i) cells_[i].emplace();
  }
  void enter(const Act& act) {
    for (u32 i = act.first; i < act.end; ++i) {
      GuardedCell& cell = *cells_[i];
      const bool exclusive = act.hold != Hold::shared;
      if (cell.writers != 0 || (exclusive && cell.readers != 0))
        world().fail("two conflicting holders are inside at once");
      ++(exclusive ? cell.writers : cell.readers);
      if (exclusive)
        write(cell);
      else
        cell.value.load();
    }
  }
  void change_hold(const Act& act) {
    for (u32 i = act.first; i < act.end; ++i) {
      --cells_[i]->writers;
      if (act.hold == Hold::downgraded) ++cells_[i]->readers;
    }
    if (shrinks(act)) ++cells_[kept_cell(act)]->writers;
  }
  void stay(const Act& act) {
    if (shrinks(act)) write(*cells_[kept_cell(act)]);
    if (act.hold == Hold::downgraded)
      for (u32 i = act.first; i < act.end; ++i) cells_[i]->value.load();
    if (act.hold == Hold::exclusive)
      for (u32 i = act.first; i < act.end; ++i) write(*cells_[i]);
  }
  void leave(const Act& act) {
    const u32 first = shrinks(act) ? kept_cell(act) : act.first;
    const u32 end = shrinks(act) ? first + 1 : act.end;
    for (u32 i = first; i < end; ++i) {
      const bool exclusive = act.hold != Hold::shared && act.hold != Hold::downgraded;
      --(exclusive ? cells_[i]->writers : cells_[i]->readers);
    }
  }
  void check_at_end() {
    for (const auto& cell : cells_)
      if (cell && cell->value.load() != cell->writes) world().fail("a write is lost");
  }

 private:
  static void write(GuardedCell& cell) {
    cell.value.store(cell.value.load() + 1);
    ++cell.writes;
  }
  std::array<std::optional<GuardedCell>, most_cells> cells_;
};

template <rl::thread_id_t threads>
class Suite : public rl::test_suite<Suite<threads>, threads> {
 public:
  Suite() : guarded_(job().checked->family) {
    if (job().program->meets())
      for (auto& arrived : arrived_) arrived.emplace();
    const Family family = job().checked->family;
    world().keeps = family == Family::space || family == Family::tree || family == Family::range;
    subject_ = job().make();
    world().passes.promise = subject_->promise();
    world().name(this, sizeof(*this), "guarded");
  }
  ~Suite() {
    subject_->~Subject();
    world().destroy_kept();
  }

  void before() { world().parallel = true; }

  void thread(unsigned index) {
    subject_->start(index);
    for (const Act& act : job().program->threads[index]) perform(index, act);
    subject_->finish(index);
    world().explorer->finish(index);
  }

  // The lock must be free: it can be taken over all cells.
  void after() {
    world().end_execution();
    guarded_.check_at_end();
    const Act everything{.tries = true,
                         .end = job().checked->family == Family::range ? u8{3} : u8{1}};
    subject_->start(0);
    if (!subject_->acquire(0, everything))
      world().fail("the lock is not free after all threads have ended");
    subject_->release(0, everything);
    subject_->finish(0);
  }

 private:
  void perform(u32 index, const Act& act) {
    Thread& thread = world().threads[index];
    thread.must_not_sleep += act.tries ? 1 : 0;
    world().passes.call(index, act);
    const bool inside = subject_->acquire(index, act);
    note_passes(index, inside);
    thread.must_not_sleep -= act.tries ? 1 : 0;
    if (act.tries) arrive(index);
    if (!inside) return;
    const Act held = as_held(act);
    guarded_.enter(held);
    if (act.hold == Hold::moved) {
      subject_->change_hold(index, act);
    } else if (act.hold == Hold::downgraded || shrinks(act)) {
      if (held.hold == act.hold) guarded_.change_hold(held);
      subject_->change_hold(index, act);
      guarded_.stay(held);
    }
    arrive(index);
    if (act.meets) await_others(index);
    guarded_.leave(held);
    subject_->release(index, act);
  }

  // What a lock that is exclusive only makes of the hold.
  static Act as_held(Act act) {
    if (!job().checked->shares && (act.hold == Hold::shared || act.hold == Hold::downgraded))
      act.hold = Hold::exclusive;
    return act;
  }

  static void note_passes(u32 index, bool acquired) {
    const u32 starved = world().passes.end(index, acquired);
    if (starved != nobody)
      world().fail("thread " + std::to_string(starved) + ", which " +
                   world().passes.promise->since + ", is passed by more than " +
                   std::to_string(world().passes.promise->most_passes));
  }

  // relaxed, both: the lock must order memory, so the meeting must not.
  void arrive(u32 index) {
    if (arrived_[index]) arrived_[index]->store(1, Order::relaxed);
  }
  void await_others(u32 index) {
    const WaitScope<P> waiting(this, "the other to come in");
    for (u32 other = 0; other < threads; ++other)
      while (other != index && arrived_[other]->load(Order::relaxed) == 0) P::pause(this);
  }

  Subject* subject_;
  Guarded guarded_;
  // Used where the threads of the program meet.
  std::array<std::optional<P::atomic<u32>>, threads> arrived_;
};

template <rl::thread_id_t threads>
rl::test_result_e run_suite(rl::test_params& params) {
  rl::ostringstream state;
  return rl::run_test<Suite<threads>, Scheduler<threads>>(params, state, false);
}

// Runs executions in one context of Relacy, until the search is over or an execution fails. A load
// sees the last store or the one before; in random search it may also see the second before.
rl::test_result_e run_context(const SearchOptions& options) {
  std::ostream nowhere(nullptr);
  rl::test_params params;
  params.output_stream = params.progress_stream = &nowhere;
  params.search_type = options.search == Search::random ? rl::random_scheduler_type
                                                        : rl::fair_full_search_scheduler_type;
  params.execution_depth_limit = 1U << 30;
  switch (options.threads) {
    case 2:
      return run_suite<2>(params);
    case 3:
      return run_suite<3>(params);
    default:
      return run_suite<4>(params);
  }
}

std::string text_of(rl::test_result_e result) {
  if (result == rl::test_result_user_assert_failed) return world().failure.data();
  if (result == rl::test_result_data_race) return "data race";
  std::string text = rl::test_result_str(result);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Runs the failing execution again with a record, and answers its story.
std::string tell(const SearchOptions& options, const Explorer::Path& path) {
  std::vector<LogEntry> log;
  std::vector<Label> labels;
  log.reserve(Explorer::most_events * 2);
  labels.reserve(4096);
  SearchOptions again = options;
  again.search = Search::replay;
  Explorer explorer(again, path);
  Progress last{.limits = {.executions = 1}};
  world().explorer = &explorer;
  world().log = &log;
  world().labels = &labels;
  progress() = &last;
  looks.repeat();
  const rl::test_result_e result = run_context(options);
  looks.end_repeat();
  world().log = nullptr;
  world().labels = nullptr;
  if (result == rl::test_result_success) return "  (the execution does not fail when run again)\n";
  return story_of(log, labels);
}

}  // namespace

Outcome explore(const Checked& checked, const Program& program, const SearchOptions& options,
                const SearchLimits& limits, const Weakening* weakening, std::vector<Site>* sites) {
  if (options.search == Search::priorities)
    return explore_by_priorities(checked, program, options, limits, weakening, sites);
  job() = {&checked, &program, options.light};
  looks.begin_program();
  world().surprises = options.surprises;
  world().passes.promises = 0;
  world().weakening = weakening;
  world().sites = sites;
  Explorer explorer(options);
  const double start = cpu_seconds();
  Progress now{.limits = {limits.executions, limits.least, start + limits.seconds}};
  Outcome outcome;
  Explorer::Path shortest;
  for (;;) {
    world().explorer = &explorer;
    progress() = &now;
    const rl::test_result_e result = run_context(options);
    if (result == rl::test_result_success) break;
    ++now.executions;
    if (!outcome.failure) {
      outcome.failure.emplace().execution = now.executions;
      now.limits.least = 0;
      now.limits.deadline =
          std::min(now.limits.deadline, cpu_seconds() + limits.seconds_for_shorter);
    }
    if (shortest.empty() || explorer.path().size() < shortest.size()) {
      shortest = explorer.path();
      outcome.failure->what = text_of(result);
      outcome.failure->operations = explorer.events();
    }
    if (cpu_seconds() > now.limits.deadline || !explorer.advance()) break;
  }
  outcome.executions = now.executions;
  outcome.makes_promise = world().passes.promise != nullptr && world().passes.promise->is_made();
  outcome.promises = world().passes.promises;
  outcome.complete = now.complete && !outcome.failure;
  outcome.seconds = cpu_seconds() - start;
  if (outcome.failure) outcome.failure->story = tell(options, shortest);
  world().weakening = nullptr;
  world().sites = nullptr;
  return outcome;
}

}  // namespace faultline::check
