#include "harness/calibrate/shootdowns.hpp"

#include <fmt/format.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness/calibrate/crew.hpp"
#include "harness/calibrate/reductions.hpp"
#include "harness/native/platform.hpp"
#include "harness/stats/stats.hpp"

namespace faultline::calibrate {

using sim::Distance;
using P = NativePlatform;

namespace {

constexpr u64 budget_ns = 300'000'000;  // for the rounds of one measurement
constexpr u32 calls_a_round = 8;

long membarrier(int command, unsigned flags = 0, int cpu = 0) {
  return syscall(SYS_membarrier, command, flags, cpu);
}

// Registers the process for the command. Returns the reason if the kernel refuses, else nothing.
std::string refusal(int registration) {
  if (membarrier(registration) == 0) return "";
  return fmt::format("the kernel refuses membarrier: {}", std::strerror(errno));
}

// Who calls whom. The first `senders` of `cpus` call, the others are targets.
struct Plan {
  enum class To { all, own_target, first_target };
  std::vector<u32> cpus;
  usize senders = 1;
  To to = To::all;
  u64 gap_ns = 0;  // between two calls of a sender
};

struct alignas(cache_line) Sender {
  std::vector<Call> calls;
};

struct alignas(cache_line) Target {
  std::vector<Pause> pauses;
};

// Senders that call their targets, round after round.
class Senders {
 public:
  Senders(const Shape& shape, Plan plan)
      : plan_(std::move(plan)),
        os_numbers_(shape.os_numbers(plan_.cpus)),
        senders_(plan_.senders),
        targets_(plan_.cpus.size() - plan_.senders) {}

  // Calls `visit` after each round.
  void run(const Topology& topology, const Effort& effort, const std::function<void()>& visit) {
    Rounds rounds(effort.samples, budget_ns);
    run_pinned(topology, os_numbers_, [&](Meeting& meeting, u32 self) {
      while (rounds.next(meeting, self)) {
        self < plan_.senders ? send(self) : spin(targets_[self - plan_.senders]);
        meeting.meet();
        if (self == 0) visit();
        if (self == 0) sending_.store(static_cast<u32>(plan_.senders), std::memory_order_relaxed);
      }
    });
  }

  const std::vector<Call>& calls() const { return senders_[0].calls; }
  const std::vector<Pause>& pauses() const { return targets_[0].pauses; }
  // The mean time of a call.
  double ns_per_call() const {
    double sum = 0;
    for (const Sender& sender : senders_)
      sum += static_cast<double>(sender.calls.back().end - sender.calls.front().begin);
    return sum / static_cast<double>(senders_.size() * calls_a_round);
  }

 private:
  void send(u32 self) {
    std::vector<Call>& calls = senders_[self].calls;
    calls.clear();
    P::work(2000);  // the targets have begun to spin
    for (u32 i = 0; i < calls_a_round; ++i) {
      const u64 begin = P::now();
      call(self);
      calls.push_back({begin, P::now()});
      if (plan_.gap_ns != 0) P::work(plan_.gap_ns);
    }
    // release: pairs with the targets' acquire loads. They pass no data; the meeting does.
    sending_.fetch_sub(1, std::memory_order_release);
    // A sender that is done stays a target of the others.
    while (sending_.load(std::memory_order_acquire) != 0) native::relax();
  }
  void call(u32 self) const {
    if (plan_.to == Plan::To::all) {
      membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
      return;
    }
    const usize target = plan_.senders + (plan_.to == Plan::To::own_target ? self : 0);
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU,
               static_cast<int>(os_numbers_[target]));
  }
  // Reads the clock until no CPU sends any more, and notes when it could not.
  void spin(Target& target) {
    constexpr u64 shortest_pause_ns = 150;  // several times the reading of a clock
    constexpr usize most = 1024;
    target.pauses.clear();
    u64 before = P::now();
    while (sending_.load(std::memory_order_acquire) != 0) {
      const u64 now = P::now();
      if (now - before >= shortest_pause_ns && target.pauses.size() < most)
        target.pauses.push_back({before, now});
      before = now;
    }
  }

  const Plan plan_;
  const std::vector<u32> os_numbers_;
  std::vector<Sender> senders_;
  std::vector<Target> targets_;
  alignas(cache_line) std::atomic<u32> sending_{static_cast<u32>(plan_.senders)};
};

// Measures calls of that plan under that name. Returns the time of a call, a value of each round.
std::vector<double> measure_calls(const Topology& topology, const Shape& shape,
                                  const Effort& effort, const Plan& plan, const std::string& name,
                                  Findings& findings) {
  std::vector<double> times;
  Senders senders(shape, plan);
  senders.run(topology, effort, [&] {
    times.push_back(senders.ns_per_call());
    findings.add(name, times.back());
  });
  return times;
}

double latency_ns(const Findings& findings, const char* access, Distance distance) {
  return findings.median(fmt::format("latency.{}.{}", access, sim::distance_names[distance]));
}

constexpr double least_ns = 1;  // the machine file demands a time above 0

// One sender and one target.
void measure_interruptions(const Topology& topology, const Shape& shape, const Effort& effort,
                           Shape::Pair pair, Findings& findings) {
  const Distance distance = shape.between(pair.first, pair.second);
  const double entry_ns = findings.median("kernel.syscall") / 2;
  const double line_ns = latency_ns(findings, "load.modified", distance);
  const double clock_ns = findings.median("cpu.clock_read");
  constexpr u64 gap_ns = 10'000;  // the target has returned from the interrupt
  Senders senders(shape, {{pair.first, pair.second}, 1, Plan::To::all, gap_ns});
  senders.run(topology, effort, [&] {
    for (const auto& [arrival, taken] : interruptions(senders.calls(), senders.pauses())) {
      findings.add(fmt::format("shootdown.interrupt.{}", sim::distance_names[distance]),
                   std::max(least_ns, arrival - entry_ns));
      findings.add("shootdown.handler",
                   std::max(least_ns, taken - clock_ns - sim::lines_of_call * line_ns));
    }
  });
}

// The numbers 1, 2, 4, ..., and `most`.
std::vector<usize> doubling(usize most) {
  std::vector<usize> numbers;
  for (usize n = 1; n < most; n *= 2) numbers.push_back(n);
  if (most != 0) numbers.push_back(most);
  return numbers;
}

// What measure_shootdowns() finds with many targets or many senders. The CPUs' order is that of
// within(), so that any number of them is spread over the machine.
class ManyCalls {
 public:
  ManyCalls(const Topology& topology, const Shape& shape, const Effort& effort, Findings& findings)
      : topology_(topology),
        shape_(shape),
        effort_(effort),
        findings_(findings),
        all_(shape.within(sim::distances - 1)) {}

  // By one CPU to more and more others.
  void measure_targets() {
    std::vector<std::vector<std::array<double, 2>>> points;  // by round
    double transfer_ns = 0;
    for (const usize targets : doubling(all_.size() - 1)) {
      const std::vector<double> times =
          measure("to_all", targets, first(targets + 1), 1, Plan::To::all);
      points.resize(targets == 1 ? times.size() : std::min(points.size(), times.size()));
      for (usize i = 0; i < points.size(); ++i)
        points[i].push_back({static_cast<double>(targets), times[i]});
    }
    for (usize i = 1; i < all_.size(); ++i)
      transfer_ns += latency_ns(findings_, "rmw.modified", shape_.between(all_[0], all_[i])) /
                     static_cast<double>(all_.size() - 1);
    for (const auto& round : points)
      if (const auto ns = slope(round))
        findings_.add("shootdown.per_target", std::max(least_ns, *ns - transfer_ns));
    findings_.excuse("shootdown.per_target", "there are no two targets");
  }

  // By more and more CPUs to all.
  void measure_senders() {
    for (const usize senders : doubling(all_.size()))
      measure("from", senders, all_, senders, Plan::To::all);
  }

  // By more and more CPUs to a target each, and to the same one.
  void measure_pairs() {
    constexpr usize fewest = 4;
    const char* constant = "shootdown.delivery";
    if (all_.size() < fewest) return findings_.excuse(constant, "there are no two pairs of CPUs");
    const usize most = all_.size() / 2;
    double alone = 0, two = 0;
    std::vector<double> times;
    for (const usize pairs : doubling(most)) {
      measure("to_one", pairs, first(pairs + 1), pairs, Plan::To::first_target);
      times = measure("pairs", pairs, first(2 * pairs), pairs, Plan::To::own_target);
      if (pairs == 1) alone = median(times);
      if (pairs == 2) two = median(times);
    }
    judge_delivery(times, most, alone, two);
  }

 private:
  std::vector<u32> first(usize count) const {
    return {all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(count)};
  }
  std::vector<double> measure(const char* what, usize number, std::vector<u32> cpus, usize senders,
                              Plan::To to) {
    return measure_calls(topology_, shape_, effort_, {std::move(cpus), senders, to},
                         fmt::format("membarrier.{}.{}", what, number), findings_);
  }

  void judge_delivery(const std::vector<double>& times, usize pairs, double alone, double two) {
    constexpr double in_turns = 1.6, disturbed = 1.3;  // times a call that is alone
    const double each = median(times) / static_cast<double>(pairs);
    if (two > in_turns * alone)
      return findings_.excuse("shootdown.delivery", "the kernel lets one CPU at a time call");
    if (median(times) < disturbed * alone)
      return findings_.excuse(
          "shootdown.delivery",
          fmt::format("{} pairs do not disturb each other, so at most {:.0f} ns", pairs, each));
    for (const double ns : times)
      findings_.add("shootdown.delivery", ns / static_cast<double>(pairs));
  }

  const Topology& topology_;
  const Shape& shape_;
  const Effort& effort_;
  Findings& findings_;
  const std::vector<u32> all_;
};

void excuse_all(Findings& findings, const std::string& why) {
  for (const char* constant : {"per_target", "handler", "delivery"})
    findings.excuse(fmt::format("shootdown.{}", constant), why);
  for (const char* distance : sim::distance_names)
    findings.excuse(fmt::format("shootdown.interrupt.{}", distance), why);
}

}  // namespace

void measure_shootdowns(const Topology& topology, const Shape& shape, const Effort& effort,
                        Findings& findings) {
  findings.excuse("shootdown.base", "membarrier's own work is not that of a TLB flush");
  if (shape.cpus.size() < 2) return excuse_all(findings, "there is one CPU");
  if (const auto why = refusal(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED); !why.empty())
    return excuse_all(findings, why);
  excuse_all(findings, "no call interrupted its target exactly once");
  for (Distance distance = 0; distance < sim::distances; ++distance)
    for (const Shape::Pair pair : shape.pairs(distance, effort.pairs))
      measure_interruptions(topology, shape, effort, pair, findings);
  // A kernel may carry membarrier out without interrupts.
  if (!findings.has("shootdown.handler")) return;
  ManyCalls many(topology, shape, effort, findings);
  many.measure_targets();
  many.measure_senders();
  if (const auto why = refusal(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ); !why.empty())
    return findings.excuse("shootdown.delivery", why);
  many.measure_pairs();
}

}  // namespace faultline::calibrate
