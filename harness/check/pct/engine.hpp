// Exploration by random priorities (PCT: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A
// Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010), for subjects
// that are too large for the search over Relacy. Each thread of an execution is a fiber. Before
// every access to an atomic the engine runs the ready thread of the highest priority. Priorities
// are drawn at random, and at d - 1 random steps of an execution the running thread's priority
// falls below all others. A flaw that needs d orderings among k steps of n threads shows up in an
// execution with a probability of at least 1 / (n k^(d-1)).
//
// Values are sequentially consistent. Memory orders count for plain data alone: an access races if
// the last write does not happen before it. Vector clocks find these races.
//
// Surprises come at random. They are the same as in the search over Relacy.
//
// An execution follows from its Schedule alone. Memory and stacks lie at the same addresses in
// every process, since locks hash addresses.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/check/common/log.hpp"

namespace faultline::pct {

using check::as_number;
using check::Label;
using check::LogEntry;
using check::most_threads;
using check::Order;
using check::Site;
using check::SiteKind;
using check::u8;
using check::Weakening;
using check::Where;

// A vector clock: for each thread, the number of its releases that happen before.
using Clock = std::array<u32, most_threads>;

inline void join(Clock& into, const Clock& from) {
  for (u32 i = 0; i < most_threads; ++i)
    if (from[i] > into[i]) into[i] = from[i];
}

// The state that every atomic keeps beside its value.
struct Cell {
  static constexpr u32 alive = 0xA11FE;  // the value of `life` from construction to destruction
  u32 life = alive;
  u32 version = 0;  // writes so far
  Clock released{};
};

struct Schedule {
  u64 seed = 1;
  u32 depth = 3;     // d: priorities change d - 1 times
  u32 steps = 1000;  // k: the changes fall within the first `steps` steps
};

struct Verdict {
  std::string failure;  // empty: none
  u32 steps = 0;        // of all threads together
};

// What RCU reclaims later, by a function that knows its type.
struct RcuNode {};

class Engine {
 public:
  static constexpr u32 most_steps = 40'000;   // an execution with more steps counts as a livelock
  static constexpr u64 jump_ns = 10'000'000;  // this jump passes every deadline that a lock sets

  constexpr Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs one execution: `body` makes the subject and calls `parallel`.
  Verdict run(const Schedule& schedule, const std::function<void()>& body);
  // For `body`: runs `thread(i)` for each of `threads` threads, until all have returned.
  void parallel(u32 threads, const std::function<void(u32)>& thread);
  // For `body`, outside parallel(): the caller acts as that thread.
  void act_as(u32 thread) { current_ = &threads_[thread]; }

  // Ends the execution as a failure. Does not return.
  [[noreturn]] void fail(const std::string& text);

  // ---- the record of an execution, where set; entries beyond the reserved room are left out

  std::vector<LogEntry>* log = nullptr;
  std::vector<Label>* labels = nullptr;

  // ---- weakenings: dropped wake-ups alone

  const Weakening* weakening = nullptr;
  std::vector<Site>* sites = nullptr;  // collects, if set

  // ---- for the platform

  bool in_parallel() const { return parallel_; }
  bool in_execution() const { return body_ != nullptr; }
  u32 self() const { return static_cast<u32>(current_ - threads_.data()); }

  // Before an access: runs the threads of higher priority first.
  void step() {
    if (!parallel_) return;
    if (++steps_ >= next_event_ || moved_) [[unlikely]]
      reconsider();
  }
  void note_read(const Cell& cell);
  void note_write(Cell& cell);
  void forget(const Cell& cell);

  void acquire(const Cell& cell) { join(current_->clock, cell.released); }
  // A store replaces what an acquire of the cell sees. A read-modify-write adds to it.
  void release(Cell& cell, bool adds) {
    if (!adds) cell.released = {};
    join(cell.released, current_->clock);
    ++current_->clock[self()];
  }
  const Clock& clock() const { return current_->clock; }

  bool is_surprise();
  u32 random_below(u32 limit);

  // False: the deadline has passed.
  bool sleep(const Cell& word, u64 deadline);
  void wake(const Cell& word, u32 n, const Where& where);
  void pause();
  void wait_begin(const char* what);
  void wait_end() { --current_->wait_depth; }
  u64 now();
  bool on_cpu(u32 thread);
  void rcu_lock() {
    if (current_->rcu_depth++ == 0) ++current_->sections;
  }
  void rcu_unlock();
  void rcu_synchronize();
  // Calls reclaim(node) when the read sections that are open now have ended: at once, or in the
  // thread that ends the last of them. Does not wait.
  void rcu_retire(RcuNode* node, void (*reclaim)(RcuNode*));

  void* allocate(usize bytes, usize alignment, const char* name = "memory");
  bool holds(const void* memory) const;
  void label(const void* object, usize bytes, const char* text) {
    if (labels != nullptr) add_label(object, bytes, text);
  }
  void tell(const char* what, const void* object, u64 before, u64 after, Order order,
            const Where& where, LogEntry::Values values) {
    if (log != nullptr && parallel_) [[unlikely]]
      add_entry({self(), what, object, before, after, order, where, values, false});
  }

 private:
  enum class Status : u8 { ready, paused, asleep, grace, done };
  static constexpr u32 most_reads = 24;
  // For each thread, the number of a read section; 0: none.
  using Sections = std::array<u32, most_threads>;
  struct Read {
    const Cell* cell;
    u32 version;
  };
  struct Thread {
    Status status = Status::done;
    i64 priority = 0;  // no two threads have the same priority
    void* context = nullptr;
    Clock clock{};
    // The cells that the thread has read since its last pause. Until one of them changes, the
    // thread would only read the same values again.
    std::array<Read, most_reads> reads{};
    u32 known_reads() const { return read_count < most_reads ? read_count : most_reads; }
    u32 read_count = 0;  // most_reads + 1: some reads did not fit, so everything counts as changed
    u32 turns = 0;       // pauses and sleeps so far
    const Cell* word = nullptr;  // the word that it sleeps on
    u64 deadline = no_deadline;
    bool timed_out = false;
    u32 surprises_left = 0;
    u32 wait_depth = 0;
    const char* waits_for = nullptr;
    u32 rcu_depth = 0, sections = 0;  // sections that it is inside; entered so far
    Sections grace{};                 // the sections that it waits for
  };
  struct Retired {
    RcuNode* node;
    void (*reclaim)(RcuNode*);
    Sections grace;  // must end first
  };

  void map_memory();
  void begin(const Schedule& schedule);
  void start_fiber(Thread& thread, u32 stack);
  void run_fiber();
  void reconsider();
  void block(Status status);
  void count_turn();
  void take_turn();
  Thread* first_ready();
  bool let_time_pass();
  void switch_to(Thread& thread);
  [[noreturn]] void leave();
  [[noreturn]] void fail_stuck(bool too_long);
  bool has_changed(const Thread& thread) const;
  Sections open_sections() const;
  bool have_ended(const Sections& sections) const;
  void fence_all();
  void reclaim_retired();
  void set_next_event();
  void add_label(const void* object, usize bytes, const char* text);
  void add_entry(const LogEntry& entry);
  bool is_dropped(const Where& where);

  std::byte* memory_ = nullptr;  // the stacks, then the arena
  usize used_ = 0;               // bytes of the arena

  std::vector<Retired> retired_;

  const std::function<void()>* body_ = nullptr;
  const std::function<void(u32)>* thread_body_ = nullptr;
  std::array<Thread, most_threads + 1> threads_;  // the last one runs the body
  Thread* current_ = nullptr;
  u32 thread_count_ = 0;
  bool parallel_ = false;
  bool moved_ = false;  // another thread may have become the one to run
  void* home_ = nullptr;

  Schedule schedule_;
  struct Change {
    u32 step;
    i64 priority;  // given to the thread that runs at that step
  };
  std::vector<Change> changes_;  // in order
  usize next_change_ = 0;
  u32 next_event_ = 0;
  i64 lowest_ = 0;  // the lowest priority given so far
  u32 steps_ = 0;
  u32 idle_ = 0;  // how many times in a row no thread was ready
  u64 time_ = 0;
  u64 random_ = 1;
  u32 surprise_rate_ = 1;  // one surprise in this many chances
  // Of the execution that runs. Optional, since a string is no constant for Clang 14 (engine()).
  std::optional<Verdict> verdict_;
};

// Each process has one engine, since an access must find it without an argument.
inline Engine& engine() {
  static constinit Engine engine;
  return engine;
}

}  // namespace faultline::pct
