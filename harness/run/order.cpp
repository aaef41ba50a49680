#include "harness/run/order.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace faultline {
namespace {

// Our own shuffle, because the order must follow from the seed alone, and std::shuffle orders
// differently from library to library.
void shuffle(std::vector<PlannedTrial>& trials, usize from, std::mt19937_64& random) {
  for (usize left = trials.size() - from; left > 1; --left)
    std::swap(trials[from + left - 1], trials[from + random() % left]);
}

}  // namespace

std::vector<PlannedTrial> order_trials(const Plan& plan, TrialOrder order, u64 seed) {
  std::mt19937_64 random(seed);
  u32 rounds = 0;
  for (const PlannedCase& planned : plan.cases)
    rounds = std::max({rounds, planned.repetitions, planned.latency_repetitions});
  std::vector<PlannedTrial> trials;
  for (u32 round = 0; round < rounds; ++round) {
    const usize from = trials.size();
    for (usize of = 0; of < plan.cases.size(); ++of) {
      if (round < plan.cases[of].repetitions) trials.push_back({of, round, false});
      if (round < plan.cases[of].latency_repetitions) trials.push_back({of, round, true});
    }
    if (order == TrialOrder::interleaved) shuffle(trials, from, random);
  }
  if (order == TrialOrder::by_case)
    std::stable_sort(trials.begin(), trials.end(),
                     [](const PlannedTrial& a, const PlannedTrial& b) { return a.of < b.of; });
  return trials;
}

}  // namespace faultline
