// A range lock in a B+tree under optimistic lock coupling: threads search the tree of the held
// ranges without writing to it. After Dave Chinner's range lock for the I/O path of XFS (2019), of
// which no source was found. What is known: his B-tree of ranges was first under a mutex
// (btree_range_lock.hpp), later under optimistic lock coupling. All else is a choice made here.
//
// Each entry of an inner block has the greatest end below it. A search, an insertion, a removal and
// a change of a range are transactions (olc_transaction.hpp). A thread that finds a conflict locks
// that leaf, joins the queue of the range, and sleeps. The holder locks the leaf of its range in
// order to release, downgrade or shrink it, and wakes the queue (retrying_range_lock.hpp).
//
// Further choices:
// - 16 entries a block. A full block splits in halves, and a block is freed when it is empty,
//   without merging before. A root with one entry left gives way to the block below.
// - The greatest ends are exact: whoever changes the greatest end of a block also locks the block
//   above. Stale ones would save these locks, but send searches into blocks without an overlap.
// - Entries are in the order of the starts with which the ranges came, those of one start in the
//   order of the callers' nodes. A hold that gives up its lower part keeps its place.
// - An operation that fails several times, or that reads more than 64 blocks beside its way down,
//   goes alone.
#pragma once

#include <string>
#include <vector>

#include "locks/backoff.hpp"
#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/mutex/section.hpp"
#include "locks/platform.hpp"
#include "locks/range/olc_blocks.hpp"
#include "locks/range/olc_transaction.hpp"
#include "locks/range/retrying_range_lock.hpp"
#include "locks/range/text.hpp"
#include "locks/range/waiter_queue.hpp"
#include "locks/types.hpp"

namespace faultline {

// The held ranges. `Mutex`, a mutex (locks/mutex/concept.hpp), is for threads that take turns
// alone, and guards the list of free blocks. `fan_out` is the number of entries of a block.
template <class P, template <class> class Mutex, u32 fan_out>
class OlcRanges {
 public:
  static constexpr bool shares = true;

  // While the range is held, its leaf's lock guards `blocked`. Only the owner uses the range here.
  // Other threads read it in the leaf.
  struct Node : RangeHold<P> {
    typename P::template data<bool> exclusive;
    typename P::template data<u64> came_at;  // the start with which the range came
    WaiterQueue<P> blocked;                  // the threads that sleep until this range is released
  };

  OlcRanges() : events_({"range.restarts", "range.alone"}) { P::label(&turns_, "range.mutex"); }

  bool take(Node& node, bool joins) {
    const OlcWanted<Node> wanted{node, node.range(), node.exclusive.load(), joins};
    node.came_at.store(wanted.range.start);
    return run([&](Transaction& transaction) { return transaction.take(wanted); }) ==
           OlcOutcome::done;
  }
  void release(Node& node) {
    change(node, [](Entry& entry) { entry.end = 0; });
  }
  void downgrade(Node& node) {
    change(node,
           [](Entry& entry) { entry.more = Block::hold_of(Block::begin_of(entry.more), false); });
  }
  void shrink(Node& node, Range range) {
    change(node, [&](Entry& entry) {
      entry.more = Block::hold_of(range.start, Block::is_exclusive(entry.more));
      entry.end = range.end;
    });
    node.set_range(range);
  }

  void append_events(Events& events) const { events_.append_to(events); }

  // In the order of the starts with which the ranges came.
  std::vector<std::string> describe() const {
    std::vector<std::string> lines;
    Lister lister{lines};
    if (!lister.lock(tree_.head.version))
      return {"range lock: locked, so its ranges cannot be listed"};
    if (!lister.list(*Block::read(tree_.head.root), height()))
      lines.push_back("range lock: a block is locked, so its ranges cannot be listed");
    Lister::unlock(tree_.head.version);
    return lines;
  }

  std::string check() const {
    std::string wrong;
    Key last{};
    const u64 used = check(*Block::read(tree_.head.root), height(), {}, last, wrong);
    if (used + tree_.blocks.count_free() != blocks()) wrong = "a block is lost";
    if (is_locked(tree_.head.version)) wrong = "the head is locked";
    return wrong;
  }
  u32 height() const { return Block::read(tree_.head.height); }
  u64 blocks() const { return 1 + tree_.blocks.made(); }  // in the tree and free

 private:
  enum Event : usize { restarts, alone, event_count };
  using Tree = OlcTree<P, Mutex, Node, fan_out>;
  using Transaction = OlcTransaction<P, Mutex, Node, fan_out>;
  using Block = typename Tree::Block;
  using Key = typename Block::Key;
  using Entry = typename Block::Entry;
  using Version = typename Block::Version;
  static constexpr u32 most_tries = backoff::looks<P>(8);

  // Lists the ranges of a tree whose head it has locked: waits until blocks are unlocked, but not
  // for ever, since the thread that has locked one may be the thread that is stuck.
  struct Lister {
    std::vector<std::string>& lines;
    u32 tries = 10'000;

    bool lock(Version& version) {
      for (;;) {
        u64 seen = version.load(std::memory_order_relaxed);  // relaxed: the exchange decides
        // acquire: pairs with the release in OlcTransaction::unlock(). relaxed on failure: nothing
        // is read.
        if ((seen & Block::locked) == 0 &&
            version.compare_exchange_strong(seen, seen | Block::locked, std::memory_order_acquire,
                                            std::memory_order_relaxed))
          return true;
        if (tries == 0) return false;
        --tries;
        P::pause(&version);
      }
    }
    static void unlock(Version& version) {
      // release: pairs with the acquires of the version. relaxed: this thread has locked it.
      version.store(version.load(std::memory_order_relaxed) & ~Block::locked,
                    std::memory_order_release);
    }

    bool list(Block& block, u32 height) {
      if (!lock(block.version)) return false;
      bool listed = true;
      for (u32 i = 0; listed && i < block.count(); ++i)
        if (height == 0)
          lines.push_back(line_of(block.entry(i)));
        else
          listed = list(*block.below(i), height - 1);
      unlock(block.version);
      return listed;
    }
    static std::string line_of(const Entry& entry) {
      const Node& node = *entry.key.node;
      return holder_text(node.thread.load(), {Block::begin_of(entry.more), entry.end},
                         Block::is_exclusive(entry.more), node.blocked.size());
    }
  };

  template <class F>
  void change(Node& node, const F& edit) {
    Wakes<P> wakes;
    run([&](Transaction& transaction) { return transaction.change(node, edit, wakes); });
    wakes.send();
  }

  template <class F>
  OlcOutcome run(const F& operate) {
    for (u32 tries = 1;; ++tries) {
      Transaction transaction(tree_, false);
      const OlcOutcome outcome = operate(transaction);
      if (outcome == OlcOutcome::too_large) break;
      if (outcome != OlcOutcome::restart) return outcome;
      events_.add(restarts);
      if (tries == most_tries) break;
      // Random, so that threads do not fail one another in step.
      P::work(P::random() % (backoff::pause_ns << (tries + 1)));
    }
    events_.add(alone);
    MutexSection<Mutex<P>> turn(turns_);
    Transaction transaction(tree_, true);
    return operate(transaction);
  }

  static bool is_locked(const Version& version) {
    return (version.load(std::memory_order_relaxed) & Block::locked) != 0;  // relaxed: for tests
  }
  // No key is below `lowest`. Answers the number of blocks.
  u64 check(const Block& block, u32 height, Key lowest, Key& last, std::string& wrong) const {
    const u32 count = block.count();
    if (count > fan_out) wrong = "a block has too many entries";
    if (count == 0 && (&block != Block::read(tree_.head.root) || height != 0))
      wrong = "a block is empty";
    if (is_locked(block.version)) wrong = "a block is locked";
    u64 blocks = 1;
    for (u32 i = 0; i < count; ++i) {
      const Entry entry = block.entry(i);
      if ((i != 0 || height == 0) && (!(last < entry.key) || entry.key < lowest))
        wrong = "keys are not in order";
      if (height == 0) {
        last = entry.key;
        if (Block::begin_of(entry.more) < last.start || Block::begin_of(entry.more) >= entry.end)
          wrong = "a range is empty or begins before its place";
        continue;
      }
      const Block& below = *block.below(i);
      if (below.greatest_end() != entry.end) wrong = "an end is not the greatest one below";
      blocks += check(below, height - 1, i == 0 ? lowest : entry.key, last, wrong);
    }
    return blocks;
  }

  Tree tree_;
  alignas(cache_line) Mutex<P> turns_;
  EventCounters<P, event_count> events_;
};

template <class P, template <class> class Mutex = Qspinlock, u32 fan_out = 16>
class BtreeOlcRangeLock : public RetryingRangeLock<P, OlcRanges<P, Mutex, fan_out>> {
 public:
  // For tests, with all threads at rest.
  u32 height() const { return this->held().height(); }
  u64 blocks() const { return this->held().blocks(); }
};

}  // namespace faultline
