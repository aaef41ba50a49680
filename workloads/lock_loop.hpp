// A bare lock in a loop: acquire, a section of some nanoseconds, release, a gap. A share of the
// acquisitions reads, where the lock has a read side; sections and gaps of those that read may be
// different. Where the lock has no read side, all exclude one another. Threads lock a range lock
// over the `full` range, over `disjoint` ranges (one for each thread), over pages that are
// `interleaved` (each thread goes from one to the next of its own pages, and those of the other
// threads lie between), or over `random` ranges out of 256 slots (ArrBench's layout).
//
// Arm's lockhammer (github.com/ARM-software/synchronization-benchmarks) is such a loop. It reports
// the time of all acquisitions over their number: the inverse of this workload's rate. Its
// tbb_spin_rw_mutex writes once in 64 acquisitions of a thread (`write_every=64`).
#pragma once

#include <algorithm>

#include "locks/any.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/range/concept.hpp"
#include "locks/shared/concept.hpp"
#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

struct LockLoopShape {
  struct Mode {
    u64 section_ns;
    u64 gap_ns;
  };

  explicit LockLoopShape(const Chosen& chosen)
      : write{chosen.number("section"), chosen.number("gap")},
        read{chosen.number("read_section"), chosen.number("read_gap")},
        read_percent(chosen.number("read")),
        write_every(chosen.number("write_every")),
        readers(chosen.number("readers")),
        updates_beside(chosen.word("update") == "beside"),
        updates_apart(chosen.word("update") == "apart"),
        disjoint(chosen.word("ranges") == "disjoint"),
        interleaved(chosen.word("ranges") == "interleaved"),
        random(chosen.word("ranges") == "random") {}

  bool ever_reads() const { return read_percent != 0 || write_every != 0 || readers != 0; }
  // Every acquisition is exclusive, and section, gap and update are empty.
  bool is_bare() const {
    return write.section_ns == 0 && write.gap_ns == 0 && !ever_reads() && !updates_beside &&
           !updates_apart;
  }

  Mode write;
  Mode read;
  u64 read_percent;
  u64 write_every;
  u64 readers;
  bool updates_beside;
  bool updates_apart;
  bool disjoint;
  bool interleaved;
  bool random;
};

template <class P, class L>
class LockLoop final : public Workload<P> {
 public:
  // `options` say which virtual lock to use.
  explicit LockLoop(const Chosen& chosen, const AddressSpaceOptions& options = {})
      : shape_(chosen), own_(options) {
    label_lock<P>(own_.lock, "lock");
    P::label(&word_beside(), "word beside the lock");
    P::label(&apart_, "word apart from the lock");
  }

  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 1; }

  void run(Worker<P>& worker) override {
    P::work(shape_.write.gap_ns * worker.index() / worker.threads());  // threads start out of step
    // A copy, since the memory ordering of a lock would make the compiler load the members again.
    const LockLoopShape shape = shape_;
    u64 turn = 1;
    // The bare lock gets a loop of its own, which contains nothing but the lock.
    if (shape.is_bare())
      worker.repeat(Operation::lock,
                    [&] { return acquire_and_release(worker, turn++, false, [] {}); });
    for (; worker.running(); ++turn) {
      const bool reads = shape.ever_reads() && reads_in(shape, worker.index(), turn);
      const LockLoopShape::Mode& mode = reads ? shape.read : shape.write;
      worker.count(Operation::lock, [&] {
        return acquire_and_release(worker, turn, reads, [&] {
          if (shape.updates_beside) touch(word_beside(), reads);
          if (shape.updates_apart) touch(apart_, reads);
          if (mode.section_ns != 0) P::work(mode.section_ns);
        });
      });
      if (mode.gap_ns != 0) P::work(mode.gap_ns);
    }
  }

  void append_events(Events& events) const override {
    if constexpr (requires { own_.lock.append_events(events); }) own_.lock.append_events(events);
  }
  std::vector<std::string> holders() const override {
    if constexpr (RangeLock<L>)
      return own_.lock.describe();
    else if constexpr (SharedLock<L>)
      return {own_.lock.describe()};
    else
      return {};
  }

 private:
  static constexpr u64 slots = 256;

  // Whether the turn of that number reads.
  static bool reads_in(const LockLoopShape& shape, u32 thread, u64 turn) {
    if (thread < shape.readers) return true;
    if (shape.write_every != 0) return turn % shape.write_every != 0;
    return shape.read_percent != 0 && P::random() % 100 < shape.read_percent;
  }

  template <class Section>
  bool acquire_and_release(const Worker<P>& worker, u64 turn, bool reads, Section&& section) {
    L& lock = own_.lock;
    if constexpr (RangeLock<L>) {
      typename L::Node node;
      lock.lock(node, range_for(worker, turn), !reads);
      section();
      lock.unlock(node);
    } else if constexpr (SharedLock<L>) {
      reads ? lock.lock_shared() : lock.lock();
      section();
      reads ? lock.unlock_shared() : lock.unlock();
    } else {
      static_assert(Mutex<L>);
      typename L::Node node;
      lock.lock(node);
      section();
      lock.unlock(node);
    }
    return true;
  }

  using Cell = typename P::template atomic<u64>;

  // relaxed, all: the lock orders. Holders of disjoint ranges may lose an increment.
  static void touch(Cell& word, bool reads) {
    const u64 value = word.load(std::memory_order_relaxed);
    if (!reads) word.store(value + 1, std::memory_order_relaxed);
  }

  // Right behind the lock: on its line, or on its last line if it has several and room on the last.
  Cell& word_beside() {
    if constexpr (requires(L & lock) { lock.beside(); })
      return own_.lock.beside();
    else
      return own_.word;
  }

  static Range page(u64 number) { return {number * page_size, (number + 1) * page_size}; }
  // Where there are more threads than slots, interleaved pages are as disjoint ones.
  static Range interleaved_page(const Worker<P>& worker, u64 turn) {
    const u64 rounds = std::max<u64>(1, slots / worker.threads());
    return page(turn % rounds * worker.threads() + worker.index());
  }
  Range range_for(const Worker<P>& worker, u64 turn) const {
    if (shape_.disjoint) return page(worker.index());
    if (shape_.interleaved) return interleaved_page(worker, turn);
    if (!shape_.random) return {0, slots * page_size};
    const u64 a = P::random() % slots;
    const u64 b = P::random() % slots;
    return {(a < b ? a : b) * page_size, ((a < b ? b : a) + 1) * page_size};
  }

  struct Own {
    explicit Own(const AddressSpaceOptions& options) requires TakesOptions<L> : lock(options) {}
    explicit Own(const AddressSpaceOptions&) requires(!TakesOptions<L>) {}

    // The compiler puts the word into the rest of the lock's last line.
    alignas(cache_line) [[no_unique_address]] L lock;
    Cell word{0};
  };

  LockLoopShape shape_;
  Own own_;
  alignas(cache_line) Cell apart_{0};
};

}  // namespace faultline
