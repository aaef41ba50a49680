// The state of one execution: the search, the objects that each thread has read since it last
// waited, the memory that threads allocate, the labels, and the record of a failure.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "harness/check/common/log.hpp"
#include "harness/check/weak_memory/explorer.hpp"
#include "harness/check/weak_memory/passes.hpp"

namespace faultline::check {

// The objects that a thread has read, each with the version that it saw first. Until one of them
// has another version the thread would only read the same values again.
class ReadSet {
 public:
  void clear() { count_ = 0; }
  // A full set counts as changed.
  void add(const Conflicts& object, u32 version) {
    for (u32 i = 0; i < count_; ++i)
      if (reads_[i].object == &object) {
        if (version < reads_[i].version) reads_[i].version = version;
        return;
      }
    if (count_ < reads_.size()) reads_[count_++] = {&object, version};
  }
  // The thread itself has given `object` a new version.
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

// A thread of an execution. Surprises are choices that a loop of a lock could meet without end:
// time is over, an owner is off its CPU, a weak exchange fails, a wait returns early. In an
// execution each thread meets a limited number of them.
struct Thread {
  // The objects that the thread has read since it last paused at a line, for some lines, and since
  // it began to wait. Each line has a set of its own, since loops are nested: a pause of the inner
  // loop does not end a turn of the outer loop.
  struct Place {
    u32 line = 0;
    ReadSet reads;
  };
  std::array<Place, 8> places{};
  u32 place_count = 0;
  ReadSet reads;
  const ReadSet* awaits = nullptr;  // the thread pauses until one of these objects changes

  bool accesses = false;                  // the next operation is an access, not the end of a wait
  const Conflicts* sleeps_on = nullptr;   // the futex queue of the word that it sleeps on
  const Conflicts* may_return = nullptr;  // the queue that it has left without being woken
  u32 surprises_left = 0;
  u32 long_spin = 0;  // the turns left of a spin that passes in one step
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
  // The set for a pause at that line.
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

// An object of Relacy's that the world keeps in a list where `keeps` is set. Pools never destroy
// their objects, which Relacy takes for leaks, so the world destroys the objects that are left in
// the list.
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
  static constexpr u64 jump_ns = 10'000'000;     // this jump passes every deadline that a lock sets

  // ---- the search and its threads

  Explorer* explorer = nullptr;
  u32 acting_as = 0;      // while `parallel` is false: the thread that acts
  bool parallel = false;  // between construction and destruction of what is checked
  std::array<Thread, most_threads> threads{};
  Conflicts rcu;      // all sections and grace periods
  u32 surprises = 1;  // for each thread in an execution
  Passes passes;
  std::array<char, 256> failure{};

  // ---- weakenings and coverage

  const Weakening* weakening = nullptr;
  std::vector<Site>* sites = nullptr;  // collects, if set

  // ---- the record of a failure

  // Its room is reserved, since an execution must not allocate.
  std::vector<LogEntry>* log = nullptr;
  std::vector<Label>* labels = nullptr;

  // ---- the objects that pools leave behind

  bool keeps = false;
  Kept* kept = nullptr;
  void destroy_kept() {
    while (kept != nullptr) kept->destroy_(kept);
  }

  void begin_execution();
  void end_execution() { parallel = false; }

  // Forgets a destroyed object. Fails if another thread is about to use it.
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

// Each process has one world, since an access must find it without an argument.
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
