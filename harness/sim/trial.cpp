#include "harness/sim/trial.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/sim/counts_json.hpp"
#include "harness/sim/kernel_entry.hpp"
#include "harness/sim/registry.hpp"
#include "harness/sim/short_window.hpp"
#include "harness/sim/warm_up.hpp"
#include "harness/trial/measurement.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = SimPlatform;

constexpr double ns_per_s = 1e9;
constexpr u64 look_ns = 10'000;           // between two checks whether all threads are ready
constexpr usize stack_bytes = 256 << 10;  // the first thread of an arena reads recordings on it
constexpr usize most_waiting = 32;        // the most stuck threads that a record names

u64 to_ns(double seconds) {
  return static_cast<u64>(seconds * ns_per_s + 0.5);
}

// The machine of the case. The harness calls the schemes as functions, natively and simulated
// alike, so only a case with kernel entry has the kernel's own work.
sim::Machine machine_of(const CaseSpec& trial_case) {
  sim::Machine machine = sim::Machine::load(trial_case.machine);
  if (!trial_case.is_on("kernel_entry")) std::ranges::fill(machine.kernel_work, 0);
  return machine;
}

// Remembers that the first thread has seen the window open.
class OpeningWatch final : public WindowObserver {
 public:
  void opened() override { seen_ = true; }
  void closed() override {}
  bool seen() const { return seen_; }

 private:
  bool seen_ = false;
};

class SimTrial {
 public:
  SimTrial(const TrialSpec& spec, const MakeArena<P>& make)
      : spec_(spec),
        make_(make),
        machine_(machine_of(spec.trial_case)),
        simulation_(machine_, spec.trial_case.cpus,
                    {.seed = spec.seed,
                     .stack_bytes = stack_bytes,
                     .progress_limit_ns = to_ns(spec.stall_limit_s)}),
        window_(simulation_.make<Window<P>>()),
        seats_(seat_threads(spec.trial_case, arenas_)),
        members_(spec.trial_case.threads),
        workers_(spec.trial_case.threads),
        record_(begin_record(spec)),
        warm_up_(to_ns(spec.trial_case.duration_s), least_operations * spec.trial_case.threads) {
    P::label(window_.get(), "window");
  }

  json run() {
    for (u32 thread = 0; thread < members_.size(); ++thread)
      simulation_.set_body(thread, [this, thread] { take_part(thread); });
    simulation_.at(0, [this] { look(); });
    try {
      simulation_.run();
      collect();
      judge_outcome(record_, check(arenas_));
    } catch (const sim::Stuck& stuck) {
      fail(record_, stuck.what());
      tell_stall(stuck.waiting);
      abandon();
    } catch (const std::exception& error) {
      fail(record_, error.what());
      abandon();
    }
    return std::move(record_);
  }

 private:
  // One simulated thread, from its set-up to its end.
  void take_part(u32 thread) {
    Participant& member = members_[thread];
    const Seat<P>& seat = seats_[thread];
    member.cpu = P::cpu();
    member.node = P::node();
    member.role = seat.role;
    if (seat.index == 0) {
      const sim::ArenaScope scope;
      *seat.arena = make_(seat.threads);
    }
    simulation_.meet();
    Arena<P>& arena = *seat.arena;
    Worker<P> worker(arena.space.get(), *window_, seat.index, seat.threads, seat.role,
                     spec_.latency, thread == 0 ? &opening_ : nullptr);
    workers_[thread] = &worker;
    if (arena.space) arena.space->enter();
    simulation_.meet();
    if (seat.index == 0) arena.workload->set_up(worker);
    simulation_.meet();
    arena.workload->enter(worker);
    simulation_.meet();
    ready_ = true;
    arena.workload->run(worker);
    worker.finish();
    member.tally = worker.tally();
    workers_[thread] = nullptr;
    ended_ += worker.completed();
  }

  // Set-up takes simulated time, so warm-up begins when look() finds all threads ready. If no
  // thread can go on, look() stops repeating, and the simulation reports the deadlock.
  void look() {
    const u64 now = simulation_.now_ns();
    if (!ready_) {
      if (!simulation_.stands_still()) simulation_.at(now + look_ns, [this] { look(); });
      return;
    }
    began_ns_ = now;
    simulation_.at(now + to_ns(spec_.trial_case.warmup_s), [this] { warm_up(); });
  }

  // The operations since the beginning.
  u64 completed() const {
    u64 sum = ended_;
    for (const Worker<P>* worker : workers_)
      if (worker != nullptr) sum += worker->completed();
    return sum;
  }

  // Whether each thread that works in rounds has completed one in the window.
  bool rounds_completed() const {
    return std::all_of(workers_.begin(), workers_.end(), [](const Worker<P>* worker) {
      return worker == nullptr || !worker->in_rounds() || worker->rounds() != 0;
    });
  }

  // Runs the warm-up's next window, or opens the measured one after the last.
  void warm_up() {
    const u64 before = completed();
    simulation_.at(simulation_.now_ns() + warm_up_.window_ns(), [this, before] {
      if (warm_up_.end_window(completed() - before))
        open();
      else if (!simulation_.stands_still())
        warm_up();
    });
  }

  void note_opened() {
    opened_ = simulation_.counts();
    events_before_ = sum_events(arenas_);
  }
  void note_closed() {
    counted_ = simulation_.counts().since(opened_);
    events_ = events_since(arenas_, events_before_);
  }

  // Where threads work in rounds, the window opens for them at a round's end, and the counts begin
  // there too.
  void await_round() {
    if (opening_.seen()) return note_opened();
    if (workers_[0] != nullptr && !simulation_.stands_still())
      simulation_.at(simulation_.now_ns() + look_ns, [this] { await_round(); });
  }

  // relaxed, both: the phase passes no data.
  void open() {
    note_opened();
    window_->phase.store(phase_measure, std::memory_order_relaxed);
    if (workers_[0] != nullptr && workers_[0]->in_rounds()) await_round();
    simulation_.at(simulation_.now_ns() + warm_up_.window_ns(), [this] { close(); });
  }
  // Threads that work in rounds complete their round after the close: collect() takes their counts.
  void close() {
    const u64 now = simulation_.now_ns();
    if (!rounds_completed() && now < WarmUp::latest_ns && !simulation_.stands_still())
      return simulation_.at(now + warm_up_.window_ns(), [this] { close(); });
    note_closed();
    window_->phase.store(phase_stop, std::memory_order_relaxed);
  }

  void collect() {
    if (members_[0].tally.rounds != 0) note_closed();
    const double window_ns = static_cast<double>(counted_.time) / sim::ps_per_ns;
    record_["window_s"] = window_ns / ns_per_s;
    const u64 opened_ns = opened_.time / sim::ps_per_ns;
    record_["warmup_s"] = static_cast<double>(opened_ns - began_ns_) / ns_per_s;
    record_["settled"] = warm_up_.settled();
    if (const std::optional<double> drift = warm_up_.drift()) record_["drift"] = *drift;
    record_["events"] = events_;
    for (usize i = 0; i < members_.size(); ++i) finish_member(i);
    add_operations(record_, spec_.trial_case, participants(members_));
    record_["counters"] = {{"absent", "simulated: transfers of lines are counted instead"}};
    if (std::vector<std::string> notes = short_window_notes(record_); !notes.empty())
      record_["notes"] = std::move(notes);
    json& simulated = record_["sim"] = sim::counts_json(counted_);
    simulated.update({{"machine", spec_.trial_case.machine_name()},
                      {"seed", spec_.seed},
                      {"simulated_ms", window_ns / 1e6}});
  }

  // A simulated window is short compared with a long wait, so the rate is taken over the whole
  // window. A thread's count equals the operations that completed between opening and close, since
  // it leaves out the first operation of the window and contains the first one after the close. A
  // thread that works in rounds has timed whole rounds.
  void finish_member(usize i) {
    Participant& member = members_[i];
    member.waiting_ns = counted_.accounts[i].waiting / sim::ps_per_ns;
    if (member.tally.last_ns == 0 || member.tally.rounds != 0) return;
    member.tally.first_ns = opened_.time / sim::ps_per_ns;
    member.tally.last_ns = (opened_.time + counted_.time) / sim::ps_per_ns;
  }

  void tell_stall(std::vector<std::string> waiting) {
    if (waiting.size() > most_waiting) {
      const usize more = waiting.size() - most_waiting;
      waiting.resize(most_waiting);
      waiting.push_back(fmt::format("and {} threads more", more));
    }
    record_["stall"] = {{"waiting", std::move(waiting)}, {"holding", holders(arenas_)}};
  }

  // Objects in the middle of an operation cannot be destroyed. Their memory ends with the
  // simulation.
  void abandon() {
    for (auto& arena : arenas_) static_cast<void>(arena.release());
  }

  const TrialSpec& spec_;
  const MakeArena<P>& make_;
  const sim::Machine machine_;
  sim::Simulation simulation_;
  std::unique_ptr<Window<P>> window_;
  Arenas<P> arenas_;
  std::vector<Seat<P>> seats_;
  std::vector<Participant> members_;
  std::vector<const Worker<P>*> workers_;  // null when its thread has ended
  json record_;
  bool ready_ = false;
  u64 ended_ = 0;     // operations of threads that have ended
  u64 began_ns_ = 0;  // when the threads began to work
  WarmUp warm_up_;
  sim::Counts opened_, counted_;
  json events_before_ = json::object();
  json events_ = json::object();
  OpeningWatch opening_;
};

}  // namespace

json run_sim_trial_on(const TrialSpec& spec, const MakeArena<P>& make) {
  return SimTrial(spec, make).run();
}

json run_sim_trial(const TrialSpec& spec) {
  validate(spec.trial_case);
  return run_sim_trial_on(spec, [&](u32 threads) {
    Arena<P> arena = make_arena<P>(spec.trial_case, threads);
    if (spec.trial_case.is_on("kernel_entry") && arena.space)
      arena.space = std::make_unique<sim::KernelEntry>(std::move(arena.space));
    return arena;
  });
}

}  // namespace faultline
