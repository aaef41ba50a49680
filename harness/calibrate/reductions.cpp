#include "harness/calibrate/reductions.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "harness/stats/stats.hpp"

namespace faultline::calibrate {

using sim::Distance;

namespace {

// Values from `first` to `last`, both included.
struct Range {
  u32 first, last;
  bool contains(u32 value) const { return first <= value && value <= last; }
  usize size() const { return first <= last ? usize{last} - first + 1 : 0; }
};

// The values that were current while all CPUs were at work.
template <class Logs>
Range common(const Logs& logs) {
  Range range{0, std::numeric_limits<u32>::max()};
  for (const auto& log : logs) {
    if (log.values.empty()) return {1, 0};
    range.first = std::max(range.first, log.values.front());
    range.last = std::min(range.last, log.values.back());
  }
  return range;
}

// Of the marks within a range of values, those of the least and of the greatest value.
class Span {
 public:
  explicit Span(Range range) : range_(range) {}
  void take(std::span<const Mark> marks) {
    for (const Mark& mark : marks) {
      if (!range_.contains(mark.value)) continue;
      if (mark.value <= first_.value) first_ = mark;
      if (mark.value >= last_.value) last_ = mark;
    }
  }
  // 0 if there are no two marks.
  double ns_per_value() const {
    if (first_.value >= last_.value || first_.ns >= last_.ns) return 0;
    return static_cast<double>(last_.ns - first_.ns) /
           static_cast<double>(last_.value - first_.value);
  }

 private:
  const Range range_;
  Mark first_{std::numeric_limits<u32>::max(), 0}, last_{0, 0};
};

constexpr usize fewest = 8;  // observations that a result needs

// As the model ranks waiting CPUs.
Distance rank(Distance distance) {
  return std::max(distance, sim::same_cluster);
}

}  // namespace

Order merge(std::span<const AddLog> logs) {
  const Range range = common(logs);
  Order order;
  order.owners.resize(range.size());
  Span span(range);
  for (usize cpu = 0; cpu < logs.size(); ++cpu) {
    for (const u32 value : logs[cpu].values)
      if (range.contains(value)) order.owners[value - range.first] = static_cast<sim::u16>(cpu);
    span.take(logs[cpu].marks);
  }
  order.ns_per_add = span.ns_per_value();
  return order;
}

double Handovers::all_changes() const {
  return std::accumulate(changes.begin(), changes.end(), 0.0);
}

Handovers count_handovers(const Order& order, const Between& between) {
  Handovers result;
  for (usize i = 1; i < order.owners.size(); ++i) {
    const sim::u16 before = order.owners[i - 1], now = order.owners[i];
    ++(before == now ? result.stays : result.changes[between(before, now)]);
  }
  return result;
}

Handovers even_handovers(usize cpus, const Between& between) {
  Handovers result;
  for (usize a = 0; a < cpus; ++a)
    for (usize b = 0; b < cpus; ++b)
      if (a != b) ++result.changes[between(a, b)];
  return result;
}

std::optional<double> change_ns(const Handovers& handovers, double ns_per_add, Distance distance,
                                const std::array<double, sim::distances>& known) {
  constexpr double least_share = 0.1;
  const double here = handovers.changes[distance];
  if (here == 0 || here < least_share * handovers.all_changes()) return std::nullopt;
  double ns = ns_per_add * handovers.adds(), changes = handovers.all_changes();
  for (Distance other = 0; other < sim::distances; ++other) {
    if (other == distance || known[other] == 0) continue;
    ns -= handovers.changes[other] * known[other];
    changes -= handovers.changes[other];
  }
  if (ns <= 0) return std::nullopt;
  return ns / changes;
}

std::optional<double> nearest_share(const Order& order, usize cpus, const Between& between) {
  // For each CPU, how many of the others are at the least distance, and that distance.
  std::vector<double> near(cpus, 0);
  std::vector<Distance> least(cpus, sim::distances);
  for (usize a = 0; a < cpus; ++a)
    for (usize b = 0; b < cpus; ++b) {
      if (a == b) continue;
      const Distance distance = rank(between(a, b));
      if (distance < least[a]) least[a] = distance, near[a] = 0;
      near[a] += distance == least[a];
    }
  double observed = 0, by_chance = 0, changes = 0;
  for (usize i = 1; i < order.owners.size(); ++i) {
    const sim::u16 before = order.owners[i - 1], now = order.owners[i];
    if (before == now) continue;
    ++changes;
    observed += rank(between(before, now)) == least[before];
    by_chance += near[before] / static_cast<double>(cpus - 1);
  }
  if (changes == by_chance) return std::nullopt;
  return (observed - by_chance) / (changes - by_chance);
}

std::optional<double> kept_ns(std::span<const Mark> steady, std::span<const Mark> asking) {
  std::vector<double> periods, kept;
  for (usize i = 1; i < steady.size(); ++i)
    periods.push_back(static_cast<double>(steady[i].ns - steady[i - 1].ns));
  if (periods.empty()) return std::nullopt;
  // The owner loses the word at some moment between two of its additions, on average in the middle.
  const double half = median(periods) / 2;
  for (const Mark& ask : asking) {
    const auto after =
        std::upper_bound(steady.begin(), steady.end(), ask.value,
                         [](u32 value, const Mark& mark) { return value < mark.value; });
    if (after == steady.begin() || after == steady.end()) continue;
    const u64 last = std::prev(after)->ns;
    kept.push_back(static_cast<double>(last) - static_cast<double>(ask.ns) + half);
  }
  if (kept.size() < fewest) return std::nullopt;
  return median(kept);
}

namespace {

// The values of a range that were read: by how many CPUs, in which clusters, how far away.
struct Seen {
  u32 copies = 0;
  Distance farthest = 0;
  std::set<u32> clusters;
};

std::vector<Seen> seen_values(std::span<const CopyLog> readers, Range range) {
  std::vector<Seen> values(range.size());
  for (const CopyLog& reader : readers)
    for (const u32 value : reader.values) {
      if (!range.contains(value)) continue;
      Seen& seen = values[value - range.first];
      ++seen.copies;
      seen.clusters.insert(reader.cluster);
      seen.farthest = std::max(seen.farthest, reader.distance);
    }
  std::erase_if(values, [](const Seen& seen) { return seen.copies == 0; });
  return values;
}

}  // namespace

std::optional<Copies> count_copies(std::span<const CopyLog> readers, std::span<const Mark> written,
                                   double hit_ns) {
  const Range range = common(readers);
  const std::vector<Seen> values = seen_values(readers, range);
  Span span(range);
  span.take(written);
  if (values.size() < fewest || span.ns_per_value() == 0) return std::nullopt;
  const double seen = static_cast<double>(values.size());
  const double all = static_cast<double>(range.size());
  Copies result;
  result.readers = readers.size();
  result.ns_per_value = (all * span.ns_per_value() - (all - seen) * hit_ns) / seen;
  for (const Seen& value : values) {
    result.copies += value.copies / seen;
    result.clusters += static_cast<double>(value.clusters.size()) / seen;
    result.farthest[value.farthest] += 1 / seen;
  }
  return result;
}

std::optional<double> cluster_copy_ns(const Copies& copies, double first_ns) {
  constexpr double fewest_copies = 1.5;  // fewer show nothing beyond the first one
  if (copies.copies < fewest_copies || copies.copies + 1 > static_cast<double>(copies.readers))
    return std::nullopt;
  const double ns = (copies.ns_per_value - first_ns) / (copies.copies - 1);
  return ns > 0 ? std::optional(ns) : std::nullopt;
}

std::optional<double> home_copy_ns(const Copies& copies,
                                   const std::array<double, sim::distances>& back_ns) {
  double ns = copies.ns_per_value;
  for (Distance distance = 0; distance < sim::distances; ++distance)
    ns -= copies.farthest[distance] * back_ns[distance];
  return ns > 0 ? std::optional(ns / copies.clusters) : std::nullopt;
}

std::vector<Interruption> interruptions(std::span<const Call> calls,
                                        std::span<const Pause> pauses) {
  std::vector<Interruption> result;
  auto pause = pauses.begin();
  for (const Call& call : calls) {
    while (pause != pauses.end() && pause->begin < call.begin) ++pause;
    const auto first = pause;
    while (pause != pauses.end() && pause->begin <= call.end) ++pause;
    if (pause - first == 1)
      result.push_back({static_cast<double>(first->begin - call.begin),
                        static_cast<double>(first->end - first->begin)});
  }
  return result;
}

std::optional<double> slope(std::span<const std::array<double, 2>> points) {
  double x = 0, y = 0, xx = 0, xy = 0;
  const double n = static_cast<double>(points.size());
  for (const auto& [px, py] : points) x += px / n, y += py / n;
  for (const auto& [px, py] : points) xx += (px - x) * (px - x), xy += (px - x) * (py - y);
  if (xx == 0) return std::nullopt;
  return xy / xx;
}

}  // namespace faultline::calibrate
