#include "harness/check/weak_memory/platform.hpp"

namespace faultline {

using check::Conflicts;
using check::Footprint;
using check::LogEntry;
using check::Order;
using check::ReadSet;
using check::Thread;
using check::World;
using check::world;

namespace {

// Returns when the search picks the caller's operation, which ends a wait. From then on loads see
// no value older than the present one, since stores become visible in finite time.
void hand_over(Thread& thread) {
  auto& relacy = *rl::ctx().threadx_;
  relacy.last_yield_ = relacy.own_acq_rel_order_;
  thread.accesses = false;
  world().explorer->arrived(check::self());
  rl::ctx().sched();
}

// Waits until an object changes that the thread has read since its last pause at that line, or
// until a wake-up on `queue`, unless that is null.
void await_change(Thread& thread, u32 line, Conflicts* queue) {
  const u32 index = check::self();
  Footprint& next = world().explorer->next_of(index);
  next.clear();
  const ReadSet& reads = thread.reads_at(line);
  reads.append_to(next);
  if (queue != nullptr) next.add(*queue, false);
  world().explorer->set_ready(index, reads.changed());
  thread.awaits = &reads;
  thread.may_return = queue;
  hand_over(thread);
  thread.awaits = nullptr;
  thread.may_return = nullptr;
}

void sleep(Thread& thread, Conflicts& queue) {
  const u32 index = check::self();
  Footprint& next = world().explorer->next_of(index);
  next.clear();
  next.add(queue, false);
  thread.sleeps_on = &queue;
  world().explorer->set_ready(index, false);
  hand_over(thread);
}

}  // namespace

bool CheckPlatform::wait(atomic<u32>& word, u32 old, u64 deadline, Where where) {
  World& world = check::world();
  Thread& thread = here();
  if (thread.must_not_sleep != 0) world.fail("a try sleeps");
  Footprint& next = world.explorer->next_of(self());
  next.clear();
  next.add(word.cell().conflicts(), false);
  next.add(word.cell().queue(), true);
  thread.long_spin = 0;
  thread.accesses = true;
  world.explorer->arrived(self());
  rl::ctx().sched();
  const u32 value = word.cell().last_value(where);
  if (value != old) {
    check::log_access("wait, changed already", &word, value, 0, Order::relaxed, where,
                      LogEntry::Values::one);
    rl::ctx().threadx_->last_yield_ = rl::ctx().threadx_->own_acq_rel_order_;
    return true;
  }
  check::note_read(word.cell().conflicts(), false);
  const bool times_out = deadline != no_deadline && world.explorer->choose(2) == 1;
  const bool early = !times_out && check::is_surprise();
  check::log_access(times_out ? "wait, times out"
                    : early   ? "wait, returns early"
                              : "wait, sleeps",
                    &word, value, 0, Order::relaxed, where, LogEntry::Values::one);
  if (times_out) return false;
  if (early)
    await_change(thread, where.line(), &word.cell().queue());
  else
    sleep(thread, word.cell().queue());
  thread.begin_turn(where.line());
  return true;
}

void CheckPlatform::wake(atomic<u32>& word, u32 n, Where where) {
  World& world = check::world();
  if (world.wake_dropped(where)) return;
  check::announce(word.cell().queue(), true);
  check::log_access("wake", &word, n, 0, Order::relaxed, where, LogEntry::Values::one);
  std::array<u32, check::most_threads> asleep;
  u32 count = 0;
  for (u32 i = 0; i < check::most_threads; ++i) {
    if (world.threads[i].sleeps_on == &word.cell().queue()) asleep[count++] = i;
    if (world.threads[i].may_return == &word.cell().queue()) world.explorer->set_ready(i, true);
  }
  for (; n != 0 && count != 0; --n) {
    const u32 index = n >= count ? 0 : world.explorer->choose(count);
    world.threads[asleep[index]].sleeps_on = nullptr;
    world.explorer->set_ready(asleep[index], true);
    asleep[index] = asleep[--count];
  }
}

void CheckPlatform::pause(const void*, Where where) {
  World& world = check::world();
  if (!world.parallel) world.fail("waits, with no other thread to wait for");
  Thread& thread = here();
  if (thread.long_spin != 0 && --thread.long_spin != 0) return;
  if (thread.watches_clock && check::is_surprise()) {
    // The spin is one step, during which nothing that it reads changes.
    Footprint& next = world.explorer->next_of(self());
    next.clear();
    thread.reads_at(where.line()).append_to(next);
    hand_over(thread);
    thread.long_spin = World::turns_of_long_spin;
    thread.time += World::jump_ns;
  } else {
    await_change(thread, where.line(), nullptr);
  }
  thread.begin_turn(where.line());
}

u64 CheckPlatform::now() {
  Thread& thread = here();
  thread.watches_clock = thread.wait_depth != 0;
  if (check::is_surprise()) thread.time += World::jump_ns;
  return thread.time;
}

bool CheckPlatform::running(u32) {
  return !check::is_surprise();
}

u64 CheckPlatform::random() {
  return check::is_surprise() ? ~u64{0} : 0;
}

void CheckPlatform::rcu::read_lock(Where where) {
  World& world = check::world();
  if (here().rcu_depth++ != 0) return;
  check::announce(world.rcu, true);
  check::log_access("rcu read_lock", &world.rcu, 0, 0, Order::relaxed, where,
                    LogEntry::Values::none);
  ++here().rcu_sections;
}

void CheckPlatform::rcu::read_unlock(Where where) {
  World& world = check::world();
  if (here().rcu_depth == 0) world.fail("rcu::read_unlock without rcu::read_lock");
  if (--here().rcu_depth != 0) return;
  // The section lasts until the search picks this operation.
  ++here().rcu_depth;
  check::announce(world.rcu, true);
  --here().rcu_depth;
  check::log_access("rcu read_unlock", &world.rcu, 0, 0, Order::relaxed, where,
                    LogEntry::Values::none);
  check::note_write(world.rcu);
}

void CheckPlatform::rcu::synchronize(Where where) {
  World& world = check::world();
  if (!world.parallel) return;
  if (here().rcu_depth != 0) world.fail("rcu::synchronize inside a read section never returns");
  const auto step = [&](const char* what) {
    check::announce(world.rcu, true);
    rl::ctx().rl_global_fence();
    check::log_access(what, &world.rcu, 0, 0, Order::relaxed, where, LogEntry::Values::none);
  };
  step("rcu grace period begins");
  std::array<u32, check::most_threads> sections{};
  for (u32 i = 0; i < check::most_threads; ++i)
    if (world.threads[i].rcu_depth != 0) sections[i] = world.threads[i].rcu_sections;
  const auto lasts = [&](u32 i) {
    return sections[i] != 0 && world.threads[i].rcu_depth != 0 &&
           world.threads[i].rcu_sections == sections[i];
  };
  for (u32 i = 0; i < check::most_threads; ++i)
    while (lasts(i)) {
      check::note_read(world.rcu, false);
      pause(&world.rcu, where);
    }
  step("rcu grace period ends");
}

}  // namespace faultline
