// One thread of a workload. It calls the address space through its Worker, which counts every
// operation and in a latency trial also times it.
#pragma once

#include <array>
#include <bit>
#include <vector>

#include "locks/address_space/interface.hpp"

namespace faultline {

// The operations that are counted apart: those of the address space, `lock` for a bare lock's
// acquire and release, and `read` and `write` for accesses to memory: of a bare line, or a
// program's accesses to its pages. An access to a page that is not mapped also counts the fault
// that it takes.
enum class Operation : int {
  fault,
  map,
  unmap,
  protect,
  brk,
  discard,
  walk,
  scan,
  lock,
  read,
  write
};
inline constexpr int operation_kinds = 11;
inline constexpr const char* operation_names[operation_kinds] = {
    "fault", "map", "unmap", "protect", "brk", "discard", "walk", "scan", "lock", "read", "write"};

// The role of a thread in a case with --roles. `all` in a case without.
enum class Role : int { all, faulter, updater };

// The trial's phases, in order. Threads load the phase after every operation. The trial's main
// thread stores it. A thread that fails stores phase_failed: threads that wait for one another then
// leave, since the failed thread will not come.
inline constexpr u32 phase_warm_up = 0;
inline constexpr u32 phase_measure = 1;
inline constexpr u32 phase_stop = 2;
inline constexpr u32 phase_failed = 3;

template <class P>
struct alignas(cache_line) Window {
  typename P::template atomic<u32> phase{phase_warm_up};
};

// Log-linear: 16 buckets per octave, so a bucket is at most 6.25 % wide. Values are nanoseconds; no
// value is dropped.
class LatencyHistogram {
 public:
  static constexpr u32 sub_bits = 4;
  static constexpr u32 buckets = (64 - sub_bits + 1) << sub_bits;

  void add(u64 ns) {
    ++counts_[index(ns)];
    if (ns > max_) max_ = ns;
  }
  u64 count(u32 bucket) const { return counts_[bucket]; }
  u64 max() const { return max_; }
  static u64 low(u32 bucket) {
    const u32 octave = bucket >> sub_bits;
    const u64 sub = bucket & ((1U << sub_bits) - 1);
    return octave == 0 ? sub : (sub + (1U << sub_bits)) << (octave - 1);
  }
  static u64 high(u32 bucket) { return bucket + 1 < buckets ? low(bucket + 1) : ~u64{0}; }

 private:
  static u32 index(u64 ns) {
    const u32 width = static_cast<u32>(std::bit_width(ns));
    if (width <= sub_bits) return static_cast<u32>(ns);
    const u32 octave = width - sub_bits;
    return (octave << sub_bits) + static_cast<u32>((ns >> (octave - 1)) & ((1U << sub_bits) - 1));
  }
  std::vector<u64> counts_ = std::vector<u64>(buckets);
  u64 max_ = 0;
};

// The worker's own thread calls it when it sees the window open and close, outside the time from
// which its rate is computed.
class WindowObserver {
 public:
  virtual ~WindowObserver() = default;
  virtual void opened() = 0;
  virtual void closed() = 0;
};

// A worker's counts. Times are P::now(). The rate is operations over last_ns - first_ns, both the
// completion of an operation. The operation that completes at first_ns opens the count and is not
// in it.
struct Tally {
  std::array<u64, operation_kinds> operations{};
  std::array<u64, operation_kinds> errors{};
  u64 nested = 0;  // of `operations`: the faults of reads and writes, which are a part of these
  u64 rounds = 0;  // whole rounds from first_ns to last_ns; 0 for a workload without rounds
  u64 first_ns = 0;
  u64 last_ns = 0;
  std::vector<LatencyHistogram> latency;  // one per operation kind in a latency trial, else empty
};

template <class P>
class Worker {
 public:
  // `index`, below `threads`, is this worker's place among those that share `space`. `space` may be
  // null for a bare lock.
  Worker(AddressSpace* space, const Window<P>& window, u32 index, u32 threads, Role role,
         bool timed, WindowObserver* observer)
      : space_(space),
        window_(window),
        observer_(observer),
        index_(index),
        threads_(threads),
        role_(role),
        timed_(timed) {
    if (timed) tally_.latency.resize(operation_kinds);
  }

  u32 index() const { return index_; }
  u32 threads() const { return threads_; }
  Role role() const { return role_; }
  AddressSpace& space() { return *space_; }
  // The tally at the window's close. Operations that complete later, as when a workload cleans up,
  // are not in it. All zero if the window never opened for this thread.
  const Tally& tally() const { return closed_; }

  // Lets the threads start out of step, in a random order. Threads that wait for mmap_lock keep
  // their order, so an order by index would decide how often the lock goes from socket to socket.
  void start_in_random_order() const { P::work(P::random() % (u64{100} * threads_)); }

  // The trial's phase now. relaxed: the phase passes no data.
  u32 phase() const { return window_.phase.load(std::memory_order_relaxed); }
  // False once the window has closed: a workload's loop then ends, and leaves the address space in
  // any state.
  bool running() const { return phase() < phase_stop; }
  // Whether a thread of the trial has failed.
  bool failed() const { return phase() == phase_failed; }

  // An access to a page that should be missing. It counts the fault; where the page is mapped for
  // this CPU after all, it counts the read or the write. The kernel does not say which it was: on
  // scheme `linux` it counts the access, and the trial's record has the faults.
  Error fault(u64 address, Access access) {
    const u64 start = timed_ ? P::now() : 0;
    const bool mapped = space_->touch(address, access);
    const Error error = mapped ? Error::none : space_->fault(address, access);
    const Operation kind = mapped ? kind_of(access) : Operation::fault;
    if (timed_) note_time(kind, start);
    complete(kind, error != Error::none);
    return error;
  }
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) {
    return count(Operation::map, [&] { return space_->map(hint, length, prot, flags); });
  }
  Error unmap(u64 start, u64 length) {
    return count(Operation::unmap, [&] { return space_->unmap(start, length); });
  }
  Error protect(u64 start, u64 length, u32 prot) {
    return count(Operation::protect, [&] { return space_->protect(start, length, prot); });
  }
  MapResult brk(i64 delta) {
    return count(Operation::brk, [&] { return space_->brk(delta); });
  }
  Error discard(u64 start, u64 length) {
    return count(Operation::discard, [&] { return space_->discard(start, length); });
  }
  bool walk(u64 address) {
    return count(Operation::walk, [&] { return space_->walk(address); });
  }
  u64 scan() {
    return count(Operation::scan, [&] { return space_->scan(); });
  }

  // Write or read the page at `address` as a program does. A page that is mapped for this CPU takes
  // no fault. Else the fault is counted too, and the access is made again, as the CPU restarts the
  // instruction.
  Error write(u64 address) {
    return count(Operation::write, [&] { return access(address, Access::write); });
  }
  Error read(u64 address) {
    return count(Operation::read, [&] { return access(address, Access::read); });
  }

  // Rounds. A workload whose threads work in rounds calls begin_rounds() before its first round and
  // end_round() after each. The window then opens and closes for this thread between two rounds, so
  // that it holds whole rounds; what a thread does after its last whole round is not counted.
  // `phase` is the trial's phase, or the phase on which the threads have agreed at this round's
  // end. False: the window has closed, and the loop ends.
  void begin_rounds() { in_rounds_ = true; }
  bool end_round(u32 phase) {
    if (phase_ == phase_measure)
      remember_round();
    else if (phase == phase_measure)
      open();
    if (phase < phase_stop) return true;
    close_rounds();
    return false;
  }
  bool in_rounds() const { return in_rounds_; }
  // The whole rounds of the window so far. For this thread, or for the simulator.
  u64 rounds() const { return tally_.rounds; }

  // A workload calls this before it waits for other threads. If the window closes there, the last
  // completion was now.
  void about_to_wait() {
    if (!in_rounds_) idle_since_ = P::now();
    excused_.store(true, std::memory_order_relaxed);  // relaxed: see excused()
  }
  // A workload calls this when all threads have come.
  void done_waiting() {
    excused_.store(false, std::memory_order_relaxed);  // relaxed: see excused()
  }

  // Called after run() has returned. A thread that saw the window close between two operations
  // closes its tally here.
  void finish() {
    if (in_rounds_) return close_rounds();
    const bool idle = idle_since_ != 0 && excused();
    if (phase_ == phase_measure && !running()) close(idle ? idle_since_ : P::now());
  }

  // For a watch by another thread: the operations completed since the beginning, and whether none
  // need be expected, since the thread waits for its peers or repeat() does not announce its
  // operations. relaxed: a hint.
  u64 completed() const { return completed_.load(std::memory_order_relaxed) + repeated_; }
  bool excused() const { return excused_.load(std::memory_order_relaxed); }

  // Performs and counts one operation of `kind`. For operations of the address space, use the
  // functions above.
  template <class F>
  auto count(Operation kind, F&& perform) {
    if (timed_) [[unlikely]]
      return count_timed(kind, perform);
    auto result = perform();
    complete(kind, is_error(result));
    return result;
  }

  // Performs and counts operations of `kind` until the window has closed. It is for operations of a
  // few nanoseconds, which cannot fail. The count stays in a register, so the loop costs no more
  // than one written by hand. The loop checks the window's phase after every `at_once` operations.
  // A platform with `counts_freely` runs all threads in one, and its memory beside P::atomic and
  // P::data costs nothing, so there repeat() announces its operations.
  template <class F>
  void repeat(Operation kind, F&& perform, u32 at_once = 1) {
    excused_.store(true, std::memory_order_relaxed);  // relaxed: see excused()
    while (timed_ && running()) count_timed(kind, perform);
    while (running()) {
      const auto& window_phase = window_.phase;
      const u32 entered = phase_;
      u64 done = 0;
      u32 phase;
      do {
        for (u32 i = 0; i < at_once; ++i) perform();
        done += at_once;
        if constexpr (requires { requires P::counts_freely; }) repeated_ += at_once;
        phase = window_phase.load(std::memory_order_relaxed);  // relaxed: passes no data
      } while (phase == entered);
      tally_.operations[static_cast<usize>(kind)] += done;
      cross(phase);
    }
  }

 private:
  static bool is_error(Error error) { return error != Error::none; }
  static bool is_error(const MapResult& result) { return result.error != Error::none; }
  template <class T>
  static bool is_error(const T&) {
    return false;
  }

  template <class F>
  auto count_timed(Operation kind, F& perform) {
    auto result = timed(kind, perform);
    complete(kind, is_error(result));
    return result;
  }
  template <class F>
  auto timed(Operation kind, F& perform) {
    const u64 start = P::now();
    auto result = perform();
    note_time(kind, start);
    return result;
  }
  // Counts every operation that begins in the window, however late it ends. Its time includes the
  // handlers that have interrupted it.
  void note_time(Operation kind, u64 start) {
    P::settle();
    const u64 end = P::now();
    if (phase_ == phase_measure) tally_.latency[static_cast<usize>(kind)].add(end - start);
  }
  static Operation kind_of(Access access) {
    return access == Access::write ? Operation::write : Operation::read;
  }

  Error access(u64 address, Access access) {
    while (!space_->touch(address, access))
      if (const Error error = nested_fault(address, access); error != Error::none) return error;
    return Error::none;
  }
  Error nested_fault(u64 address, Access access) {
    const auto perform = [&] { return space_->fault(address, access); };
    const Error error = timed_ ? timed(Operation::fault, perform) : perform();
    ++tally_.nested;
    add(Operation::fault, error != Error::none);
    return error;
  }

  void add(Operation kind, bool error) {
    ++tally_.operations[static_cast<usize>(kind)];
    if (error) [[unlikely]]
      ++tally_.errors[static_cast<usize>(kind)];
  }
  void complete(Operation kind, bool error) {
    add(kind, error);
    // relaxed, both: see completed()
    completed_.store(completed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    const u32 now = phase();
    if (now != phase_ && !in_rounds_) [[unlikely]]
      cross(now);
  }

  // This thread has seen the window open or close. Without rounds the clock is read here and
  // nowhere else.
  void cross(u32 phase) {
    if (phase >= phase_stop && phase_ == phase_measure) close(P::now());
    if (phase == phase_measure) open();
    phase_ = phase;
  }

  void open() {
    if (observer_ != nullptr) observer_->opened();
    tally_.operations = {};
    tally_.errors = {};
    tally_.nested = 0;
    tally_.first_ns = P::now();
    phase_ = phase_measure;
  }

  void close(u64 now) {
    tally_.last_ns = now;
    if (observer_ != nullptr) observer_->closed();
    closed_ = tally_;
    phase_ = phase_stop;
  }

  // The histograms stay in tally_ until the window closes, since a copy would take longer than a
  // round. So they also hold the operations of a round that the window's close cut short.
  void remember_round() {
    ++tally_.rounds;
    closed_.operations = tally_.operations;
    closed_.errors = tally_.errors;
    closed_.nested = tally_.nested;
    closed_.rounds = tally_.rounds;
    closed_.first_ns = tally_.first_ns;
    closed_.last_ns = P::now();
  }
  void close_rounds() {
    if (phase_ == phase_measure) {
      if (observer_ != nullptr) observer_->closed();
      if (tally_.rounds != 0) closed_.latency = tally_.latency;
    }
    phase_ = phase_stop;
  }

  AddressSpace* space_;
  const Window<P>& window_;
  WindowObserver* observer_;
  u32 index_;
  u32 threads_;
  Role role_;
  bool timed_;
  u32 phase_ = phase_warm_up;  // the last phase that this thread has seen
  bool in_rounds_ = false;
  u64 idle_since_ = 0;
  typename P::template atomic<u64> completed_{0};
  typename P::template atomic<bool> excused_{false};
  u64 repeated_ = 0;  // operations of repeat(), where it announces them
  Tally tally_;
  Tally closed_;
};

}  // namespace faultline
