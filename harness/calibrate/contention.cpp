#include "harness/calibrate/contention.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/calibrate/crew.hpp"
#include "harness/calibrate/reductions.hpp"
#include "harness/native/platform.hpp"
#include "harness/stats/stats.hpp"

namespace faultline::calibrate {

using sim::Distance;
using P = NativePlatform;

namespace {

// All accesses to measured words are relaxed: they pass no data. The crew's meetings order the
// logs' accesses before those of role 0, which reads all logs between two rounds. Role 0 resets the
// words after it has read the logs; the meeting in Rounds::next() orders this before the next
// round.
constexpr auto relaxed = std::memory_order_relaxed;

constexpr u64 budget_ns = 300'000'000;  // for the rounds of one measurement
constexpr u32 log_values = 2048;        // 8 KiB, so that a log stays in the first-level cache
constexpr u32 values_a_mark = 64;       // so that reading the clock takes a small share of the time

Between between_of(const Shape& shape, const std::vector<u32>& cpus) {
  return [&shape, &cpus](usize a, usize b) { return shape.between(cpus[a], cpus[b]); };
}

std::string latency_of(const char* access, Distance distance) {
  return fmt::format("latency.{}.{}", access, sim::distance_names[distance]);
}

std::string service_of(Distance distance) {
  return fmt::format("contention.service.{}", sim::distance_names[distance]);
}

struct alignas(cache_line) Word {
  std::atomic<u32> value{0};
};

// A CPU that adds to a word and logs what it gets.
class alignas(cache_line) Adder {
 public:
  Adder() : log_{std::vector<u32>(log_values), {}} { log_.marks.reserve(log_values); }
  const AddLog& log() const { return log_; }

  void add(std::atomic<u32>& word, u64 gap_ns) {
    log_.marks.clear();
    for (u32 i = 0; i < log_values; ++i) {
      const u32 value = word.fetch_add(1, relaxed);
      log_.values[i] = value;
      if (i % values_a_mark == 0) log_.marks.push_back({value, P::now()});
      // Gaps of random length keep the CPUs from taking turns in a fixed order.
      if (gap_ns != 0) P::work(gap_ns / 2 + P::random() % gap_ns);
    }
  }

 private:
  AddLog log_;
};

// The orders of ownership of all rounds.
std::vector<Order> add_together(const Topology& topology, const Shape& shape,
                                const std::vector<u32>& cpus, u64 gap_ns, const Effort& effort) {
  Word word;
  std::vector<Adder> adders(cpus.size());
  std::vector<Order> orders;
  Rounds rounds(effort.samples, budget_ns);
  run_pinned(topology, shape.os_numbers(cpus), [&](Meeting& meeting, u32 self) {
    while (rounds.next(meeting, self)) {
      adders[self].add(word.value, gap_ns);
      meeting.meet();
      if (self != 0) continue;
      std::vector<AddLog> logs;
      for (const Adder& adder : adders) logs.push_back(adder.log());
      if (Order order = merge(logs); order.ns_per_add != 0) orders.push_back(std::move(order));
      word.value.store(0, relaxed);
    }
  });
  return orders;
}

// The numbers of CPUs to let contend: 2, 3, 5, 9, ..., and all.
std::vector<usize> numbers_up_to(usize all) {
  std::vector<usize> numbers;
  for (usize n = 2; n < all; n = 2 * n - 1) numbers.push_back(n);
  numbers.push_back(all);
  return numbers;
}

// The excuse where other programs, or the machine below a virtual one, took the CPUs in turn.
constexpr const char* not_together = "the cores did not run at the same time";

// What measure_contention() finds, the nearest distance first.
class Contention {
 public:
  Contention(const Topology& topology, const Shape& shape, const Effort& effort, Findings& findings)
      : topology_(topology), shape_(shape), effort_(effort), findings_(findings) {}

  void measure(Distance distance) {
    const std::vector<u32> all = shape_.one_per_core(shape_.within(distance));
    if (all.size() < 2)
      return findings_.excuse(service_of(distance),
                              "the first CPU has no other core at this distance");
    for (const usize n : numbers_up_to(all.size())) {
      const std::vector<u32> cpus(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
      const std::vector<Order> orders = add_together(topology_, shape_, cpus, 0, effort_);
      const std::vector<double> runs =
          note_rates(orders, cpus, fmt::format("{}.{}", sim::distance_names[distance], n));
      if (n != all.size() || n == 2) continue;
      if (!findings_.has("contention.queued_residency")) note_queued_residency(distance, runs);
      measure_most(distance, cpus, orders);
    }
    if (all.size() == 2)
      findings_.excuse(service_of(distance), "two CPUs never queue for each other");
  }
  // After the last distance.
  void finish() {
    for (const double share : nearest_) findings_.add("contention.nearest_share", share);
    findings_.excuse("contention.nearest_share", no_share_);
    findings_.excuse("contention.queued_residency",
                     no_share_ == not_together ? not_together : "there are fewer than three cores");
  }

 private:
  // Answers for each order how many additions a CPU makes until another one gets the word.
  std::vector<double> note_rates(const std::vector<Order>& orders, const std::vector<u32>& cpus,
                                 const std::string& where) {
    std::vector<double> runs;
    for (const Order& order : orders) {
      const Handovers handovers = count_handovers(order, between_of(shape_, cpus));
      runs.push_back(handovers.adds() / std::max(1.0, handovers.all_changes()));
      findings_.add("contended." + where, order.ns_per_add);
      findings_.add("run." + where, runs.back());
    }
    return runs;
  }

  // The first addition of a run comes with the line; the owner makes the others while it keeps it.
  void note_queued_residency(Distance distance, const std::vector<double>& runs) {
    const double hit = findings_.median("caches.hit.rmw");
    const double latency = findings_.median(latency_of("rmw.modified", distance));
    for (const double run : runs)
      findings_.add("contention.queued_residency", std::max(0.0, run - 1) * hit / latency);
  }

  void measure_most(Distance distance, const std::vector<u32>& cpus,
                    const std::vector<Order>& orders) {
    nearest_.clear();
    no_share_ = orders.empty() ? not_together : "all cores are equally near to each other";
    for (const Order& order : orders)
      if (const auto share = nearest_share(order, cpus.size(), between_of(shape_, cpus)))
        nearest_.push_back(*share);
    std::vector<double> times = change_times(distance, cpus, orders);
    findings_.excuse(service_of(distance),
                     orders.empty() ? not_together : "too few changes of owner at this distance");
    if (times.empty()) return;
    // An owner that adds more than once may keep the line for longer than a transfer takes. With
    // gaps of half a cycle it adds once, and other CPUs still queue. Without a queue a change would
    // take longer; so of both times the shorter one is nearer to a transfer's.
    const double cycle = median(times) * static_cast<double>(cpus.size());
    const std::vector<double> with_gaps =
        change_times(distance, cpus,
                     add_together(topology_, shape_, cpus,
                                  std::max<u64>(1, static_cast<u64>(cycle / 2)), effort_));
    if (!with_gaps.empty() && median(with_gaps) < median(times)) times = with_gaps;
    change_ns_[distance] = median(times);
    for (const double ns : times)
      findings_.add(service_of(distance),
                    ns / findings_.median(latency_of("rmw.modified", distance)));
  }

  std::vector<double> change_times(Distance distance, const std::vector<u32>& cpus,
                                   const std::vector<Order>& orders) const {
    std::vector<double> times;
    for (const Order& order : orders) {
      const Handovers handovers = count_handovers(order, between_of(shape_, cpus));
      if (const auto ns = change_ns(handovers, order.ns_per_add, distance, change_ns_))
        times.push_back(*ns);
    }
    return times;
  }

  const Topology& topology_;
  const Shape& shape_;
  const Effort& effort_;
  Findings& findings_;
  std::array<double, sim::distances> change_ns_ = {};  // by distance; 0: not measured
  const char* no_share_ = "there are fewer than three cores";
  std::vector<double> nearest_;  // of the greatest distance so far
};

}  // namespace

void measure_contention(const Topology& topology, const Shape& shape, const Effort& effort,
                        Findings& findings) {
  Contention contention(topology, shape, effort, findings);
  for (Distance distance = sim::same_cluster; distance < sim::distances; ++distance)
    if (!shape.pairs(distance, 2).empty()) contention.measure(distance);
  contention.finish();
  findings.excuse(service_of(sim::same_core), "two threads of a core never queue for each other");
}

namespace {

// The CPU that adds all the time, or the one that adds with gaps. Both read the clock before each
// addition.
class alignas(cache_line) Stamper {
 public:
  Stamper() : marks_(most) {}
  std::span<const Mark> marks() const { return {marks_.data(), used_}; }

  void add_all_the_time(std::atomic<u32>& word, const std::atomic<bool>& done) {
    // relaxed: a late end only adds marks.
    for (used_ = 0; used_ < most && !done.load(relaxed);) add(word);
  }
  void add_with_gaps(std::atomic<u32>& word, u64 gap_ns, std::atomic<bool>& done) {
    for (used_ = 0; used_ < asks;) {
      P::work(gap_ns + P::random() % gap_ns);
      add(word);
    }
    done.store(true, relaxed);
  }

 private:
  static constexpr u32 most = 1 << 14;
  static constexpr u32 asks = 32;

  void add(std::atomic<u32>& word) {
    const u64 now = P::now();
    marks_[used_++] = {word.fetch_add(1, relaxed), now};
  }

  std::vector<Mark> marks_;
  u32 used_ = 0;
};

struct alignas(cache_line) Flag {
  std::atomic<bool> set{false};
};

// How long the owner kept the line, a value of each round.
std::vector<double> times_kept(const Topology& topology, const Shape& shape, Shape::Pair pair,
                               double latency_ns, const Effort& effort) {
  constexpr double latencies_a_gap = 10;  // so that the first CPU has the line again
  const u64 gap_ns = static_cast<u64>(latencies_a_gap * latency_ns) + 1;
  Word word;
  Flag done;
  Stamper steady, asking;
  std::vector<double> kept;
  Rounds rounds(effort.samples, budget_ns);
  run_pinned(topology, shape.os_numbers({pair.first, pair.second}),
             [&](Meeting& meeting, u32 self) {
               while (rounds.next(meeting, self)) {
                 if (self == 0)
                   steady.add_all_the_time(word.value, done.set);
                 else
                   asking.add_with_gaps(word.value, gap_ns, done.set);
                 meeting.meet();
                 if (self != 0) continue;
                 if (const auto ns = kept_ns(steady.marks(), asking.marks())) kept.push_back(*ns);
                 word.value.store(0, relaxed);
                 done.set.store(false, relaxed);
               }
             });
  return kept;
}

}  // namespace

void measure_residency(const Topology& topology, const Shape& shape, const Effort& effort,
                       Findings& findings) {
  bool nearest = true;
  for (Distance distance = sim::same_cluster; distance < sim::distances; ++distance) {
    const std::vector<Shape::Pair> pairs = shape.pairs(distance, effort.pairs);
    for (const Shape::Pair pair : pairs) {
      const double latency = findings.median(latency_of("rmw.modified", distance));
      for (const double ns : times_kept(topology, shape, pair, latency, effort)) {
        findings.add(fmt::format("residency.{}", sim::distance_names[distance]), ns / latency);
        if (nearest) findings.add("contention.residency", ns / latency);
      }
    }
    if (!pairs.empty()) nearest = false;
  }
  findings.excuse("contention.residency", nearest ? "there are no two cores" : not_together);
}

namespace {

// One CPU writes a word and all others read it. Role 0 writes.
class Spread {
 public:
  Spread(const Topology& topology, const Shape& shape, std::vector<u32> cpus)
      : topology_(topology), shape_(shape), cpus_(std::move(cpus)), logs_(cpus_.size()) {
    for (usize i = 0; i < cpus_.size(); ++i) {
      logs_[i].log.distance = shape.between(cpus_[0], cpus_[i]);
      logs_[i].log.cluster = shape.geometry.places[cpus_[i]].cluster;
    }
  }

  std::vector<Copies> measure(const Effort& effort, double hit_ns) {
    std::vector<Copies> all;
    Rounds rounds(effort.samples, budget_ns);
    run_pinned(topology_, shape_.os_numbers(cpus_), [&](Meeting& meeting, u32 self) {
      while (rounds.next(meeting, self)) {
        self == 0 ? write() : read(logs_[self].log);
        meeting.meet();
        if (self != 0) continue;
        if (const auto copies = count(hit_ns)) all.push_back(*copies);
        word_.value.store(0, relaxed);
        done_.set.store(false, relaxed);
      }
    });
    return all;
  }

 private:
  static constexpr u32 most_writes = 1 << 15;
  struct alignas(cache_line) Reader {
    CopyLog log;
  };

  void write() {
    marks_.clear();
    for (u32 i = 0; i < most_writes && !done_.set.load(relaxed); i += values_a_mark) {
      u32 value = 0;
      for (u32 turn = 0; turn < values_a_mark; ++turn) value = word_.value.fetch_add(1, relaxed);
      marks_.push_back({value + 1, P::now()});
    }
    done_.set.store(true, relaxed);
  }
  // The first reader whose log is full ends the round.
  void read(CopyLog& log) {
    log.values.resize(log_values);
    u32 used = 0;
    for (u32 last = 0; used < log_values && !done_.set.load(relaxed);) {
      const u32 value = word_.value.load(relaxed);
      if (value != last) log.values[used++] = last = value;
    }
    log.values.resize(used);
    done_.set.store(true, relaxed);
  }
  std::optional<Copies> count(double hit_ns) const {
    std::vector<CopyLog> logs;
    for (usize i = 1; i < logs_.size(); ++i) logs.push_back(logs_[i].log);
    return count_copies(logs, marks_, hit_ns);
  }

  const Topology& topology_;
  const Shape& shape_;
  const std::vector<u32> cpus_;
  Word word_;
  Flag done_;
  std::vector<Reader> logs_;
  std::vector<Mark> marks_;
};

std::vector<Copies> spread(const Topology& topology, const Shape& shape,
                           const std::vector<u32>& cpus, const char* where, const Effort& effort,
                           Findings& findings) {
  Spread spread(topology, shape, cpus);
  const std::vector<Copies> all = spread.measure(effort, findings.median("caches.hit.rmw"));
  const std::string name = fmt::format("{}.{}", where, cpus.size());
  for (const Copies& copies : all) {
    findings.add("value." + name, copies.ns_per_value);
    findings.add("copies." + name, copies.copies);
    findings.add("clusters." + name, copies.clusters);
  }
  return all;
}

// How long a queued transfer keeps the line, by that kind of access; 0 if it was not measured.
double queued_ns(const Findings& findings, const char* access, Distance distance) {
  const std::string latency = latency_of(access, distance), service = service_of(distance);
  if (!findings.has(latency) || !findings.has(service)) return 0;
  return findings.median(latency) * findings.median(service);
}

void measure_cluster_copy(const Topology& topology, const Shape& shape, const Effort& effort,
                          Findings& findings) {
  constexpr usize fewest = 4;  // a writer, a first reader, and two whose copies follow
  const std::vector<u32> cpus = shape.one_per_core(shape.within(sim::same_cluster));
  const double first_ns = queued_ns(findings, "load.modified", sim::same_cluster);
  const auto excuse = [&](const char* why) { findings.excuse("contention.cluster_copy", why); };
  if (cpus.size() < fewest) return excuse("the first cluster has fewer than four cores");
  if (first_ns == 0) return excuse("contention.service.cluster was not measured");
  const auto all = spread(topology, shape, cpus, "cluster", effort, findings);
  excuse(all.empty() ? not_together : "the readers got nearly every value, so none waited");
  for (const Copies& copies : all)
    if (const auto ns = cluster_copy_ns(copies, first_ns))
      findings.add("contention.cluster_copy", *ns);
}

void measure_home_copy(const Topology& topology, const Shape& shape, const Effort& effort,
                       Findings& findings) {
  constexpr usize fewest = 3;  // a writer and readers in two clusters
  std::vector<u32> cpus(shape.cpus.size());
  for (u32 cpu = 0; cpu < cpus.size(); ++cpu) cpus[cpu] = cpu;
  cpus = shape.one_per_core(cpus);
  std::array<double, sim::distances> back_ns = {};
  bool known = true;
  for (const u32 cpu : cpus) {
    const Distance distance = shape.between(cpus[0], cpu);
    if (cpu != cpus[0] && back_ns[distance] == 0)
      known &= (back_ns[distance] = queued_ns(findings, "rmw.shared", distance)) != 0;
  }
  const auto excuse = [&](const char* why) { findings.excuse("contention.home_copy", why); };
  if (shape.geometry.clusters < 2) return excuse("there is one cluster");
  if (cpus.size() < fewest) return excuse("there are fewer than three cores");
  if (!known) return excuse("contention.service was not measured at all distances");
  const auto all = spread(topology, shape, cpus, "all", effort, findings);
  excuse(all.empty() ? not_together : "no time remains beside the transfers back");
  for (const Copies& copies : all)
    if (const auto ns = home_copy_ns(copies, back_ns)) findings.add("contention.home_copy", *ns);
}

}  // namespace

void measure_copies(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings) {
  measure_cluster_copy(topology, shape, effort, findings);
  measure_home_copy(topology, shape, effort, findings);
}

}  // namespace faultline::calibrate
