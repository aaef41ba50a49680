// PCT's atomic<T> and data<T>.
#pragma once

#include "harness/check/pct/engine.hpp"

namespace faultline::pct {

inline bool acquires(Order order) {
  return order != Order::relaxed && order != Order::release;
}
inline bool releases(Order order) {
  return order == Order::release || order == Order::acq_rel || order == Order::seq_cst;
}

// Fails where an object is reclaimed, or its stack frame is gone: its `life` is not `alive`.
inline void check_life(u32 life) {
  if (life != Cell::alive) [[unlikely]]
    engine().fail("an object is used before its beginning or after its end");
}

// std::atomic's interface without its default orders and its operators.
template <class T>
class Atomic {
  static_assert(may_be_shared<T>, "only integers, bools and pointers may be shared");
  using Values = LogEntry::Values;

 public:
  Atomic() = default;
  Atomic(T value) : value_(value) {}
  ~Atomic() {
    cell_.life = 0;
    engine().forget(cell_);
  }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order order, Where where = Where::current()) const {
    engine().step();
    engine().tell("load", this, as_number(value_), 0, order, where, Values::one);
    check_life(cell_.life);
    engine().note_read(cell_);
    if (acquires(order)) engine().acquire(cell_);
    return value_;
  }

  void store(T value, Order order, Where where = Where::current()) {
    engine().step();
    engine().tell("store", this, as_number(value), 0, order, where, Values::one);
    check_life(cell_.life);
    value_ = value;
    engine().note_write(cell_);
    if (releases(order))
      engine().release(cell_, false);
    else
      cell_.released = {};
  }

  T exchange(T value, Order order, Where where = Where::current()) {
    return modify("exchange", order, where, [=](T) { return value; });
  }
  template <class U>
  T fetch_add(U amount, Order order, Where where = Where::current()) {
    return modify("fetch_add", order, where,
                  [=](T before) { return static_cast<T>(before + amount); });
  }
  template <class U>
  T fetch_sub(U amount, Order order, Where where = Where::current()) {
    return modify("fetch_sub", order, where,
                  [=](T before) { return static_cast<T>(before - amount); });
  }
  T fetch_and(T bits, Order order, Where where = Where::current()) {
    return modify("fetch_and", order, where,
                  [=](T before) { return static_cast<T>(before & bits); });
  }
  T fetch_or(T bits, Order order, Where where = Where::current()) {
    return modify("fetch_or", order, where,
                  [=](T before) { return static_cast<T>(before | bits); });
  }
  T fetch_xor(T bits, Order order, Where where = Where::current()) {
    return modify("fetch_xor", order, where,
                  [=](T before) { return static_cast<T>(before ^ bits); });
  }

  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure,
                               Where where = Where::current()) {
    return compare_exchange(expected, desired, success, failure, where, false);
  }
  // May fail although the value is the expected one.
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure,
                             Where where = Where::current()) {
    return compare_exchange(expected, desired, success, failure, where, true);
  }

  // For Platform::wait and wake, which step by themselves.
  T value() const { return value_; }
  const Cell& cell() const { return cell_; }

 private:
  void write(T value, Order order) {
    value_ = value;
    engine().note_read(cell_);
    engine().note_write(cell_);
    if (acquires(order)) engine().acquire(cell_);
    if (releases(order)) engine().release(cell_, true);
  }

  template <class F>
  T modify(const char* what, Order order, const Where& where, F&& change) {
    engine().step();
    const T before = value_;
    const T after = change(before);
    engine().tell(what, this, as_number(before), as_number(after), order, where, Values::two);
    check_life(cell_.life);
    write(after, order);
    return before;
  }

  bool compare_exchange(T& expected, T desired, Order success, Order failure, const Where& where,
                        bool weak) {
    engine().step();
    const T before = value_;
    const bool succeeds = before == expected && !(weak && engine().is_surprise());
    engine().tell(succeeds ? "compare_exchange" : "compare_exchange fails", this, as_number(before),
                  as_number(desired), succeeds ? success : failure, where,
                  succeeds ? Values::two : Values::one);
    check_life(cell_.life);
    if (succeeds) {
      write(desired, success);
      return true;
    }
    expected = before;
    engine().note_read(cell_);
    if (acquires(failure)) engine().acquire(cell_);
    return false;
  }

  T value_{};
  mutable Cell cell_;
};

// Plain memory. An access is no step: only a race could tell two orders apart, and the vector
// clocks find a race in either order.
template <class T>
class Data {
  static_assert(may_be_shared<T>, "only integers, bools and pointers may be shared");
  using Values = LogEntry::Values;

 public:
  Data() : Data(T{}) {}
  explicit Data(T value) : value_(value) { note_write(); }
  ~Data() {
    check_reads();
    life_ = 0;
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  T load(Where where = Where::current()) const {
    engine().tell("reads data", this, as_number(value_), 0, Order::relaxed, where, Values::one);
    check_life(life_);
    if (engine().in_parallel()) {
      check_write();
      reads_[engine().self()] = engine().clock()[engine().self()];
    }
    return value_;
  }
  void store(T value, Where where = Where::current()) {
    engine().tell("writes data", this, as_number(value), 0, Order::relaxed, where, Values::one);
    check_life(life_);
    check_reads();
    value_ = value;
    note_write();
  }

 private:
  void note_write() {
    if (!engine().in_parallel()) return;
    writer_ = engine().self();
    written_ = engine().clock()[writer_];
    reads_ = {};
  }
  void check_write() const {
    if (written_ > engine().clock()[writer_]) engine().fail("data race");
  }
  // Fails if the last write, or a read since, does not happen before.
  void check_reads() const {
    if (!engine().in_parallel()) return;
    check_write();
    for (u32 i = 0; i < most_threads; ++i)
      if (reads_[i] > engine().clock()[i]) engine().fail("data race");
  }

  T value_;
  u32 life_ = Cell::alive;
  u32 writer_ = 0, written_ = 0;  // the last writer, and its clock at that write
  mutable Clock reads_{};         // of each thread, its clock at its last read since that write
};

}  // namespace faultline::pct
