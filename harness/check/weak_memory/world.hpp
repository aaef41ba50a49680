// What the threads of one execution share with the checker: the search, what each thread has read
// since it last waited, the memory they allocate, the labels, and what is told of a failure.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "harness/check/common/log.hpp"
#include "harness/check/weak_memory/explorer.hpp"

namespace faultline::check {

// What a thread has read, and the version that it saw first. Until one of them has another version
// the thread would only read the same again.
class ReadSet {
 public:
  void clear() { count_ = 0; }
  // Once it is full, all counts as changed.
  void add(const Conflicts& object, u32 version) {
    for (u32 i = 0; i < count_; ++i)
      if (reads_[i].object == &object) {
        if (version < reads_[i].version) reads_[i].version = version;
        return;
      }
    if (count_ < reads_.size()) reads_[count_++] = {&object, version};
  }
  // `object` has a new version by the thread's own doing.
  void note_own_write(const Conflicts& object) {
    for (u32 i = 0; i < count_; ++i)
      if (reads_[i].object == &object && reads_[i].version + 1 == object.version)
        ++reads_[i].version;
  }
  void forget(const Conflicts& object) {
    for (u32 i = 0; i < count_;)
      if (reads_[i].object == &object)
        reads_[i] = reads_[--count_];
      else
        ++i;
  }
  bool has(const Conflicts& object) const {
    for (u32 i = 0; i < count_; ++i)
      if (reads_[i].object == &object) return true;
    return false;
  }
  bool changed() const {
    if (count_ == 0 || count_ == reads_.size()) return true;
    for (u32 i = 0; i < count_; ++i)
      if (reads_[i].object->version != reads_[i].version) return true;
    return false;
  }
  void append_to(Footprint& footprint) const {
    for (u32 i = 0; i < count_; ++i)
      footprint.add(const_cast<Conflicts&>(*reads_[i].object), false);
  }

 private:
  struct Read {
    const Conflicts* object = nullptr;
    u32 version = 0;
  };
  u32 count_ = 0;
  std::array<Read, Footprint::capacity - 1> reads_{};
};

// A thread's side of an execution. Surprises are choices that a lock meets again and again, and
// that would not end: time is over, an owner is off its CPU, a weak exchange fails, a wait returns
// early. They are dealt out, so many an execution.
struct Thread {
  // What it has read since it last paused at a place, for some places; and since it began to wait.
  // By place, since loops are nested: the inner one's pause does not end a turn of the outer.
  struct Place {
    u32 line = 0;
    ReadSet reads;
  };
  std::array<Place, 8> places{};
  u32 place_count = 0;
  ReadSet reads;
  const ReadSet* awaits = nullptr;  // it pauses until there is a change in this

  bool accesses = false;                  // its next operation is an access, not the end of a wait
  const Conflicts* sleeps_on = nullptr;   // in the futex queue of that word
  const Conflicts* may_return = nullptr;  // has left that queue without being woken
  u32 surprises_left = 0;
  u32 long_spin = 0;  // turns left of the spin that passes in one step
  bool watches_clock = false;
  u64 time = 0;
  u32 wait_depth = 0;
  const char* waits_for = nullptr;
  u32 must_not_sleep = 0;  // inside a try
  u32 rcu_depth = 0;
  u32 rcu_sections = 0;  // entered so far

  void begin_execution();
  void note_read(const Conflicts& object, u32 version) {
    reads.add(object, version);
    for (u32 i = 0; i < place_count; ++i) places[i].reads.add(object, version);
  }
  void note_own_write(const Conflicts& object) {
    reads.note_own_write(object);
    for (u32 i = 0; i < place_count; ++i) places[i].reads.note_own_write(object);
  }
  void forget(const Conflicts& object) {
    reads.forget(object);
    for (u32 i = 0; i < place_count; ++i) places[i].reads.forget(object);
  }
  // What counts for a pause at a line of the source.
  ReadSet& reads_at(u32 line) {
    for (u32 i = 0; i < place_count; ++i)
      if (places[i].line == line) return places[i].reads;
    return reads;
  }
  // A new turn begins at that line.
  void begin_turn(u32 line) {
    ReadSet& found = reads_at(line);
    if (&found != &reads) {
      found.clear();
    } else if (place_count < places.size()) {
      places[place_count].line = line;
      places[place_count++].reads.clear();
    }
  }
  // A wait begins, or ends.
  void forget_reads() {
    place_count = 0;
    reads.clear();
  }
};

// An object of Relacy's, in a list while the world keeps one: pools never destroy what they hold,
// and Relacy takes that for a leak.
class Kept {
 public:
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

 protected:
  explicit Kept(void (*destroy)(Kept*));
  ~Kept() {
    if (place_ == nullptr) return;
    *place_ = next_;
    if (next_ != nullptr) next_->place_ = place_;
  }

 private:
  friend class World;
  Kept** place_ = nullptr;
  Kept* next_ = nullptr;
  void (*destroy_)(Kept*);
};

class World {
 public:
  static constexpr usize arena_bytes = usize{1} << 22;
  static constexpr u32 turns_of_long_spin = 70;  // more than any lock's loop counts
  static constexpr u64 jump_ns = 10'000'000;     // past every deadline that a lock sets

  // ---- the caller's place

  Explorer* explorer = nullptr;
  u32 acting_as = 0;      // a thread, while `parallel` is false
  bool parallel = false;  // between construction and destruction of what is checked
  std::array<Thread, most_threads> threads{};
  Conflicts rcu;      // all sections and grace periods
  u32 surprises = 1;  // a thread, in one execution
  std::array<char, 256> failure{};

  // ---- weakenings and coverage

  const Weakening* weakening = nullptr;
  std::vector<Site>* sites = nullptr;  // collects, if set

  // ---- the telling

  std::vector<LogEntry>* log = nullptr;  // room is reserved: no allocation in an execution
  std::vector<Label>* labels = nullptr;

  // ---- what is left of pools, where a subject has some

  bool keeps = false;
  Kept* kept = nullptr;
  void destroy_kept() {
    while (kept != nullptr) kept->destroy_(kept);
  }

  void begin_execution();
  void end_execution() { parallel = false; }

  // Forgets an object that is no more; fails if another thread is about to use it.
  void forget(const Conflicts& object);

  Order order_at(Order order, SiteKind kind, const Where& where) {
    if (sites != nullptr) [[unlikely]]
      note_site({where.file_name(), where.line(), where.column(), kind, order});
    if (weakening != nullptr && weakening->site.line == where.line()) [[unlikely]]
      return weakened(order, kind, where);
    return order;
  }
  bool wake_dropped(const Where& where) {
    return order_at(Order::relaxed, SiteKind::wake, where) == Order::seq_cst;
  }

  // Ends the execution as a failure. Does not return.
  [[noreturn]] void fail(const std::string& text);
  [[noreturn]] void fail_stuck();

  void* allocate(u32 thread, usize bytes, usize alignment);
  void name(const void* object, usize bytes, const char* text, u32 thread = Explorer::nobody) {
    if (labels != nullptr && labels->size() < labels->capacity())
      labels->push_back({object, bytes, text, thread});
  }

 private:
  void note_site(const Site& site);
  Order weakened(Order order, SiteKind kind, const Where& where) const;

  std::byte* arena_ = nullptr;
  usize arena_used_ = 0;
};

// One a process: a thread of the checker must find it without an argument.
inline World& world() {
  static constinit World world;
  return world;
}

inline Kept::Kept(void (*destroy)(Kept*)) : destroy_(destroy) {
  World& here = world();
  if (!here.keeps) return;
  place_ = &here.kept;
  next_ = here.kept;
  if (next_ != nullptr) next_->place_ = &next_;
  here.kept = this;
}

}  // namespace faultline::check
