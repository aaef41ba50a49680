// Transactions over a B+tree whose blocks threads read without locking them: optimistic lock
// coupling (Leis, Scheibner, Kemper and Neumann, "The ART of Practical Synchronization", DaMoN
// 2016; Leis, Haubenschild and Neumann, "Optimistic Lock Coupling", IEEE Data Eng. Bull. 42(1),
// 2019), with commits as in Silo (Tu, Zheng, Kohler, Liskov and Madden, SOSP 2013).
//
// Versions. Each block has a version, and so has the head, which names the root: a counter, whose
// low bit is the block's lock. Whoever changes a block locks it, and adds to the counter when it
// unlocks it. A reader remembers the version before it reads, and trusts what it has read only if
// the version is still the same. When it goes down, it first loads the version of the block below,
// and then checks that the block above, which led there, is unchanged. Freed blocks stay locked and
// go to a list of the tree's own, and a version never goes back. So a reader may look at a freed
// block, and then sees that its version has changed. Readers follow no pointer to a caller's node:
// all that they compare is in the blocks.
//
// Transactions. To acquire a range is to find no conflict and to insert, at one moment, although
// ranges in conflict may belong into different leaves. So each operation is a transaction. It
// remembers the version of each block that it reads. It then locks the blocks that it will change,
// each from the version that it has seen, and last looks at the versions of all the others: if one
// has changed or is locked, it unlocks and starts again. At the moment of that look all is as it
// was read, so the operation takes effect there. Of two threads that insert ranges in conflict, at
// least one sees the other's lock.
//
// Progress. An operation that is not alone never waits for a block while it has locked another one.
// So operations do not deadlock, but they can fail one another. After some failures a thread takes
// its turn at a mutex, locks the head and is alone. So does a thread that reads too many blocks to
// remember. Each operation reads the head first. So an operation that has not made its last look by
// then fails there, and one that has made it has all its locks. What the thread that is alone reads
// unlocked therefore stays as it is. It waits where a block is locked, and does not fail.
#pragma once

#include <algorithm>

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/range/olc_blocks.hpp"
#include "locks/range/waiters.hpp"
#include "locks/types.hpp"

namespace faultline {

template <class P, template <class> class Mutex, class Node, u32 fan_out>
struct OlcTree {
  using Block = OlcBlock<P, Node, fan_out>;
  using Blocks = OlcBlocks<P, Mutex, Block>;

  struct alignas(cache_line) Head {
    typename Block::Version version{0};
    typename P::template atomic<Block*> root{nullptr};
    typename P::template atomic<u32> height{0};
  };

  OlcTree() {
    P::label(&head, "range.head");
    P::label(&first, "range.tree");
    Blocks::publish(first);
    Block::write(head.root, &first);
  }

  mutable Head head;
  alignas(cache_line) Blocks blocks;
  Block first;  // the first root
};

// What a thread wants to take. If it `joins`, its waiter joins the queue of a range in conflict.
template <class Node>
struct OlcWanted {
  Node& node;
  Range range;
  bool exclusive;
  bool joins;
};

// `too_large`: the operation must go alone.
enum class OlcOutcome { done, blocked, restart, too_large };

// One try of an operation. A thread that is `alone` has the mutex for that, and need not restart.
template <class P, template <class> class Mutex, class Node, u32 fan_out>
class OlcTransaction {
  using Tree = OlcTree<P, Mutex, Node, fan_out>;
  using Block = typename Tree::Block;
  using Blocks = typename Tree::Blocks;
  using Key = typename Block::Key;
  using Entry = typename Block::Entry;
  using Version = typename Block::Version;
  static constexpr u64 locked = Block::locked;
  static constexpr u32 most_reads = 64;

 public:
  OlcTransaction(Tree& tree, bool alone) : tree_(tree), alone_(alone) {
    head_.version = &tree.head.version;
    do enter_head();
    while (alone_ && !exchange(head_));
  }
  ~OlcTransaction() {
    if (alone_) unlock(head_, Block::changed);
  }
  OlcTransaction(const OlcTransaction&) = delete;
  OlcTransaction& operator=(const OlcTransaction&) = delete;

  OlcOutcome take(const OlcWanted<Node>& wanted) {
    const Key key{wanted.range.start, &wanted.node};
    return descend(
        key, [&](Step& step, u32 height) { return look(step, height, wanted, step.at); },
        [&](Step& leaf) {
          const OlcOutcome found = look(leaf, 0, wanted, fan_out);
          if (found != OlcOutcome::done) return found;
          return insert(
              leaf, {key, wanted.range.end, Block::hold_of(wanted.range.start, wanted.exclusive)});
        });
  }

  template <class F>
  OlcOutcome change(Node& node, const F& edit, Wakes<P>& wakes) {
    const Key key{node.came_at.load(), &node};
    return descend(
        key, [](Step&, u32) { return OlcOutcome::done; },
        [&](Step& leaf) {
          leaf.at = leaf.block->find(node);
          if (leaf.at == fan_out || !hold(leaf)) return OlcOutcome::restart;
          Entry entry = leaf.block->entry(leaf.at);
          edit(entry);
          return replace(leaf, entry, wakes);
        });
  }

 private:
  // A block on the way down, or the head. Its thread remembers what it saw there.
  struct Step {
    Step* above = nullptr;
    Version* version = nullptr;
    Block* block = nullptr;  // null for the head
    u64 seen = 0;
    u32 at = 0;         // the entry of the way down
    bool held = false;  // the thread has locked it
  };

  void enter_head() {
    // acquire: pairs with the release in unlock().
    while (((head_.seen = head_.version->load(std::memory_order_acquire)) & locked) != 0)
      P::pause(head_.version);
  }
  // Remembers the version, after which the thread may read. Fails where the block is locked.
  bool enter(Step& step) {
    for (;;) {
      // seq_cst: pairs with exchange(). A thread that is alone sees the locks of whoever passed
      // is_valid() before it locked the head. Pairs with the release in unlock() and publish()
      // too.
      step.seen = step.version->load(std::memory_order_seq_cst);
      if ((step.seen & locked) == 0) return true;
      if (!alone_) return false;
      P::pause(step.version);
    }
  }
  bool is_unchanged(const Step& step) const {
    // relaxed: the acquires of what was read order the loads. A failed try decides by it: the
    // conflict was there with the version that was seen. All else is looked at again in is_valid().
    return alone_ || step.version->load(std::memory_order_relaxed) == step.seen;
  }
  // Enters the block of entry `i`. Before the first check of the version above, the address may be
  // garbage. The second check shows that the block was below when its version was loaded.
  bool enter_below(Step& step, u32 i, Step& below) {
    below.above = &step;
    below.block = step.block->below(i);
    if (!is_unchanged(step)) return false;
    below.version = &below.block->version;
    return enter(below) && is_unchanged(step);
  }

  // Goes down to the leaf of the key and calls `at_leaf` there. Calls `beside` at each block on
  // the way, with the entry of the way in `at`, and goes on if it answers `done`.
  template <class Beside, class Leaf>
  OlcOutcome descend(const Key& key, const Beside& beside, const Leaf& at_leaf) {
    height_ = Block::read(tree_.head.height);
    Step root{&head_, nullptr, Block::read(tree_.head.root)};
    root.version = &root.block->version;
    if (!enter(root) || !is_unchanged(head_)) return OlcOutcome::restart;
    return descend(root, height_, key, beside, at_leaf);
  }
  template <class Beside, class Leaf>
  OlcOutcome descend(Step& step, u32 height, const Key& key, const Beside& beside,
                     const Leaf& at_leaf) {
    if (height == 0) return at_leaf(step);
    step.at = step.block->way_to(key);
    if (const OlcOutcome found = beside(step, height); found != OlcOutcome::done) return found;
    Step below;
    if (!enter_below(step, step.at, below)) return OlcOutcome::restart;
    return descend(below, height - 1, key, beside, at_leaf);
  }

  // Looks for a conflict under all entries but entry `but`. Answers `done` if there is none.
  OlcOutcome look(Step& step, u32 height, const OlcWanted<Node>& wanted, u32 but) {
    const Block& block = *step.block;
    const u32 count = block.count();
    for (u32 i = 0; i < count; ++i) {
      if ((i != 0 || height == 0) && block.start(i) >= wanted.range.end) break;
      if (i == but || block.end(i) <= wanted.range.start) continue;
      if (height == 0) {
        if (conflicts(block.hold(i), wanted)) return meet(step, i, wanted);
        continue;
      }
      Step below;
      if (!enter_below(step, i, below)) return OlcOutcome::restart;
      if (!remember(below)) return OlcOutcome::too_large;
      const OlcOutcome found = look(below, height - 1, wanted, fan_out);
      if (found != OlcOutcome::done) return found;
    }
    return OlcOutcome::done;
  }
  static bool conflicts(u64 hold, const OlcWanted<Node>& wanted) {
    return Block::begin_of(hold) < wanted.range.end &&
           (wanted.exclusive || Block::is_exclusive(hold));
  }
  bool remember(const Step& step) {
    if (alone_) return true;
    if (read_count_ == most_reads) return false;
    reads_[read_count_++] = {step.version, step.seen};
    return true;
  }

  // Entry `i` of the leaf is in conflict. With the version that was seen, the leaf was in the tree.
  OlcOutcome meet(Step& leaf, u32 i, const OlcWanted<Node>& wanted) {
    if (!wanted.joins) return is_unchanged(leaf) ? OlcOutcome::blocked : OlcOutcome::restart;
    if (!hold(leaf)) return OlcOutcome::restart;
    leaf.block->node(i)->blocked.add(wanted.node.waiter);
    unlock(leaf, 0);
    return OlcOutcome::blocked;
  }

  // Locks the block if it is as it was seen.
  bool hold(Step& step) {
    if (alone_ && step.block == nullptr) return true;
    while (!exchange(step)) {
      if (!alone_) return false;
      P::pause(step.version);
    }
    step.held = true;
    return true;
  }
  bool exchange(Step& step) {
    u64 seen = step.seen;
    // seq_cst: pairs with the loads in is_still() and enter(). Of two threads that each lock what
    // the other one has read, the later one in the one order of these accesses sees the lock of the
    // earlier one. relaxed on failure: nothing is read.
    return step.version->compare_exchange_strong(seen, seen | locked, std::memory_order_seq_cst,
                                                 std::memory_order_relaxed);
  }
  static void unlock(Step& step, u64 more) {
    // release: pairs with the acquire in enter() and in exchange().
    step.version->store(step.seen + more, std::memory_order_release);
  }
  // Unlocks all on the way that the thread has locked.
  void release(Step& leaf, u64 more) {
    for (Step* step = &leaf; step != nullptr; step = step->above)
      if (step->held) unlock(*step, more);
  }
  // Whether all that was read and is not locked by this thread is as it was.
  bool is_valid(const Step& leaf) const {
    if (alone_) return true;
    for (const Step* step = &leaf; step != nullptr; step = step->above)
      if (!step->held && !is_still(*step->version, step->seen)) return false;
    for (u32 i = 0; i < read_count_; ++i)
      if (!is_still(*reads_[i].version, reads_[i].seen)) return false;
    return true;
  }
  static bool is_still(const Version& version, u64 seen) {
    return version.load(std::memory_order_seq_cst) == seen;  // seq_cst: pairs with exchange()
  }

  OlcOutcome insert(Step& leaf, const Entry& entry) {
    if (!hold_for_insert(leaf, entry.end) || !is_valid(leaf)) {
      release(leaf, 0);
      return OlcOutcome::restart;
    }
    Block* lower = leaf.block;
    Block* upper = put_or_split(*lower, lower->place_of(entry.key), entry);
    for (Step* step = leaf.above; step->block != nullptr && step->held; step = step->above) {
      step->block->set_end(step->at, lower->greatest_end());
      lower = step->block;
      if (upper != nullptr) upper = put_or_split(*lower, step->at + 1, upper->entry_above());
    }
    if (upper != nullptr) raise_root(*lower, *upper);
    release(leaf, Block::changed);
    return OlcOutcome::done;
  }
  // Locks the leaf and the blocks above that split or whose entry gets a greater end.
  bool hold_for_insert(Step& leaf, u64 end) {
    if (!hold(leaf)) return false;
    bool splits = leaf.block->is_full();
    Step* step = leaf.above;
    for (; step->block != nullptr; step = step->above) {
      if (!splits && step->block->end(step->at) >= end) return true;
      if (!hold(*step)) return false;
      splits = splits && step->block->is_full();
    }
    return !splits || hold(*step);
  }

  // Puts `entry` in place of the leaf's entry `at`, or takes that away.
  OlcOutcome replace(Step& leaf, const Entry& entry, Wakes<P>& wakes) {
    if (!hold_for_replace(leaf, entry.end) || !is_valid(leaf)) {
      release(leaf, 0);
      return OlcOutcome::restart;
    }
    if (entry.end != 0)
      leaf.block->set(leaf.at, entry);
    else
      leaf.block->drop(leaf.at);
    Step* step = &leaf;
    for (; step->above->block != nullptr && step->above->held; step = step->above) {
      Step& above = *step->above;
      if (step->block->count() != 0) {
        above.block->set_end(above.at, step->block->greatest_end());
      } else {
        above.block->drop(above.at);
        free(*step);
      }
    }
    if (step != &leaf && step->above == &head_ && step->block->count() <= 1) lower_root(*step);
    entry.key.node->blocked.move_to(wakes);
    release(leaf, Block::changed);
    return OlcOutcome::done;
  }
  // Locks the blocks above the leaf whose entry gets another end or goes, the latter where the
  // end is 0. If such a root has one entry left or none, locks the head.
  bool hold_for_replace(Step& leaf, u64 end) {
    u32 left = 0;
    Step* step = &leaf;
    for (;; step = step->above) {
      left = step->block->count() - (end == 0 ? 1 : 0);
      end = std::max(end, step->block->greatest_end(step->at));
      Step& above = *step->above;
      if (above.block == nullptr) break;
      if (end != 0 && above.block->end(above.at) == end) return true;
      if (!hold(above)) return false;
    }
    return step == &leaf || left > 1 || hold(head_);
  }
  // A root without entries becomes a leaf. One with one entry is not needed.
  void lower_root(Step& root) {
    if (root.block->count() == 0) return Block::write(tree_.head.height, 0U);
    Block::write(tree_.head.root, root.block->below(0));
    Block::write(tree_.head.height, height_ - 1);
    free(root);
  }
  // Inserts the entry at index `at`. If the block is full, moves its upper half into a new one and
  // answers that.
  Block* put_or_split(Block& block, u32 at, const Entry& entry) {
    if (!block.is_full()) {
      block.put(at, entry);
      return nullptr;
    }
    Block& upper = tree_.blocks.take();
    block.split(upper);
    if (at <= block.count())
      block.put(at, entry);
    else
      upper.put(at - block.count(), entry);
    Blocks::publish(upper);
    return &upper;
  }
  void raise_root(const Block& lower, const Block& upper) {
    Block& root = tree_.blocks.take();
    root.put(0, lower.entry_above());
    root.put(1, upper.entry_above());
    Blocks::publish(root);
    Block::write(tree_.head.root, &root);
    Block::write(tree_.head.height, height_ + 1);
  }
  // The block stays locked.
  void free(Step& step) {
    tree_.blocks.give(*step.block);
    step.held = false;
  }

  struct Read {
    const Version* version;
    u64 seen;
  };
  Tree& tree_;
  const bool alone_;
  Step head_;
  u32 height_ = 0;
  u32 read_count_ = 0;  // beside the way down
  Read reads_[most_reads];
};

}  // namespace faultline
