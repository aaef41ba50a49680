#include "harness/calibrate/costs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/calibrate/crew.hpp"
#include "harness/calibrate/lines.hpp"
#include "harness/native/platform.hpp"

namespace faultline::calibrate {

namespace {

using P = NativePlatform;

// Runs `turn` `turns` times; returns the nanoseconds a turn took.
template <class F>
double time_turns(u32 turns, F&& turn) {
  const u64 begin = P::now();
  for (u32 i = 0; i < turns; ++i) turn();
  return static_cast<double>(P::now() - begin) / turns;
}

}  // namespace

void measure_cpu(const Topology& topology, const Shape& shape, const Effort& effort,
                 Findings& findings) {
  run_pinned(topology, {shape.cpus.front()}, [&](Meeting&, u32) {
    std::atomic<u32> word{0};
    for (u32 i = 0; i < effort.samples; ++i) {
      findings.add("cpu.pause", time_turns(256, [] { native::relax(); }));
      findings.add("cpu.clock_read", time_turns(256, [] { P::now(); }));
      findings.add("cpu.rcu_read", time_turns(256, [] {
                                     P::rcu::read_lock();
                                     P::rcu::read_unlock();
                                   }) / 2);
      findings.add("kernel.rcu_grace", time_turns(4, [] { P::rcu::synchronize(); }));
      findings.add("kernel.syscall", time_turns(64, [&] { P::wake(word, 1); }));
    }
  });
}

std::string handoff_name(u64 asleep_ns) {
  return fmt::format("handoff.{}us", asleep_ns / 1000);
}

namespace {

// One thread sleeps on a futex word, and another wakes it.
struct Handoff {
  alignas(cache_line) std::atomic<u32> word{0};
  alignas(cache_line) std::atomic<u64> dozing{0};  // the time at which the sleeper went to sleep
  alignas(cache_line) std::atomic<u64> woken{0};   // the time at which the sleeper went on

  void sleep() {
    // release and acquire, on all three words: whoever reads one of them also sees what its writer
    // stored or read before.
    dozing.store(P::now(), std::memory_order_release);
    while (word.load(std::memory_order_acquire) == 0) P::wait(word, 0);
    woken.store(P::now(), std::memory_order_release);
  }
  void wake(u64 asleep_ns, Findings& findings) {
    u64 since = 0;
    while ((since = dozing.load(std::memory_order_acquire)) == 0) native::relax();
    while (P::now() < since + asleep_ns) native::relax();
    const u64 begin = P::now();
    word.store(1, std::memory_order_release);
    P::wake(word, 1);
    const u64 called = P::now();
    u64 end = 0;
    while ((end = woken.load(std::memory_order_acquire)) == 0) native::relax();
    const std::string name = handoff_name(asleep_ns);
    findings.add(name, static_cast<double>(end - std::min(begin, end)));
    findings.add("woken" + name.substr(name.find('.')), static_cast<double>(called - begin));
  }
  // relaxed: the meeting that follows publishes the stores.
  void reset() {
    word.store(0, std::memory_order_relaxed);
    dozing.store(0, std::memory_order_relaxed);
    woken.store(0, std::memory_order_relaxed);
  }
};

}  // namespace

void measure_waking(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings) {
  u32 nearest = 0;  // 0: none yet
  // The rank of a CPU by its distance from the first, but with a sibling last.
  const auto rank = [&](u32 cpu) {
    return (shape.between(0, cpu) + sim::distances - sim::same_cluster) % sim::distances;
  };
  for (u32 cpu = 1; cpu < shape.cpus.size(); ++cpu)
    if (nearest == 0 || rank(cpu) < rank(nearest)) nearest = cpu;
  if (nearest == 0) return;
  Handoff handoff;
  run_pinned(topology, shape.os_numbers({0, nearest}), [&](Meeting& meeting, u32 self) {
    for (const u64 asleep_ns : sleeps_ns)
      for (u32 i = 0; i < effort.samples; ++i) {
        if (self == 0) handoff.reset();
        meeting.meet();
        if (self == 0)
          handoff.wake(asleep_ns, findings);
        else
          handoff.sleep();
        meeting.meet();
      }
  });
}

namespace {

constexpr usize part = usize{4} << 20;  // the bytes of one sample

// Clears pages on all these CPUs at once; each CPU cycles through `bytes`. A sample is the sum of
// the CPUs' rates, GB/s, each of which is a CPU's bytes over its own time. A sample is short, so
// that other programs disturb few of them.
void clear_on(const Topology& topology, const std::vector<u32>& cpus, usize bytes,
              const std::string& name, u32 samples, Findings& findings) {
  std::vector<double> rates(cpus.size());
  run_pinned(topology, cpus, [&](Meeting& meeting, u32 self) {
    const Pages pages(bytes);
    const auto clear = [&](usize from, usize size) {
      for (usize at = 0; at < size; at += page_size) P::clear_page(pages.data() + from + at);
    };
    clear(0, bytes);
    for (u32 i = 0; i < samples; ++i) {
      meeting.meet();
      rates[self] =
          static_cast<double>(part) / time_turns(1, [&] { clear(i * part % bytes, part); });
      meeting.meet();
      double rate = 0;
      for (const double one : rates) rate += one;
      if (self == 0) findings.add(name, rate);
    }
  });
}

}  // namespace

void measure_clearing(const Topology& topology, const Shape& shape, const Effort& effort,
                      Findings& findings) {
  const std::vector<u32> node = shape.on_node(shape.geometry.places.front().node);
  // More memory than a CPU's share of any cache.
  const auto cold = [](usize cpus) { return std::max<usize>(16, 64 / cpus) << 20; };
  const auto clear = [&](const std::vector<u32>& cpus, usize bytes, const char* name) {
    clear_on(topology, cpus, bytes, name, effort.samples, findings);
  };
  clear({shape.cpus.front()}, part, "memory.clear_hot_gbps");
  clear({shape.cpus.front()}, cold(1), "memory.clear_core_gbps");
  clear(shape.os_numbers(node), cold(node.size()), "memory.clear_node_gbps");
}

}  // namespace faultline::calibrate
