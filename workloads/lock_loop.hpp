// A bare lock in a loop: acquire, a section of some nanoseconds, release, a gap. A share of the
// acquisitions reads, where the lock has a read side. Threads lock a range lock over the `full`
// range, over `disjoint` ranges (one for each thread), or over `random` ranges out of 256 slots
// (ArrBench's layout).
#pragma once

#include "locks/any.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/range/concept.hpp"
#include "locks/shared/concept.hpp"
#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

struct LockLoopShape {
  explicit LockLoopShape(const Chosen& chosen)
      : section_ns(chosen.number("section")),
        gap_ns(chosen.number("gap")),
        read_percent(chosen.number("read")),
        disjoint(chosen.word("ranges") == "disjoint"),
        random(chosen.word("ranges") == "random") {}

  u64 section_ns;
  u64 gap_ns;
  u64 read_percent;
  bool disjoint;
  bool random;
};

template <class P, class L>
class LockLoop final : public Workload<P> {
 public:
  // `options` say which virtual lock to use.
  explicit LockLoop(const Chosen& chosen, const AddressSpaceOptions& options = {})
      : shape_(chosen), lock_(lock_of<L>(options)) {}

  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 1; }

  void run(Worker<P>& worker) override {
    P::work(shape_.gap_ns * worker.index() / worker.threads());  // threads start out of step
    // A copy, since the memory ordering of a lock would make the compiler load the members again.
    const LockLoopShape shape = shape_;
    // The bare lock gets a loop of its own, which contains nothing but the lock.
    if (shape.section_ns == 0 && shape.gap_ns == 0 && shape.read_percent == 0)
      worker.repeat(Operation::lock, [&] { return acquire_and_release(worker, false, 0); });
    while (worker.running()) {
      const bool reads = shape.read_percent != 0 && P::random() % 100 < shape.read_percent;
      worker.count(Operation::lock,
                   [&] { return acquire_and_release(worker, reads, shape.section_ns); });
      if (shape.gap_ns != 0) P::work(shape.gap_ns);
    }
  }

  void append_events(Events& events) const override {
    if constexpr (requires { lock_.append_events(events); }) lock_.append_events(events);
  }
  std::vector<std::string> holders() const override {
    if constexpr (RangeLock<L>)
      return lock_.describe();
    else if constexpr (SharedLock<L>)
      return {lock_.describe()};
    else
      return {};
  }

 private:
  static constexpr u64 slots = 256;

  bool acquire_and_release(const Worker<P>& worker, bool reads, u64 section_ns) {
    if constexpr (RangeLock<L>) {
      typename L::Node node;
      lock_.lock(node, range_for(worker), !reads);
      section(section_ns);
      lock_.unlock(node);
    } else if constexpr (SharedLock<L>) {
      reads ? lock_.lock_shared() : lock_.lock();
      section(section_ns);
      reads ? lock_.unlock_shared() : lock_.unlock();
    } else {
      static_assert(Mutex<L>);
      typename L::Node node;
      lock_.lock(node);
      section(section_ns);
      lock_.unlock(node);
    }
    return true;
  }

  static void section(u64 ns) {
    if (ns != 0) P::work(ns);
  }

  Range range_for(const Worker<P>& worker) const {
    if (shape_.disjoint) return {worker.index() * page_size, (worker.index() + 1) * page_size};
    if (!shape_.random) return {0, slots * page_size};
    const u64 a = P::random() % slots;
    const u64 b = P::random() % slots;
    return {(a < b ? a : b) * page_size, ((a < b ? b : a) + 1) * page_size};
  }

  LockLoopShape shape_;
  alignas(cache_line) L lock_;
};

}  // namespace faultline
