// What the logs of a measurement say about the model's constants. These functions measure nothing,
// so they also take published rates and made-up logs. All times are ns. CPUs are numbered by their
// logs.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "harness/sim/machine/machine.hpp"
#include "locks/platform.hpp"

namespace faultline::calibrate {

// The distance between two CPUs.
using Between = std::function<sim::Distance(usize, usize)>;

// When a CPU had reached a value of the word.
struct Mark {
  u32 value;
  u64 ns;
};

// What one CPU logged of its fetch-and-adds of 1 on a word that other CPUs add to as well.
struct AddLog {
  std::vector<u32> values;  // what the additions returned, ascending
  std::vector<Mark> marks;  // of some of these values, ascending
};

// The order in which the CPUs owned the word. It covers the time in which all CPUs were adding:
// from the last one's first addition to the first one's last. Empty if there was no such time.
struct Order {
  std::vector<sim::u16> owners;  // the CPU of each addition
  double ns_per_add = 0;         // 0: no two marks lie within that time
};

// Merges the logs of CPUs that started from 0 and together returned each value once.
Order merge(std::span<const AddLog> logs);

// How the owners of a word followed each other. The numbers are expected values where only a rate
// is known.
struct Handovers {
  double stays = 0;  // additions of the CPU that made the addition before
  std::array<double, sim::distances> changes = {};  // changes of owner, by distance

  double all_changes() const;
  double adds() const { return stays + all_changes(); }
};

Handovers count_handovers(const Order& order, const Between& between);

// What to expect of `cpus` CPUs if the owner changes at each addition, and each of the other CPUs
// is as likely to be the next.
Handovers even_handovers(usize cpus, const Between& between);

// How long a change of owner at `distance` keeps the word: the time of all changes, less those at
// other distances whose times `known` has. Changes at distances without a known time (0) count as
// changes at `distance`. Nothing if fewer than one change in ten is at that distance, or if the
// other changes leave no time.
std::optional<double> change_ns(const Handovers& handovers, double ns_per_add,
                                sim::Distance distance,
                                const std::array<double, sim::distances>& known);

// The share of the changes in which the nearest of the waiting CPUs was preferred: the solution p
// of "nearest = p + (1 - p) x chance", where `nearest` is the observed share of changes to a CPU of
// the least distance from the owner, and `chance` is that share if each waiting CPU is as likely.
// It is below 0 if the nearest CPUs got the word less often than by chance. Threads of one core
// count as near as cores of one cluster, as in the model. Nothing if all CPUs are equally near, or
// if no owner changed. All `cpus` CPUs must have been waiting all the time.
std::optional<double> nearest_share(const Order& order, usize cpus, const Between& between);

// For how long the owner of a word kept it after another CPU had asked for it, the median over the
// additions of that other CPU. `steady` are the marks of a CPU that did nothing but read the clock
// and add, and `asking` those of a CPU with long gaps between its additions; each clock was read
// just before the addition that returned the value. Negative results come from the clocks'
// differences. Nothing if fewer than eight additions of `asking` lie between marks of `steady`.
std::optional<double> kept_ns(std::span<const Mark> steady, std::span<const Mark> asking);

// What one reader logged of a word that one CPU writes.
struct CopyLog {
  std::vector<u32> values;     // the values that it read, ascending, each once
  sim::Distance distance = 0;  // from the writer
  u32 cluster = 0;
};

// How copies of a written word spread. A value that nobody read needed no copy.
struct Copies {
  double ns_per_value = 0;  // between two values that a reader saw, without the writer's hits
  double copies = 0;        // copies of such a value
  double clusters = 0;      // clusters in which such a value was read
  usize readers = 0;
  // The share of the values whose farthest reader was at that distance from the writer.
  std::array<double, sim::distances> farthest = {};
};

// Counts copies over the time in which all readers were reading. `written` are marks of the writer,
// `hit_ns` the time of a write that needs no transfer. Nothing if fewer than eight values were
// read.
std::optional<Copies> count_copies(std::span<const CopyLog> readers, std::span<const Mark> written,
                                   double hit_ns);

// The time between the copies that a cluster sends to its own CPUs, where the writer and all
// readers are in one cluster. The first copy of a value is a transfer from the writer, which takes
// `first_ns`; the others follow until the writer has the line again. Nothing if all readers got
// nearly every value: then they asked too rarely to show how fast the cluster is.
std::optional<double> cluster_copy_ns(const Copies& copies, double first_ns);

// The time between the copies that the home sends to one cluster and the next. Beside them, a value
// costs the transfer that takes the line back from its readers: `back_ns`, by the farthest reader's
// distance. Nothing if nothing remains.
std::optional<double> home_copy_ns(const Copies& copies,
                                   const std::array<double, sim::distances>& back_ns);

// A call of the sender to other CPUs, from the start to the return.
struct Call {
  u64 begin, end;
};

// A time in which a CPU that does nothing but read the clock could not read it.
struct Pause {
  u64 begin, end;
};

// What one call did to one target.
struct Interruption {
  double arrival;  // from the start of the call to the start of the pause
  double taken;    // how long the pause was
};

// The interruptions of calls during which the target paused exactly once. A pause belongs to the
// call in which it begins. Calls and pauses are ascending.
std::vector<Interruption> interruptions(std::span<const Call> calls, std::span<const Pause> pauses);

// The slope of the least-squares line through these points. Nothing if all x are equal.
std::optional<double> slope(std::span<const std::array<double, 2>> points);

}  // namespace faultline::calibrate
