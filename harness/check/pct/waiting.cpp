// The calls with which threads of an execution wait for one another.
#include <algorithm>

#include "harness/check/pct/engine.hpp"

namespace faultline::pct {

// The caller has found the expected value in the word.
bool Engine::sleep(const Cell& word, u64 deadline) {
  if (!parallel_) fail("sleeps, with no other thread to wake it");
  if (deadline != no_deadline && is_surprise()) {
    time_ = std::max(time_, deadline);
    tell("wait, times out", &word, 0, 0, Order::relaxed, {}, LogEntry::Values::none);
    return false;
  }
  if (is_surprise()) {
    tell("wait, returns early", &word, 0, 0, Order::relaxed, {}, LogEntry::Values::none);
    return true;
  }
  Thread& here = *current_;
  here.word = &word;
  here.deadline = deadline;
  here.timed_out = false;
  block(Status::asleep);
  here.word = nullptr;
  here.read_count = 0;
  return !here.timed_out;
}

void Engine::wake(const Cell& word, u32 n, const Where& where) {
  if (is_dropped(where)) return;
  std::array<u32, most_threads> asleep;
  u32 count = 0;
  for (u32 i = 0; i < thread_count_; ++i)
    if (threads_[i].status == Status::asleep && threads_[i].word == &word) asleep[count++] = i;
  for (; n != 0 && count != 0; --n) {
    const u32 chosen = n >= count ? 0 : random_below(count);
    threads_[asleep[chosen]].status = Status::ready;
    moved_ = true;
    asleep[chosen] = asleep[--count];
  }
}

bool Engine::is_dropped(const Where& where) {
  const Site site{where.file_name(), where.line(), where.column(), SiteKind::wake, Order::relaxed};
  if (sites != nullptr && std::find(sites->begin(), sites->end(), site) == sites->end())
    sites->push_back(site);
  return weakening != nullptr && weakening->site == site;
}

// The thread continues when a cell changes that it has read since its last pause, since until then
// it would only do the same again. It also continues when no other thread can.
void Engine::pause() {
  if (!parallel_) fail("waits, with no other thread to wait for");
  if (!has_changed(*current_))
    block(Status::paused);
  else
    count_turn();
  current_->read_count = 0;
}

void Engine::wait_begin(const char* what) {
  if (current_->wait_depth++ == 0) current_->waits_for = what;
}

u64 Engine::now() {
  if (is_surprise()) time_ += jump_ns;
  return ++time_;
}

// A sleeping thread is off its CPU. Any other thread is off its CPU only by a surprise.
bool Engine::on_cpu(u32 thread) {
  const bool asleep = thread < thread_count_ && threads_[thread].status == Status::asleep;
  return !asleep && !is_surprise();
}

void Engine::rcu_unlock() {
  if (current_->rcu_depth == 0) fail("rcu::read_unlock without rcu::read_lock");
  --current_->rcu_depth;
  for (u32 i = 0; i < thread_count_; ++i)
    if (threads_[i].status == Status::grace && have_ended(threads_[i].grace)) {
      threads_[i].status = Status::ready;
      moved_ = true;
    }
  reclaim_retired();
}

Engine::Sections Engine::open_sections() const {
  Sections open{};
  for (u32 i = 0; i < thread_count_; ++i)
    open[i] = threads_[i].rcu_depth != 0 ? threads_[i].sections : 0;
  return open;
}

bool Engine::have_ended(const Sections& sections) const {
  for (u32 i = 0; i < thread_count_; ++i)
    if (sections[i] != 0 && threads_[i].rcu_depth != 0 && threads_[i].sections == sections[i])
      return false;
  return true;
}

// A grace period has a fence in every thread, as membarrier(2) makes it.
void Engine::fence_all() {
  Clock all{};
  for (u32 i = 0; i < thread_count_; ++i) join(all, threads_[i].clock);
  for (u32 i = 0; i < thread_count_; ++i) {
    join(threads_[i].clock, all);
    ++threads_[i].clock[i];
  }
}

// Priorities decide how long the grace period lasts beyond the last reader.
void Engine::rcu_synchronize() {
  if (!parallel_) return;
  Thread& here = *current_;
  if (here.rcu_depth != 0) fail("rcu::synchronize inside a read section never returns");
  fence_all();
  here.grace = open_sections();
  if (!have_ended(here.grace)) block(Status::grace);
  fence_all();
}

void Engine::rcu_retire(RcuNode* node, void (*reclaim)(RcuNode*)) {
  if (!parallel_) return reclaim(node);
  retired_.push_back({node, reclaim, open_sections()});
  reclaim_retired();
}

// A reclaim lets other threads run, which retire and reclaim too.
void Engine::reclaim_retired() {
  for (;;) {
    const auto due = std::find_if(retired_.begin(), retired_.end(),
                                  [&](const Retired& one) { return have_ended(one.grace); });
    if (due == retired_.end()) return;
    const Retired one = *due;
    retired_.erase(due);
    fence_all();
    one.reclaim(one.node);
  }
}

}  // namespace faultline::pct
