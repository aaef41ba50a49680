// The cells of the checker's atomic<T> and data<T>: Relacy's, which announce each access to the
// search.
#pragma once

#include <cstring>
#include <type_traits>

#include "harness/check/weak_memory/relacy.hpp"
#include "harness/check/weak_memory/world.hpp"

namespace faultline::check {

inline u32 self() {
  if (!world().parallel) return world().acting_as;
  const auto* thread = rl::ctx().threadx_;
  return thread == nullptr ? 0 : static_cast<u32>(thread->index_);
}

inline rl::memory_order relacy_order(Order order) {
  switch (order) {
    case Order::relaxed:
      return rl::mo_relaxed;
    case Order::consume:
    case Order::acquire:
      return rl::mo_acquire;
    case Order::release:
      return rl::mo_release;
    case Order::acq_rel:
      return rl::mo_acq_rel;
    case Order::seq_cst:
      return rl::mo_seq_cst;
  }
  return rl::mo_seq_cst;
}

inline rl::debug_info info_of(const Where& where) {
  return {where.function_name(), where.file_name(), where.line()};
}

// While it lives, Relacy does not switch threads: it brackets Relacy's part of an access that has
// been announced already.
class Undisturbed {
 public:
  Undisturbed() { rl::ctx().disable_preemption(); }
  ~Undisturbed() { rl::ctx().enable_preemption(); }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;
};

// While it lives and an execution is prepared, the caller acts as that thread.
class ActingAs {
 public:
  explicit ActingAs(u32 thread) { world().acting_as = thread; }
  ~ActingAs() { world().acting_as = 0; }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;
};

// Waits until the search picks the caller's operation, which touches `object`.
inline void announce(Conflicts& object, bool writes) {
  World& here = world();
  if (!here.parallel) return;
  const u32 index = self();
  Thread& thread = here.threads[index];
  if (thread.long_spin != 0) {
    // All reads of the spin have been announced as one operation.
    if (!writes && here.explorer->next_of(index).touches(object)) return;
    thread.long_spin = 0;
  }
  Footprint& next = here.explorer->next_of(index);
  next.clear();
  next.add(object, writes);
  thread.accesses = true;
  here.explorer->arrived(index);
  rl::ctx().sched();
}

// Makes the threads ready that pause until `object` changes.
inline void note_write(Conflicts& object) {
  World& here = world();
  if (!here.parallel) return;
  ++object.version;
  here.threads[self()].note_own_write(object);
  for (u32 i = 0; i < most_threads; ++i) {
    const Thread& thread = here.threads[i];
    if (thread.awaits != nullptr && thread.awaits->has(object)) here.explorer->set_ready(i, true);
  }
}

// `stale`: the read saw an older value than the last.
inline void note_read(const Conflicts& object, bool stale) {
  if (!world().parallel) return;
  world().threads[self()].note_read(object, stale ? object.version - 1 : object.version);
}

// Relacy finds an access that comes after the object's destruction. This finds an access that came
// before it, but does not happen before it.
class LastAccesses {
 public:
  void note() {
    const auto& thread = *rl::ctx().threadx_;
    at_[thread.index_] = thread.own_acq_rel_order_;
  }
  void check_destroyed() const {
    if (!world().parallel) return;
    const auto& thread = *rl::ctx().threadx_;
    const auto threads = rl::ctx().get_thread_count();
    for (rl::thread_id_t i = 0; i < threads; ++i)
      if (thread.acq_rel_order_[i] < at_[i])
        world().fail("an object is destroyed although thread " + std::to_string(i) +
                     "'s last access to it need not have come before");
  }

 private:
  std::array<rl::timestamp_t, most_threads> at_{};
};

inline void log_access(const char* what, const void* object, u64 before, u64 after, Order order,
                       const Where& where, LogEntry::Values values, bool stale = false) {
  std::vector<LogEntry>* log = world().log;
  if (log == nullptr || !world().parallel || log->size() == log->capacity()) [[likely]]
    return;
  // The record contains only the first turn of a long spin.
  const u32 spin = world().threads[self()].long_spin;
  if (spin == 0 || spin == World::turns_of_long_spin)
    log->push_back({self(), what, object, before, after, order, where, values, stale});
}

// Finds an access that does not happen after the object's construction, which Relacy misses.
// Neither Relacy nor this check sees plain members.
class Making {
 public:
  // Called when the construction ends.
  void note() {
    if (!world().parallel) return;
    const auto& thread = *rl::ctx().threadx_;
    maker_ = thread.index_;
    at_ = thread.own_acq_rel_order_;
  }
  // Called before the access. If it fails the execution, the record ends with this access.
  void check_reached(const char* what, const void* object, Order order, const Where& where) const {
    if (at_ == 0) return;
    const auto& thread = *rl::ctx().threadx_;
    if (thread.index_ == maker_ || thread.acq_rel_order_[maker_] >= at_) return;
    log_access(what, object, 0, 0, order, where, LogEntry::Values::none);
    world().fail("a thread uses an object although nothing orders the use after its construction");
  }

 private:
  rl::thread_id_t maker_ = 0;
  rl::timestamp_t at_ = 0;  // 0: before the threads started
};

// Whether the caller meets with a surprise here.
inline bool is_surprise() {
  if (!world().parallel) return false;
  Thread& thread = world().threads[self()];
  if (thread.surprises_left == 0 || thread.long_spin != 0) return false;
  if (world().explorer->choose(2) == 0) return false;
  --thread.surprises_left;
  return true;
}

template <class T>
class AtomicCell : private Kept {
  using Values = LogEntry::Values;

 public:
  using Where = check::Where;

  AtomicCell() : AtomicCell(T{}) {}
  explicit AtomicCell(T value)
      : Kept([](Kept* self) { static_cast<AtomicCell*>(self)->~AtomicCell(); }) {
    const Undisturbed undisturbed;
    value_.store(stored(value), rl::mo_relaxed, {});
    made_.note();
  }
  ~AtomicCell() {
    accesses_.check_destroyed();
    world().forget(conflicts_);
    world().forget(queue_);
  }

  T load(Order order, const Where& where) const {
    order = world().order_at(order, SiteKind::load, where);
    announce(conflicts_, false);
    const Undisturbed undisturbed;
    made_.check_reached("load", this, order, where);
    const T value = value_.load(relacy_order(order), info_of(where));
    accesses_.note();
    const bool stale = value != value_.debug_value();
    note_read(conflicts_, stale);
    log_access("load", this, as_number(value), 0, order, where, Values::one, stale);
    return value;
  }
  void store(T value, Order order, const Where& where) {
    order = world().order_at(order, SiteKind::store, where);
    announce(conflicts_, true);
    const Undisturbed undisturbed;
    made_.check_reached("store", this, order, where);
    log_access("store", this, as_number(value), 0, order, where, Values::one);
    value_.store(stored(value), relacy_order(order), info_of(where));
    accesses_.note();
    note_write(conflicts_);
  }
  // A read-modify-write sees the last value, so to Relacy each is an exchange.
  template <class F>
  T modify(const char* what, F&& change, Order order, const Where& where) {
    order = world().order_at(order, SiteKind::exchange, where);
    announce(conflicts_, true);
    const Undisturbed undisturbed;
    made_.check_reached(what, this, order, where);
    const T before = value_.debug_value();
    const T after = change(before);
    value_.exchange(stored(after), relacy_order(order), info_of(where));
    accesses_.note();
    // A thread that waits for a change has nothing new to see in the same value. Two waiters of a
    // test-and-set lock would wake each other for ever.
    if (after != before) note_write(conflicts_);
    note_read(conflicts_, false);
    log_access(what, this, as_number(before), as_number(after), order, where, Values::two);
    return before;
  }
  bool compare_exchange(T& expected, T desired, bool weak, Order success, Order failure,
                        const Where& where) {
    success = world().order_at(success, SiteKind::exchange, where);
    failure = world().order_at(failure, SiteKind::failure, where);
    announce(conflicts_, true);
    const Undisturbed undisturbed;
    made_.check_reached("compare_exchange", this, success, where);
    const T before = value_.debug_value();
    const T wanted = expected;
    bool succeeds = before == expected;
    if (succeeds && weak) succeeds = !is_surprise();
    if (succeeds) {
      Stored same = stored(before);
      value_.compare_exchange(rl::bool_t<false>(), same, stored(desired), relacy_order(success),
                              rl::mo_relaxed, info_of(where));
      note_write(conflicts_);
    } else {
      // Relacy lets an exchange fail only by its value, so one that fails spuriously compares with
      // another value.
      Stored other = stored(before == wanted ? different(before) : wanted);
      const rl::memory_order order = relacy_order(failure);
      value_.compare_exchange(rl::bool_t<false>(), other, other, order, order, info_of(where));
      expected = before;
    }
    accesses_.note();
    note_read(conflicts_, false);
    log_access(succeeds ? "compare_exchange" : "compare_exchange fails", this, as_number(before),
               as_number(succeeds ? desired : wanted), succeeds ? success : failure, where,
               succeeds ? Values::two : Values::one);
    return succeeds;
  }

  // For Platform::wait: the last value, which decides whether the thread sleeps.
  T last_value(const Where& where) const {
    made_.check_reached("wait", this, Order::relaxed, where);
    return value_.debug_value();
  }
  Conflicts& conflicts() const { return conflicts_; }
  Conflicts& queue() const { return queue_; }

 private:
  static T different(T value) {
    if constexpr (std::is_same_v<T, bool>)
      return !value;
    else if constexpr (std::is_pointer_v<T>)
      return reinterpret_cast<T>(as_number(value) + 1);
    else
      return static_cast<T>(value + 1);
  }

  // Relacy stores no pointers to constant objects.
  using Stored =
      std::conditional_t<std::is_pointer_v<T>, std::remove_const_t<std::remove_pointer_t<T>>*, T>;
  static Stored stored(T value) {
    if constexpr (std::is_pointer_v<T>)
      return const_cast<Stored>(value);
    else
      return value;
  }

  rl::atomic<Stored> value_;
  mutable Conflicts conflicts_;
  mutable Conflicts queue_;  // the threads that sleep on the word
  Making made_;
  mutable LastAccesses accesses_;
};

template <class T>
class DataCell : private Kept {
  using Values = LogEntry::Values;

 public:
  using Where = check::Where;

  DataCell() : DataCell(T{}) {}
  explicit DataCell(T value)
      : Kept([](Kept* self) { static_cast<DataCell*>(self)->~DataCell(); }), value_(value) {}
  // The destructor stores once more, so that Relacy reports a later read as a race.
  ~DataCell() { value_(rl::debug_info("destruction")).store(T{}); }

  T load(const Where& where) const {
    log_access("reads data", this, 0, 0, Order::relaxed, where, Values::none);
    return value_(info_of(where)).load();
  }
  void store(T value, const Where& where) {
    log_access("writes data", this, as_number(value), 0, Order::relaxed, where, Values::one);
    value_(info_of(where)).store(value);
  }

 private:
  rl::var<T> value_;
};

}  // namespace faultline::check
