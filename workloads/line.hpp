// Every thread accesses the same cache line in a loop. A machine of the simulator must get this
// right before its results for locks mean anything. A load counts as operation `read`, any other
// access as `write`.
//   load         all threads read
//   store        all threads write by plain stores
//   rmw          all threads write by fetch-and-add
//   cas          all threads write by a loop of compare-and-swap; only its successes count
//   read_write   the first thread writes by fetch-and-add, the others read
// With own=on each thread has a line of its own, which shows the cost of an access without others.
#pragma once

#include <memory>

#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

template <class P>
class LineLoop final : public Workload<P> {
 public:
  LineLoop(const Chosen& chosen, u32 threads)
      : op_(op_of(chosen.word("op"))),
        gap_ns_(chosen.number("gap")),
        own_(chosen.word("own") == "on"),
        lines_(std::make_unique<Line[]>(own_ ? threads : 1)) {
    for (u32 i = 0; i < (own_ ? threads : 1); ++i) P::label(&lines_[i], "line");
  }

  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 1; }

  void run(Worker<P>& worker) override {
    Line& line = lines_[own_ ? worker.index() : 0];
    switch (op_) {
      case Op::load:
        return read(worker, line);
      case Op::store:
        return write(worker, [&line] { line.value.store(1, relaxed); });
      case Op::rmw:
        return write(worker, [&line] { line.value.fetch_add(1, relaxed); });
      case Op::cas:
        return write(worker, [&line] { add_by_cas(line); });
      case Op::read_write:
        if (worker.index() != 0) return read(worker, line);
        return write(worker, [&line] { line.value.fetch_add(1, relaxed); });
    }
  }

 private:
  // relaxed, everywhere: no access passes data.
  static constexpr auto relaxed = std::memory_order_relaxed;
  enum class Op { load, store, rmw, cas, read_write };
  struct alignas(cache_line) Line {
    typename P::template atomic<u64> value{0};
  };

  static Op op_of(std::string_view word) {
    return word == "load"    ? Op::load
           : word == "store" ? Op::store
           : word == "cas"   ? Op::cas
           : word == "rmw"   ? Op::rmw
                             : Op::read_write;
  }

  static void add_by_cas(Line& line) {
    u64 value = line.value.load(relaxed);
    while (!line.value.compare_exchange_weak(value, value + 1, relaxed, relaxed)) {
    }
  }

  void read(Worker<P>& worker, Line& line) {
    // Checking whether the window has closed can take longer than a load.
    constexpr u32 at_once = 16;
    loop(worker, Operation::read, at_once,
         [&line] { static_cast<void>(line.value.load(relaxed)); });
  }
  template <class F>
  void write(Worker<P>& worker, F&& access) {
    loop(worker, Operation::write, 1, access);
  }
  template <class F>
  void loop(Worker<P>& worker, Operation kind, u32 at_once, F&& access) {
    P::work(gap_ns_ * worker.index() / worker.threads());  // threads start out of step
    const u64 gap_ns = gap_ns_;
    worker.repeat(
        kind,
        [&access, gap_ns] {
          access();
          if (gap_ns != 0) P::work(gap_ns);
          return true;
        },
        gap_ns == 0 ? at_once : 1);
  }

  const Op op_;
  const u64 gap_ns_;
  const bool own_;
  const std::unique_ptr<Line[]> lines_;
};

}  // namespace faultline
