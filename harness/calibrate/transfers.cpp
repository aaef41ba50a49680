#include "harness/calibrate/transfers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "harness/calibrate/crew.hpp"
#include "harness/calibrate/lines.hpp"

namespace faultline::calibrate {

using sim::Distance;
using sim::Kind;
using sim::State;

namespace {

std::string latency_name(Kind kind, State state, Distance distance) {
  return fmt::format("latency.{}.{}.{}", sim::kind_names[static_cast<usize>(kind)],
                     sim::state_names[static_cast<usize>(state)], sim::distance_names[distance]);
}

double time_accesses(Lines& lines, Kind kind, double clock_ns) {
  if (kind == Kind::load) return lines.time_loads(clock_ns);
  return kind == Kind::store ? lines.time_stores(clock_ns) : lines.time_rmws(clock_ns);
}

// Subtracts a load's hit, which the model adds to every transfer. From a fenced store it subtracts
// the hit of a fenced store, if that is longer, to take off the fence too.
double without_hit(const Findings& findings, Kind kind, double ns) {
  const double hit = kind == Kind::store ? findings.median("fenced") : 0;
  constexpr double least = 0.1;  // between siblings of a core, a transfer can be as short as a hit
  return std::max(least, ns - std::max(hit, findings.median("caches.hit.load")));
}

// How to measure one quantity on one pair: what the CPUs do to the lines before the first CPU's
// accesses are timed.
struct Passing {
  // The CPU that gets a second copy. thrown_out: the first CPU gets one and evicts it.
  enum class Second { none, third, first, thrown_out };

  Kind kind;
  State state;
  Second second;
};

// Evicts everything else from the calling CPU's own caches by writing to `others`.
void throw_out(const Pages& others) {
  for (usize at = 0; at < others.bytes(); at += line_bytes)
    *reinterpret_cast<volatile std::byte*>(others.data() + at) = std::byte{1};
}

// What the roles of one pair share. Role 0 is timed; role 1 brings the lines into their state
// first; role 2 is the third CPU.
struct Exchange {
  Lines& lines;
  const Pages& others;
  u32 samples;
  std::vector<double> times;

  void sample(const Passing& passing, u32 role, u64 seed, Meeting& meeting, double clock_ns) {
    if (role == 1) have(passing.state, seed);
    meeting.meet();
    if (role == 2 && passing.second == Passing::Second::third) lines.read();
    meeting.meet();
    if (role == 0) times.push_back(take(passing, clock_ns));
    meeting.meet();
  }

 private:
  void have(State state, u64 seed) {
    lines.shuffle(seed);
    lines.write();
    if (state == State::modified || state == State::owned) return;
    lines.flush();
    if (state != State::invalid) lines.read();
  }
  double take(const Passing& passing, double clock_ns) {
    using Second = Passing::Second;
    if (passing.second == Second::first || passing.second == Second::thrown_out) lines.read();
    if (passing.second == Second::thrown_out) throw_out(others);
    lines.translate();
    return time_accesses(lines, passing.kind, clock_ns);
  }
};

// A CPU for the second copy: of those at least as far from `taker` as `owner` is, the nearest to
// `owner`.
std::optional<u32> third_cpu(const Shape& shape, u32 taker, u32 owner) {
  std::optional<u32> best;
  for (u32 cpu = 0; cpu < shape.cpus.size(); ++cpu) {
    if (cpu == taker || cpu == owner) continue;
    if (shape.between(cpu, taker) < shape.between(taker, owner)) continue;
    if (!best || shape.between(cpu, owner) < shape.between(*best, owner)) best = cpu;
  }
  return best;
}

// The CPU that gets the second copy when that quantity is measured; nothing if it cannot be
// measured.
std::optional<Passing::Second> second_copy(Kind kind, State state, bool third, Distance distance,
                                           usize private_bytes) {
  if (state == State::modified || state == State::exclusive) return Passing::Second::none;
  if (kind != Kind::load) return Passing::Second::first;
  if (third) return Passing::Second::third;
  // Evicted lines may stay in the cluster's cache, so this needs a pair in one cluster. It does not
  // work between siblings, since the eviction clears their common cache.
  if (distance != sim::same_cluster || private_bytes == 0) return std::nullopt;
  return Passing::Second::thrown_out;
}

// How many times its size must be written to clear a cache, whose replacement is not exactly LRU.
constexpr usize times_the_cache = 4;

void measure_pair(const Topology& topology, const Shape& shape, Shape::Pair pair, u32 home,
                  const Effort& effort, usize private_bytes, Findings& findings) {
  std::vector<u32> cpus = {pair.first, pair.second};
  const std::optional<u32> third = third_cpu(shape, pair.first, pair.second);
  if (third) cpus.push_back(*third);
  const Distance distance = shape.between(pair.first, pair.second);
  Lines lines;
  const Pages others(std::max<usize>(page_size, times_the_cache * private_bytes));
  Exchange exchange{lines, others, effort.samples, {}};
  const auto role = [&](Meeting& meeting, u32 self) {
    const double clock_ns = time_of_clock();
    if (self == home) lines.shuffle(0), lines.write();  // first touch: the pages lie on its node
    meeting.meet();
    for (const Kind kind : {Kind::load, Kind::store, Kind::rmw})
      for (const State state : {State::shared, State::exclusive, State::owned, State::modified}) {
        const auto second = second_copy(kind, state, third.has_value(), distance, private_bytes);
        if (!second) continue;
        for (u32 i = 0; i < effort.samples; ++i)
          exchange.sample({kind, state, *second}, self, i, meeting, clock_ns);
        if (self != 0) continue;
        for (const double ns : exchange.times)
          findings.add(latency_name(kind, state, distance), without_hit(findings, kind, ns));
        exchange.times.clear();
      }
  };
  run_pinned(topology, shape.os_numbers(cpus), role);
}

}  // namespace

void measure_hits(const Topology& topology, const Shape& shape, const Effort& effort,
                  Findings& findings) {
  Lines lines;
  run_pinned(topology, {shape.cpus.front()}, [&](Meeting&, u32) {
    const double clock_ns = time_of_clock();
    for (u32 i = 0; i < effort.samples; ++i) {
      lines.shuffle(i);
      lines.write();
      lines.translate();
      findings.add("caches.hit.load", lines.time_loads(clock_ns));
      findings.add("caches.hit.store", lines.time_posted_stores(clock_ns));
      findings.add("caches.hit.rmw", lines.time_rmws(clock_ns));
      findings.add("fenced", lines.time_stores(clock_ns));
    }
  });
}

void measure_memory(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings) {
  for (u32 node = 0; node < shape.geometry.nodes; ++node) {
    const std::vector<u32> local = shape.on_node(node);
    if (local.empty()) continue;
    const Distance distance = shape.geometry.to_node(shape.geometry.places.front(), node);
    Lines lines;
    run_pinned(topology, {shape.cpus[local.front()]}, [&](Meeting&, u32) {
      lines.shuffle(0);
      lines.write();
    });
    run_pinned(topology, {shape.cpus.front()}, [&](Meeting&, u32) {
      const double clock_ns = time_of_clock();
      for (const Kind kind : {Kind::load, Kind::store, Kind::rmw})
        for (u32 i = 0; i < effort.samples; ++i) {
          lines.shuffle(i);
          lines.write();
          lines.translate();
          lines.flush();
          findings.add(latency_name(kind, State::invalid, distance),
                       without_hit(findings, kind, time_accesses(lines, kind, clock_ns)));
        }
    });
  }
}

void measure_transfers(const Topology& topology, const Shape& shape, const Effort& effort,
                       usize private_bytes, Findings& findings) {
  for (Distance distance = 0; distance < sim::distances; ++distance)
    for (const Shape::Pair pair : shape.pairs(distance, effort.pairs)) {
      const bool apart = distance >= sim::one_hop;
      for (u32 home = 0; home <= u32{apart}; ++home)
        measure_pair(topology, shape, pair, home, effort, private_bytes, findings);
    }
}

}  // namespace faultline::calibrate
