// The cells of PCT's atomic<T> and data<T>.
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
    engine().fail("a thread uses an object before its construction or after its end");
}

template <class T>
class AtomicCell : public Cell {
  using Values = LogEntry::Values;

 public:
  using Where = pct::Where;

  AtomicCell() = default;
  explicit AtomicCell(T value) : value_(value) {}
  ~AtomicCell() {
    life = 0;
    engine().forget(*this);
  }

  T load(Order order, const Where& where) const {
    engine().step();
    engine().tell("load", this, as_number(value_), 0, order, where, Values::one);
    check_life(life);
    engine().note_read(*this);
    if (acquires(order)) engine().acquire(*this);
    return value_;
  }
  void store(T value, Order order, const Where& where) {
    engine().step();
    engine().tell("store", this, as_number(value), 0, order, where, Values::one);
    check_life(life);
    value_ = value;
    engine().note_write(*this);
    if (releases(order))
      engine().release(*this, false);
    else
      released = {};
  }
  template <class F>
  T modify(const char* what, F&& change, Order order, const Where& where) {
    engine().step();
    const T before = value_;
    const T after = change(before);
    engine().tell(what, this, as_number(before), as_number(after), order, where, Values::two);
    check_life(life);
    write(after, order);
    return before;
  }
  bool compare_exchange(T& expected, T desired, bool weak, Order success, Order failure,
                        const Where& where) {
    engine().step();
    const T before = value_;
    const bool succeeds = before == expected && !(weak && engine().is_surprise());
    engine().tell(succeeds ? "compare_exchange" : "compare_exchange fails", this, as_number(before),
                  as_number(desired), succeeds ? success : failure, where,
                  succeeds ? Values::two : Values::one);
    check_life(life);
    if (succeeds) {
      write(desired, success);
      return true;
    }
    expected = before;
    engine().note_read(*this);
    if (acquires(failure)) engine().acquire(*this);
    return false;
  }

  // For Platform::wait, which steps by itself.
  T value() const { return value_; }

 private:
  void write(T value, Order order) {
    value_ = value;
    engine().note_read(*this);
    engine().note_write(*this);
    if (acquires(order)) engine().acquire(*this);
    if (releases(order)) engine().release(*this, true);
  }

  T value_{};
};

// An access of plain memory is no step: only a race could tell two orders apart, and the vector
// clocks find a race in either order.
template <class T>
class DataCell {
  using Values = LogEntry::Values;

 public:
  using Where = pct::Where;

  DataCell() : DataCell(T{}) {}
  explicit DataCell(T value) : value_(value) { note_write(); }
  ~DataCell() {
    check_reads();
    life_ = 0;
  }

  T load(const Where& where) const {
    engine().tell("reads data", this, as_number(value_), 0, Order::relaxed, where, Values::one);
    check_life(life_);
    if (engine().in_parallel()) {
      check_write();
      reads_[engine().self()] = engine().clock()[engine().self()];
    }
    return value_;
  }
  void store(T value, const Where& where) {
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
  // Fails if the last write, or a read since that write, does not happen before this write.
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
