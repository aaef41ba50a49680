// The subject of a container that is read under RCU: one thread edits it, others look up and walk
// meanwhile. No reader may miss a VMA that is there.
#pragma once

#include <array>

#include "harness/check/subjects/subjects.hpp"
#include "locks/address_space/vma.hpp"
#include "locks/vmas/concept.hpp"

namespace faultline::check {

// VMAs of one page each. Those with an even number stay in the tree, those with an odd number come
// and go. An act that holds exclusively makes the edits of its first cell; a shared one looks up;
// `moved` walks.
template <class Family>
class TreeSubject final : public Subject {
  struct NoState {
    static constexpr Layout layout = Layout::linux_6_18;
    struct Hot {};
    struct MostlyRead {};
    NoState(Hot&, MostlyRead&) {}
  };
  using V = Vma<P, Family::template Links, NoState, Layout::linux_6_18>;
  using Tree = typename Family::template Container<P, V>;

 public:
  explicit TreeSubject(const Program& program) : edits_(program.threads[0][0].first) {
    for (u32 i = 0; i < count; i += 2) insert(i);
  }
  void start(u32) override {}
  void finish(u32) override {}
  bool acquire(u32, const Act& act) override {
    if (act.tries) {
      if (const std::string wrong = tree_.check(); !wrong.empty()) world().fail(wrong);
      return true;
    }
    if (act.hold == Hold::exclusive)
      edit(act.first);
    else if (act.hold == Hold::moved)
      walk();
    else
      look_up();
    return false;
  }
  void change_hold(u32, const Act&) override {}
  void release(u32, const Act&) override {}

 private:
  static constexpr u32 count = 10;
  // The last VMA lies so far above the others that an xarray needs a higher root for it.
  static constexpr u32 far = count - 1;

  static Range place(u32 i) {
    const u64 start = lowest_address + (i == far ? 64 : 2 * i + 1) * page_size;
    return {start, start + page_size};
  }

  // The hole around a place with an odd number, while its neighbours are there.
  static Range hole(u32 i) { return {place(i - 1).end, place(i + 1).start}; }

  void insert(u32 i) { insert(i, place(i)); }
  void insert(u32 i, Range range) {
    vmas_[i].set_range(range);
    tree_.reserve(1);
    tree_.insert(vmas_[i]);
    // release: pairs with has_come's acquire. Whoever sees it follows the insert.
    come_[i].store(1, Order::release);
  }
  void erase(u32 i) { tree_.erase(vmas_[i]); }
  bool has_come(u32 i) const { return come_[i].load(Order::acquire) != 0; }

  void edit(u32 which) {
    if (which == 0) {  // in maple: copies, and splits
      insert(3);
      insert(1);
      insert(far);
    } else if (which == 1) {  // holes that end in another leaf, and nodes that take in a sibling;
                              // in bonsai: a VMA that moves up
      erase(4);
      erase(6);
      erase(2);
    } else if (which == 2) {  // a VMA comes and goes in the slot of a hole
      insert(3, hole(3));
      insert(5, hole(5));
      erase(5);
    } else {  // edges that move within a leaf
      const Range range = place(2);
      tree_.resize(vmas_[2], {range.start - page_size, range.end});
      tree_.resize(vmas_[2], range);
      tree_.resize(vmas_[2], {range.start, range.end + page_size});
    }
  }

  static bool comes_to_stay(u32 i) { return i == 1 || i == 3 || i == far; }
  // Whether the VMA is there from beginning to end.
  bool stays(u32 i) const { return i % 2 == 0 && (edits_ != 1 || i == 0 || i == 8); }

  void look_up() {
    for (u32 i = 0; i < count; ++i) {
      const bool is_there = stays(i) || (comes_to_stay(i) && has_come(i));
      P::rcu::read_lock();
      const V* found = tree_.find_rcu(place(i).start);
      P::rcu::read_unlock();
      if (found != nullptr && !found->range().contains(place(i).start))
        world().fail("a look-up answered a VMA that was not ready");
      if (found == nullptr && is_there) world().fail("a look-up missed a VMA");
      if (found != nullptr && found != &vmas_[i])
        world().fail("a look-up answered a VMA of another place");
    }
  }

  // A VMA that had come before a step began is not passed over by it.
  void walk() {
    P::rcu::read_lock();
    typename Tree::Walk walk(tree_, lowest_address);
    u32 expected = 0;
    for (;;) {
      u32 due = expected;
      while (due < count && !stays(due) && !(comes_to_stay(due) && has_come(due))) ++due;
      const V* vma = walk.next();
      const u32 seen = vma == nullptr ? count : static_cast<u32>(vma - vmas_.data());
      if (seen > due) world().fail("a walk passed over a VMA");
      if (vma == nullptr) break;
      if (!vma->range().contains(place(seen).start))
        world().fail("a walk answered a VMA that was not ready");
      if (seen + 1 < expected) world().fail("a walk went back");
      expected = seen + 1;
    }
    P::rcu::read_unlock();
  }

  const u32 edits_;  // those that the first thread makes
  std::array<V, count> vmas_;
  std::array<P::atomic<u32>, count> come_{};
  Tree tree_;
};

}  // namespace faultline::check
