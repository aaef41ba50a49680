// The search decides which thread runs next, and every other choice of an execution. It runs one
// execution after another until it has run all that matter.
//
// Exhaustive search is dynamic partial-order reduction with source sets and sleep sets (Abdulla,
// Aronsson, Jonsson and Sagonas, POPL 2014; after Flanagan and Godefroid, POPL 2005). Of the
// executions that differ only in the order of operations that do not conflict, it runs at least
// one. Two operations conflict if they touch one object and one of them writes it. Other choices,
// such as which store a load sees, are branches of their own. Bounded search runs every execution
// with a bounded number of preemptions and a bounded number of choices other than the default.
// Random search draws every choice.
//
// The search knows no memory. An operation is the set of objects that it touches (a Footprint). A
// thread is ready, or waits until its platform says that it is ready again.
#pragma once

#include <array>
#include <vector>

#include "harness/check/common/types.hpp"

namespace faultline::check {

// An object's last accesses in an execution, as numbers of events counted from 1.
struct Conflicts {
  u32 version = 0;                        // writes so far
  u32 write = 0;                          // the last write
  u32 taken = 0;                          // the last write that took it as a mutex
  std::array<u32, most_threads> reads{};  // each thread's last read since that write
};

// The objects that an operation touches.
class Footprint {
 public:
  struct Touch {
    Conflicts* object;
    bool writes;
    // It takes the object as a mutex: the thread is not ready until another write unlocks it.
    bool takes;
  };
  static constexpr u32 capacity = 24;

  void clear() { count_ = 0; }
  bool add(Conflicts& object, bool writes, bool takes = false) {
    if (count_ == capacity) return false;
    touches_[count_++] = {&object, writes, takes};
    return true;
  }
  void remove(const Conflicts& object) {
    for (u32 i = 0; i < count_;)
      if (touches_[i].object == &object)
        touches_[i] = touches_[--count_];
      else
        ++i;
  }
  const Touch* begin() const { return touches_.data(); }
  const Touch* end() const { return touches_.data() + count_; }
  bool touches(const Conflicts& object) const {
    for (const Touch& touch : *this)
      if (touch.object == &object) return true;
    return false;
  }
  bool conflicts_with(const Footprint& other) const {
    for (const Touch& mine : *this)
      for (const Touch& theirs : other)
        if (mine.object == theirs.object && (mine.writes || theirs.writes)) return true;
    return false;
  }

 private:
  u32 count_ = 0;
  std::array<Touch, capacity> touches_;
};

// `priorities` is PCT, without Relacy (harness/check/pct/engine.hpp).
enum class Search : u8 { exhaustive, bounded, random, replay, priorities };

struct SearchOptions {
  Search search = Search::exhaustive;
  u32 threads = 2;
  u32 surprises = 1;    // for each thread (Thread in world.hpp)
  u32 preemptions = 3;  // the most preemptions of a bounded search
  u32 deviations = 3;   // the most choices other than the default of a bounded search
  u64 seed = 1;         // the seed of a random search and of PCT
  u32 depth = 3;        // for PCT: priorities change depth - 1 times in an execution
  bool light = false;   // use Checked::make_light
};

class Explorer {
 public:
  using Path = std::vector<u8>;  // every decision of one execution, in order
  static constexpr u32 most_events = 8192;
  static constexpr u32 nobody = ~u32{0};

  explicit Explorer(const SearchOptions& options, Path replay = {});
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  void begin();
  // Prepares the next execution. False: none is left. A random search never answers false.
  bool advance();

  // The operation that `thread` will perform when it is picked. Every search first picks the
  // threads that have not announced an operation yet.
  Footprint& next_of(u32 thread) { return next_[thread]; }
  void arrived(u32 thread) { fresh_ &= ~bit(thread); }
  // Whether the next pick lets a thread go to its first operation, and performs none.
  bool arriving() const { return fresh_ != 0; }
  bool finished(u32 thread) const { return (finished_ & bit(thread)) != 0; }
  void set_ready(u32 thread, bool ready) {
    ready_ = ready ? ready_ | bit(thread) : ready_ & ~bit(thread);
  }
  bool ready(u32 thread) const { return (ready_ & bit(thread)) != 0; }
  void finish(u32 thread) {
    finished_ |= bit(thread);
    fresh_ &= ~bit(thread);
    ready_ &= ~bit(thread);
  }
  bool all_finished() const { return finished_ == bit(options_.threads) - 1; }

  // The thread that performs its operation next. `current` performed the last operation. `nobody`:
  // no thread is ready, or the execution is too long.
  u32 pick(u32 current);
  // A number below `limit`. 0 is the default.
  u32 choose(u32 limit);

  bool too_long() const { return too_long_; }
  u32 events() const { return event_count_; }
  const Path& path() const { return path_; }
  u64 redundant() const { return redundant_executions_; }

 private:
  using Clock = std::array<u32, most_threads>;
  struct Event {
    Clock clock;
    u32 node;
    u8 thread;
  };
  // A decision with alternatives. In a choice of a thread, each set of threads is a word of bits.
  // In any other choice `chosen` is below `count`.
  struct Node {
    u32 chosen;
    u32 count;  // 0: a choice of a thread
    u32 enabled, wanted, done, asleep;
  };

  static constexpr u32 bit(u32 thread) { return 1U << thread; }
  static u32 lowest(u32 set) { return static_cast<u32>(__builtin_ctz(set)); }

  u32 pick_exhaustive(u32 current);
  u32 pick_bounded(u32 current);
  u32 pick_random(u32 current);
  u32 random_below(u32 limit);
  void perform(u32 thread, bool counted);
  usize conflicting(u32 thread, std::array<u32, 32>& events) const;
  void look_for_races(u32 thread, const std::array<u32, 32>& events, usize count);
  void reverse(u32 first, u32 thread, Clock clock);
  bool before(const Event& event, const Clock& clock) const {
    return clock[event.thread] >= event.clock[event.thread];
  }

  SearchOptions options_;
  Path replay_;
  std::vector<Node> nodes_;
  std::vector<Event> trace_;
  u32 depth_ = 0;       // nodes passed in this execution
  u32 fresh_from_ = 0;  // nodes below it keep the decision of the last execution
  u32 event_count_ = 0;
  std::array<Footprint, most_threads> next_;
  std::array<Clock, most_threads> clocks_{};
  u32 fresh_ = 0, ready_ = 0, finished_ = 0, asleep_ = 0;
  bool blind_ = false;  // the execution is redundant and is only brought to its end
  bool too_long_ = false;
  u32 preemptions_ = 0, deviations_ = 0;
  u64 random_ = 0;
  u32 one_leaves_in_ = 2;  // in random search a thread goes on, but once in so many operations
  Path path_;
  u64 redundant_executions_ = 0;
};

}  // namespace faultline::check
