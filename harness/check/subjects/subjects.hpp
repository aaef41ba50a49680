// The subjects of locks: one template for each kind.
#pragma once

#include <algorithm>
#include <optional>

#include "harness/check/broken/flaws.hpp"
#include "harness/check/subjects/subject.hpp"
#include "harness/check/weak_memory/platform.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/mutex/osq.hpp"
#include "locks/range/nesting.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/vma_lock_hooks.hpp"
#include "locks/types.hpp"

namespace faultline::check {

using P = CheckPlatform;

template <class S>
Subject* make_subject(const Program& program) {
  void* memory = P::allocate(sizeof(S), alignof(S));
  S* subject = nullptr;
  if constexpr (std::is_constructible_v<S, const Program&>)
    subject = new (memory) S(program);
  else
    subject = new (memory) S();
  world().name(subject, sizeof(S), "lock");
  return subject;
}

// The threads' nodes. No other object of an execution takes over their memory.
template <class Node>
class Nodes {
 public:
  void start(u32 thread) {
    nodes_[thread].emplace();
    world().name(&nodes_[thread], sizeof(nodes_[thread]), "node", thread);
  }
  void finish(u32 thread) { nodes_[thread].reset(); }
  Node& operator[](u32 thread) { return *nodes_[thread]; }

 private:
  std::array<std::optional<Node>, most_threads> nodes_;
};

// While it lives, threads of even and of odd numbers run on two NUMA nodes.
struct TwoNumaNodes {
  TwoNumaNodes() { P::nodes = 2; }
  ~TwoNumaNodes() { P::nodes = 1; }
};

template <Mutex L>
class MutexSubject final : public Subject {
 public:
  void start(u32 thread) override { nodes_.start(thread); }
  void finish(u32 thread) override { nodes_.finish(thread); }
  bool acquire(u32 thread, const Act& act) override {
    if (act.tries) return lock_.try_lock(nodes_[thread]);
    lock_.lock(nodes_[thread]);
    return true;
  }
  void change_hold(u32, const Act&) override {}
  void release(u32 thread, const Act&) override { lock_.unlock(nodes_[thread]); }
  const Promise* promise() const override { return &L::promise; }

 private:
  TwoNumaNodes numa_;
  L lock_;
  Nodes<typename L::Node> nodes_;
};

template <SharedLock L>
class SharedSubject final : public Subject {
 public:
  void start(u32) override {}
  void finish(u32) override {}
  bool acquire(u32, const Act& act) override {
    if (act.tries) return act.hold == Hold::shared ? lock_.try_lock_shared() : lock_.try_lock();
    if (act.hold == Hold::shared)
      lock_.lock_shared();
    else
      lock_.lock();
    return true;
  }
  void change_hold(u32, const Act&) override { lock_.downgrade(); }
  void release(u32, const Act& act) override {
    if (act.hold == Hold::exclusive)
      lock_.unlock();
    else
      lock_.unlock_shared();
  }
  const Promise* promise() const override { return &L::promise; }

 private:
  TwoNumaNodes numa_;
  L lock_;
};

template <RangeLock L>
class RangeSubject final : public Subject {
 public:
  // Where all threads meet and not all share, two hold disjoint ranges at once, one of them
  // exclusive.
  explicit RangeSubject(const Program& program) {
    const auto meets = [](const Script& script) { return script.front().meets; };
    const auto shares = [](const Script& script) { return script.front().hold == Hold::shared; };
    if (std::all_of(program.threads.begin(), program.threads.end(), meets) &&
        !std::all_of(program.threads.begin(), program.threads.end(), shares))
      allow_nesting(lock_);
  }
  void start(u32 thread) override { nodes_.start(thread); }
  void finish(u32 thread) override { nodes_.finish(thread); }
  bool acquire(u32 thread, const Act& act) override {
    const bool exclusive = act.hold != Hold::shared;
    if (act.tries) return lock_.try_lock(nodes_[thread], range_of(act), exclusive);
    lock_.lock(nodes_[thread], range_of(act), exclusive);
    return true;
  }
  void change_hold(u32 thread, const Act& act) override {
    if (act.hold == Hold::downgraded)
      lock_.downgrade(nodes_[thread]);
    else
      lock_.downgrade_range(nodes_[thread],
                            {kept_cell(act) * page_size, (kept_cell(act) + 1) * page_size});
  }
  void release(u32 thread, const Act&) override { lock_.unlock(nodes_[thread]); }
  const Promise* promise() const override { return &L::promise; }

 private:
  static Range range_of(const Act& act) { return {act.first * page_size, act.end * page_size}; }
  L lock_;
  Nodes<typename L::Node> nodes_;
};

// A queue of spinners as a lock: its head holds it. A thread that leaves the queue has failed a
// try.
template <class Queue>
class QueueSubject final : public Subject {
 public:
  void start(u32) override {}
  void finish(u32) override {}
  bool acquire(u32, const Act&) override {
    const WaitScope<P> waiting(this, "the head of the queue");
    return queue_.enter() != OsqEntry::left;
  }
  void change_hold(u32, const Act&) override {}
  void release(u32, const Act&) override { queue_.exit(); }

 private:
  Queue queue_;
};

// The protocol of a lock in a VMA (locks/shared/vma_lock_hooks.hpp): one VMA, an address space
// under a mutex. A reader pins the VMA and gives up where a fault would fall back, or look the VMA
// up again. A move detaches it and lets it live in another address space, which then dies: a reader
// that pinned it there must have unpinned it by then. Where sleeping readers refer to the VMA, the
// last of them lets it live again.
template <class Hooks, Mutex BigLock, Flaw flaw = Flaw::none>
class VmaLockSubject final : public Subject {
  using State = typename Hooks::State;

 public:
  VmaLockSubject() {
    hooks_.open();
    vma_.attach(hooks_.owner());
    hooks_.close();
  }
  void start(u32) override {}
  void finish(u32) override {}
  bool acquire(u32 thread, const Act& act) override {
    if (act.hold == Hold::shared) return pin(thread) == PinResult::pinned;
    typename BigLock::Node node;
    big_lock_.lock(node);
    hooks_.open();
    if (!gone_ && flaw != Flaw::no_write_lock) vma_.start_write(hooks_.owner());
    if (flaw == Flaw::early_close) hooks_.close();
    return true;
  }
  void change_hold(u32 thread, const Act&) override {
    if (gone_) return;
    vma_.detach(hooks_.owner());
    gone_ = true;
    if (is_free()) live_elsewhere(thread);
  }
  void release(u32, const Act& act) override {
    if (act.hold == Hold::shared) return vma_.unpin(hooks_.owner());
    if (flaw != Flaw::early_close) hooks_.close();
    typename BigLock::Node node;
    big_lock_.unlock(node);
  }

 private:
  PinResult pin(u32 thread) {
    PinResult result = vma_.pin(hooks_.owner());
    if constexpr (State::rules.sleeps)
      if (result == PinResult::referred) {
        bool last = false;
        result = vma_.sleep(hooks_.owner(), last);
        if (last) live_elsewhere(thread);
      }
    return result;
  }
  // Whether nobody refers to the detached VMA.
  bool is_free() {
    if constexpr (State::rules.sleeps) return vma_.put() || flaw == Flaw::early_free;
    return true;
  }
  void live_elsewhere(u32 thread) {
    auto* other = new (P::allocate(sizeof(Hooks), alignof(Hooks))) Hooks();
    world().name(other, sizeof(*other), "address space", thread);
    other->open();
    vma_.attach(other->owner());
    other->close();
    other->open();
    vma_.start_write(other->owner());
    vma_.detach(other->owner());
    other->close();
    is_free();
    if (flaw != Flaw::early_free) other->close_down();
    other->~Hooks();
  }

  BigLock big_lock_;
  Hooks hooks_;
  typename State::Hot hot_;
  typename State::MostlyRead mostly_read_;
  State vma_{hot_, mostly_read_};
  bool gone_ = false;  // under big_lock_
};

}  // namespace faultline::check
