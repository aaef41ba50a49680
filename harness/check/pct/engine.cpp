#include "harness/check/pct/engine.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstring>
#include <new>
#include <utility>

#include "locks/random.hpp"

namespace faultline::pct {

namespace context = boost::context::detail;

namespace {

// An address where usually nothing is mapped. If something is, the memory lies elsewhere, and an
// execution repeats only within its process.
constexpr u64 base = u64{5} << 44;
constexpr usize stack_bytes = 128 << 10;
constexpr usize stacks_bytes = (stack_bytes + page_size) * (most_threads + 1);
constexpr usize arena_bytes = usize{64} << 20;
constexpr u32 most_idle = 100;  // more turns than any loop of a lock counts
// After this many waits a thread's priority falls below all others.
constexpr u32 turns_of_a_stay = 64;
constexpr u32 most_surprises = 3;  // for each thread

}  // namespace

void Engine::map_memory() {
  const auto map = [](void* at, int flags) {
    return mmap(at, stacks_bytes + arena_bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  };
  void* memory = map(reinterpret_cast<void*>(base), MAP_FIXED_NOREPLACE);
  if (memory == MAP_FAILED) memory = map(nullptr, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
  for (u32 i = 0; i <= most_threads; ++i)
    mprotect(memory_ + i * (stack_bytes + page_size), page_size, PROT_NONE);
}

// ---- executions

Verdict Engine::run(const Schedule& schedule, const std::function<void()>& body) {
  begin(schedule);
  body_ = &body;
  Thread& stage = threads_[most_threads];
  start_fiber(stage, most_threads);
  context::jump_fcontext(stage.context, nullptr);
  // All fibers have ended, or a failure has abandoned them.
  body_ = nullptr;
  parallel_ = false;
  verdict_->steps = steps_;
  return std::move(*verdict_);
}

void Engine::begin(const Schedule& schedule) {
  if (memory_ == nullptr) map_memory();
  schedule_ = schedule;
  verdict_.emplace();
  std::memset(memory_ + stacks_bytes, 0, used_);
  used_ = 0;
  random_ = splitmix64(schedule.seed) | 1;
  surprise_rate_ = 4U << 2 * random_below(3);
  for (Thread& thread : threads_) {
    thread = {};
    thread.surprises_left = random_below(most_surprises + 1);
  }
  current_ = threads_.data();
  steps_ = idle_ = 0;
  time_ = 0;
  parallel_ = moved_ = false;
  retired_.clear();
  if (log != nullptr) log->clear();
  if (labels != nullptr) labels->clear();
}

void Engine::start_fiber(Thread& thread, u32 stack) {
  std::byte* top = memory_ + (stack + 1) * (stack_bytes + page_size);
  if (labels != nullptr) labels->push_back({top - stack_bytes, stack_bytes, "stack", stack});
  thread.context = context::make_fcontext(top, stack_bytes, [](context::transfer_t from) {
    Engine& here = engine();
    if (from.data == nullptr)
      here.home_ = from.fctx;
    else
      *static_cast<void**>(from.data) = from.fctx;
    here.run_fiber();
  });
}

void Engine::run_fiber() {
  if (!parallel_) {
    (*body_)();
    leave();
  }
  (*thread_body_)(self());
  current_->status = Status::done;
  take_turn();
  std::abort();  // no thread switches to a fiber that is done
}

void Engine::parallel(u32 threads, const std::function<void(u32)>& thread) {
  thread_body_ = &thread;
  thread_count_ = threads;
  std::array<i64, most_threads> priorities;
  for (u32 i = 0; i < threads; ++i) priorities[i] = schedule_.depth + i;
  for (u32 i = threads; i > 1; --i) std::swap(priorities[i - 1], priorities[random_below(i)]);
  changes_.clear();
  for (u32 i = 1; i < schedule_.depth; ++i)
    changes_.push_back({1 + random_below(std::max(schedule_.steps, 1U)), i});
  std::sort(changes_.begin(), changes_.end(),
            [](const Change& a, const Change& b) { return a.step < b.step; });
  next_change_ = 0;
  lowest_ = 0;
  set_next_event();
  Clock prepared{};
  for (const Thread& each : threads_) join(prepared, each.clock);
  for (u32 i = 0; i < threads; ++i) {
    threads_[i].status = Status::ready;
    threads_[i].priority = priorities[i];
    threads_[i].clock = prepared;
    ++threads_[i].clock[i];
    start_fiber(threads_[i], i);
  }
  parallel_ = true;
  current_ = &threads_[most_threads];
  switch_to(*first_ready());
  parallel_ = false;
  current_ = threads_.data();
}

void Engine::leave() {
  void* abandoned = nullptr;
  context::jump_fcontext(home_, &abandoned);
  std::abort();
}

void Engine::fail(const std::string& text) {
  verdict_->failure = text;
  leave();
}

void Engine::fail_stuck(bool too_long) {
  std::string text = too_long ? "an execution without an end: " : "deadlock: ";
  for (u32 i = 0; i < thread_count_; ++i) {
    const Thread& thread = threads_[i];
    if (thread.status == Status::done) continue;
    text += "thread " + std::to_string(i) +
            (thread.status == Status::asleep  ? " sleeps"
             : thread.status == Status::grace ? " waits for a grace period"
             : thread.status == Status::paused || thread.wait_depth != 0 ? " spins"
                                                                         : " runs") +
            (thread.wait_depth != 0 ? std::string(", for ") + thread.waits_for : "") + "; ";
  }
  fail(text.substr(0, text.size() - 2));
}

// ---- whose turn it is

void Engine::set_next_event() {
  next_event_ = next_change_ < changes_.size() ? changes_[next_change_].step : most_steps;
}

void Engine::reconsider() {
  if (steps_ >= most_steps) fail_stuck(true);
  for (; next_change_ < changes_.size() && steps_ >= changes_[next_change_].step; ++next_change_)
    current_->priority = changes_[next_change_].priority;
  set_next_event();
  moved_ = false;
  switch_to(*first_ready());
}

Engine::Thread* Engine::first_ready() {
  Thread* first = nullptr;
  for (u32 i = 0; i < thread_count_; ++i)
    if (threads_[i].status == Status::ready &&
        (first == nullptr || threads_[i].priority > first->priority))
      first = &threads_[i];
  return first;
}

// Without this, two spinners that write the words which the other reads would never let a third
// thread run.
void Engine::count_turn() {
  if (++current_->turns % turns_of_a_stay != 0) return;
  current_->priority = --lowest_;
  moved_ = true;
}

void Engine::block(Status status) {
  count_turn();
  current_->status = status;
  take_turn();
}

// The running thread is not ready. Switches to the ready thread of the highest priority, or to the
// body when all threads are done.
void Engine::take_turn() {
  for (;;) {
    if (Thread* next = first_ready()) return switch_to(*next);
    if (std::all_of(threads_.begin(), threads_.begin() + thread_count_,
                    [](const Thread& thread) { return thread.status == Status::done; }))
      return switch_to(threads_[most_threads]);
    if (!let_time_pass()) fail_stuck(false);
  }
}

void Engine::switch_to(Thread& thread) {
  Thread& from = *current_;
  if (&from == &thread) return;
  current_ = &thread;
  const context::transfer_t back = context::jump_fcontext(thread.context, &from.context);
  *static_cast<void**>(back.data) = back.fctx;
}

// No thread is ready: advances the clock, which spinners may watch and which ends the sleep of a
// thread with a deadline. False: no thread waits for time, or the clock has advanced too often in
// vain.
bool Engine::let_time_pass() {
  bool any = false;
  time_ += jump_ns;
  for (u32 i = 0; i < thread_count_; ++i) {
    Thread& thread = threads_[i];
    const bool late = thread.status == Status::asleep && thread.deadline != no_deadline;
    if (!late && thread.status != Status::paused) continue;
    if (late) {
      thread.timed_out = true;
      time_ = std::max(time_, thread.deadline);
    }
    thread.status = Status::ready;
    any = true;
  }
  return any && ++idle_ <= most_idle;
}

// ---- what threads have read and written

void Engine::note_read(const Cell& cell) {
  if (!parallel_) return;
  Thread& here = *current_;
  for (u32 i = 0; i < here.known_reads(); ++i)
    if (here.reads[i].cell == &cell) return;
  if (here.read_count > most_reads) return;
  if (here.read_count < most_reads) here.reads[here.read_count] = {&cell, cell.version};
  ++here.read_count;
}

void Engine::note_write(Cell& cell) {
  if (!parallel_) return;
  idle_ = 0;
  ++cell.version;
  for (u32 i = 0; i < thread_count_; ++i) {
    Thread& thread = threads_[i];
    const bool own = &thread == current_;
    if (!own && thread.status != Status::paused) continue;
    for (u32 j = 0; j < thread.known_reads(); ++j) {
      Read& read = thread.reads[j];
      if (read.cell != &cell) continue;
      if (!own) {
        thread.status = Status::ready;
        moved_ = true;
      } else if (read.version + 1 == cell.version) {
        ++read.version;
      }
    }
  }
}

// Forgets a destroyed cell, since stack addresses are reused.
void Engine::forget(const Cell& cell) {
  if (!parallel_) return;
  for (u32 i = 0; i < thread_count_; ++i) {
    Thread& thread = threads_[i];
    if (thread.read_count > most_reads) continue;
    const auto end = thread.reads.begin() + thread.read_count;
    const auto left = std::remove_if(thread.reads.begin(), end,
                                     [&](const Read& read) { return read.cell == &cell; });
    thread.read_count = static_cast<u32>(left - thread.reads.begin());
  }
}

bool Engine::has_changed(const Thread& thread) const {
  if (thread.read_count == 0 || thread.read_count > most_reads) return true;
  return std::any_of(thread.reads.begin(), thread.reads.begin() + thread.read_count,
                     [](const Read& read) { return read.cell->version != read.version; });
}

// ---- chance

u32 Engine::random_below(u32 limit) {
  return static_cast<u32>((xorshift64_star(random_) >> 32) % limit);
}

bool Engine::is_surprise() {
  if (!parallel_ || current_->surprises_left == 0) return false;
  if (random_below(surprise_rate_) != 0) return false;
  --current_->surprises_left;
  return true;
}

// ---- memory

void* Engine::allocate(usize bytes, usize alignment, const char* name) {
  const usize start = (used_ + alignment - 1) / alignment * alignment;
  if (start + bytes > arena_bytes) fail("the explorer's memory is used up");
  used_ = start + bytes;
  std::byte* memory = memory_ + stacks_bytes + start;
  label(memory, bytes, name);
  return memory;
}

bool Engine::holds(const void* memory) const {
  const auto* at = static_cast<const std::byte*>(memory);
  return at >= memory_ && at < memory_ + stacks_bytes + arena_bytes;
}

void Engine::add_label(const void* object, usize bytes, const char* text) {
  if (labels->size() < labels->capacity()) labels->push_back({object, bytes, text, check::nobody});
}

void Engine::add_entry(const LogEntry& entry) {
  if (log->size() < log->capacity()) log->push_back(entry);
}

}  // namespace faultline::pct
