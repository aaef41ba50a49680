// Workload `replay:file=PATH`: the page faults and address-space calls of a real program, as fast
// as possible.
//
// A round is the whole recording. It starts from an address space that holds only the recording's
// preamble. When all threads have played their parts, each unmaps what it left, and the next round
// begins. This clearing up is not counted as operations, though the rate contains its time. A
// window that closes within a round ends the round: threads that wait for one another leave.
//
// Mappings are moved to the scheme's range for fixed addresses (relocate()), on every scheme alike.
// A recorded map without MAP_FIXED passes its address as a hint. Schemes try the hint before they
// search for a gap, so a replay does not exercise the search itself. The break is moved with brk,
// which `linux` plays as map and unmap.
//
// The recorded program, not a lock, makes a thread wait for another thread's step, so this time is
// not counted as waiting. But a thread's rate is taken over all the time up to the window's close,
// this waiting included. So this workload does not call about_to_wait(). The recorded threads have
// very unequal shares: a thread whose ten operations took one microsecond would otherwise add ten
// million operations a second to the case's sum.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "workloads/catalogue.hpp"
#include "workloads/replay_plan.hpp"
#include "workloads/workload.hpp"

namespace faultline {

// Counts upwards; threads wait until it has reached a value. It wraps. Only differences matter, and
// they stay far below 2^31.
template <class P>
class alignas(cache_line) ReplayProgress {
 public:
  void advance_to(u32 value) {
    // seq_cst, both: pairs with reached() and wait(). Either this thread sees the sleeper, or the
    // sleeper sees the value.
    value_.store(value, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) != 0) P::wake(value_, ~u32{0});
  }
  bool reached(u32 value) const {
    // acquire: pairs with advance_to(), so that the mappings of the awaited step are seen.
    return static_cast<std::int32_t>(value_.load(std::memory_order_acquire) - value) >= 0;
  }
  // False when `running()` became false first.
  template <class F>
  bool wait(u32 value, F&& running) {
    for (const u64 limit = P::now() + spin_ns; P::now() < limit;) {
      if (reached(value)) return true;
      P::pause(this);
    }
    // seq_cst, for this and the load of `seen` below: pairs with advance_to(), see there.
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    bool runs = true;
    while (!reached(value) && (runs = running())) {
      const u32 seen = value_.load(std::memory_order_seq_cst);
      // The close of the window wakes no sleeper, so the wait has a deadline.
      if (static_cast<std::int32_t>(seen - value) < 0) P::wait(value_, seen, P::now() + nap_ns);
    }
    // relaxed: a count that is too high only costs a vain wake-up
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
    return runs;
  }

 private:
  static constexpr u64 spin_ns = 8'000;
  static constexpr u64 nap_ns = 1'000'000;
  typename P::template atomic<u32> value_{0};
  typename P::template atomic<u32> sleepers_{0};
};

template <class P>
class Replay final : public Workload<P> {
 public:
  // Throws std::invalid_argument for a file that holds no recording, and for more threads than were
  // recorded.
  Replay(const Chosen& chosen, u32 threads)
      : Replay(std::make_shared<const Trace>(read_trace(chosen.word("file"))), threads) {}
  Replay(std::shared_ptr<const Trace> trace, u32 threads)
      : trace_(std::move(trace)),
        plan_(plan_replay(*trace_, threads)),
        progress_(std::make_unique<ReplayProgress<P>[]>(threads)) {}

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = plan_.frames_per_thread;
    options.vmas_per_thread = plan_.vmas_per_thread;
  }

  void set_up(Worker<P>& worker) override {
    AddressSpace& space = worker.space();
    const MapResult heap = space.brk(0);
    const Trace moved = relocate(*trace_, space.fixed_base(), fixed_span, heap.address);
    plan_ = plan_replay(moved, worker.threads());
    map_preamble(space);
  }

  // Each thread copies its steps, so that they lie on its own node.
  void enter(Worker<P>& worker) override {
    ReplayThread& own = plan_.threads[worker.index()];
    own = ReplayThread(own);
  }

  void run(Worker<P>& worker) override {
    const ReplayThread& own = plan_.threads[worker.index()];
    for (u32 round = 0; worker.running(); ++round) {
      if (!play(worker, own, round) || !meet(worker)) return;
      clear_up(worker.space(), own);
      if (!meet(worker)) return;
      if (worker.index() == 0) start_over(worker.space());
      if (!meet(worker)) return;
    }
  }

 private:
  // False when the window closed first.
  bool play(Worker<P>& worker, const ReplayThread& own, u32 round) {
    const u32 before = round * static_cast<u32>(own.steps.size());
    for (u32 i = 0; i < own.steps.size(); ++i) {
      const ReplayStep& step = own.steps[i];
      for (u32 need = step.needs_begin; need != step.needs_end; ++need)
        if (!await(worker, own.needs[need], round)) return false;
      perform(worker, step);
      if (step.awaited) progress_[worker.index()].advance_to(before + i + 1);
      if (!worker.running()) return false;
    }
    return true;
  }

  bool await(const Worker<P>& worker, const ReplayNeed& need, u32 round) {
    const u32 before = round * static_cast<u32>(plan_.threads[need.thread].steps.size());
    ReplayProgress<P>& other = progress_[need.thread];
    if (other.reached(before + need.steps)) return true;
    return other.wait(before + need.steps, [&] { return worker.running(); });
  }

  void perform(Worker<P>& worker, const ReplayStep& step) {
    const u64 address = step.address;
    switch (step.kind) {
      case TraceKind::read_fault:
        return expect(worker.fault(address, Access::read), step);
      case TraceKind::write_fault:
        return expect(worker.fault(address, Access::write), step);
      case TraceKind::map:
        return expect_at(worker.map(address, step.length, step.prot, step.flags), address, step);
      case TraceKind::unmap:
        return expect(worker.unmap(address, step.length), step);
      case TraceKind::protect:
        return expect(worker.protect(address, step.length, step.prot), step);
      case TraceKind::discard:
        return expect(worker.discard(address, step.length), step);
      case TraceKind::grow:
        return expect_at(worker.brk(static_cast<i64>(step.length)), address + step.length, step);
      case TraceKind::shrink:
        return expect_at(worker.brk(-static_cast<i64>(step.length)), address, step);
    }
  }

  static void expect(Error error, const ReplayStep& step) {
    if (error != Error::none) [[unlikely]]
      fail(to_string(error), step);
  }
  static void expect_at(const MapResult& result, u64 address, const ReplayStep& step) {
    expect(result.error, step);
    if (result.address != address) [[unlikely]]
      fail("another address", step);
  }
  [[noreturn]] static void fail(const char* what, const ReplayStep& step) {
    constexpr const char* names[] = {"read fault", "write fault", "map",  "unmap",
                                     "protect",    "discard",     "grow", "shrink"};
    throw std::runtime_error(fmt::format("replay: {} of {} bytes at {:#x} gave {}",
                                         names[static_cast<int>(step.kind)], step.length,
                                         step.address, what));
  }

  void map_preamble(AddressSpace& space) {
    for (const TraceMapping& mapping : plan_.preamble) {
      const MapResult result = space.map(mapping.range.start, mapping.range.length(), mapping.prot,
                                         mapping.flags | map_fixed);
      if (result.error != Error::none)
        throw std::runtime_error(
            fmt::format("replay: cannot map the preamble: {}", to_string(result.error)));
    }
  }

  void clear_up(AddressSpace& space, const ReplayThread& own) {
    for (const Range& range : own.leftovers)
      if (space.unmap(range.start, range.length()) != Error::none)
        throw std::runtime_error("replay: cannot unmap what a round left");
  }

  void start_over(AddressSpace& space) {
    const u64 grown = space.brk(0).address - plan_.heap.start;
    if (grown != 0 && space.brk(-static_cast<i64>(grown)).error != Error::none)
      throw std::runtime_error("replay: cannot move the break back");
    map_preamble(space);
  }

  // All threads meet at the end of a round. False when the window closed first. This is not the
  // barrier of the other workloads, whose waiting the rate leaves out (see the top).
  bool meet(const Worker<P>& worker) {
    const u32 threads = worker.threads();
    // acq_rel: the last thread sees what all did before, and publishes it by advance_to().
    const u32 ticket = arrived_.fetch_add(1, std::memory_order_acq_rel);
    const u32 turn = ticket / threads + 1;
    if (ticket % threads == threads - 1) {
      meetings_.advance_to(turn);
      return true;
    }
    return meetings_.wait(turn, [&] { return worker.running(); });
  }

  std::shared_ptr<const Trace> trace_;
  ReplayPlan plan_;
  std::unique_ptr<ReplayProgress<P>[]> progress_;  // by thread: the steps it has completed
  typename P::template atomic<u32> arrived_{0};
  ReplayProgress<P> meetings_;
};

}  // namespace faultline
