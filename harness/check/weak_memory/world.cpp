#include "harness/check/weak_memory/world.hpp"

#include <algorithm>

#include "harness/check/weak_memory/relacy.hpp"

namespace faultline::check {

void Thread::begin_execution() {
  forget_reads();
  awaits = nullptr;
  accesses = watches_clock = false;
  sleeps_on = may_return = nullptr;
  long_spin = wait_depth = must_not_sleep = rcu_depth = rcu_sections = 0;
  time = 0;
  waits_for = nullptr;
}

void World::begin_execution() {
  parallel = keeps = false;
  kept = nullptr;
  rcu = {};
  passes.begin_execution();
  for (Thread& thread : threads) {
    thread.begin_execution();
    thread.surprises_left = surprises;
  }
  if (arena_ == nullptr) {
    arena_ = static_cast<std::byte*>(std::aligned_alloc(cache_line, arena_bytes));
    if (arena_ == nullptr) throw std::bad_alloc();
    arena_used_ = arena_bytes;
  }
  std::memset(arena_, 0, arena_used_);
  arena_used_ = 0;
  if (log != nullptr) log->clear();
  if (labels != nullptr) labels->clear();
}

void* World::allocate(u32 thread, usize bytes, usize alignment) {
  const usize start = (arena_used_ + alignment - 1) / alignment * alignment;
  if (start + bytes > arena_bytes) fail("the checker's memory is used up");
  arena_used_ = start + bytes;
  name(arena_ + start, bytes, "memory", thread);
  return arena_ + start;
}

void World::forget(const Conflicts& object) {
  if (!parallel) return;
  const u32 self = static_cast<u32>(rl::ctx().current_thread());
  for (u32 i = 0; i < most_threads; ++i) {
    Thread& thread = threads[i];
    thread.forget(object);
    if (i != self && explorer->next_of(i).touches(object) && !explorer->finished(i)) {
      if (thread.accesses) fail("an object is destroyed that another thread is about to use");
      explorer->next_of(i).remove(object);
    }
  }
}

void World::note_site(const Site& site) {
  if (sites->size() == sites->capacity()) return;
  if (std::find(sites->begin(), sites->end(), site) == sites->end()) sites->push_back(site);
}

Order World::weakened(Order order, SiteKind kind, const Where& where) const {
  const Site here{where.file_name(), where.line(), where.column(), kind, order};
  if (!(weakening->site == here)) return order;
  return kind == SiteKind::wake ? Order::seq_cst : weakening->weaker;
}

void World::fail(const std::string& text) {
  const usize length = std::min(text.size(), failure.size() - 1);
  std::copy_n(text.begin(), length, failure.begin());
  failure[length] = '\0';
  rl::ctx().fail_test("", rl::test_result_user_assert_failed, {});
  std::abort();
}

void World::fail_stuck() {
  std::string text = explorer->too_long() ? "an execution without an end: " : "deadlock: ";
  for (u32 i = 0; i < most_threads; ++i) {
    const Thread& thread = threads[i];
    if (explorer->finished(i) || (!explorer->too_long() && explorer->ready(i))) continue;
    if (explorer->next_of(i).begin() == explorer->next_of(i).end()) continue;
    text += "thread " + std::to_string(i) + (thread.sleeps_on != nullptr ? " sleeps" : " spins") +
            (thread.waits_for != nullptr ? std::string(", for ") + thread.waits_for : "") + "; ";
  }
  fail(text.substr(0, text.size() - 2));
}

}  // namespace faultline::check
