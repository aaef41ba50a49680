#include "results/doubt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/sim/warm_up.hpp"
#include "harness/stats/stats.hpp"
#include "results/summary.hpp"

namespace faultline {
namespace {

using nlohmann::json;

bool is_simulated(const CaseTrials& trials) {
  return trials.description.contains("machine");
}

/** "2 of 3 trials"; "its trial" if there is one alone. */
std::string share(std::size_t some, std::size_t all) {
  return all == 1 ? "its trial" : fmt::format("{} of {} trials", some, all);
}

/** Empty if every trial settled. A record of an older version does not say. */
std::string why_unsettled(const CaseTrials& trials) {
  std::size_t unsettled = 0;
  double longest_ms = 0;
  double drift = 0;
  for (const auto* records : {&trials.throughput, &trials.latency}) {
    for (const json* record : *records) {
      if (record->value("settled", true)) continue;
      ++unsettled;
      longest_ms = std::max(longest_ms, record->at("warmup_s").get<double>() * 1e3);
      drift = std::max(drift, record->value("drift", 0.0));
    }
  }
  if (unsettled == 0) return "";
  return fmt::format("{} had not settled after a warm-up of {:.3g} ms: {}",
                     share(unsettled, trials.throughput.size() + trials.latency.size()), longest_ms,
                     drift >= WarmUp::most_drift
                         ? fmt::format("throughput still changed by {:.0f} % from window to "
                                       "window",
                                       drift * 100)
                         : "too few operations or windows");
}

/** The greatest share of one thread in the operations of its role, where it did nearly everything;
 * else 0. */
double lone_share(const json& record) {
  std::map<std::string, std::vector<double>> by_role;
  for (const json& thread : record.at("threads"))
    by_role[thread.value("role", "")].push_back(thread.at("operations").get<double>());
  double greatest = 0;
  for (const auto& [role, done] : by_role) {
    if (done.size() < 2 || jain(done) * static_cast<double>(done.size()) >= few_threads) continue;
    double all = 0;
    for (double operations : done) all += operations;
    greatest = std::max(greatest, *std::max_element(done.begin(), done.end()) / all);
  }
  return greatest;
}

std::string why_one_thread(const CaseTrials& trials) {
  std::size_t lone = 0;
  double greatest = 0;
  for (const json* record : trials.throughput) {
    const double share_of_one = lone_share(*record);
    if (share_of_one > 0) ++lone;
    greatest = std::max(greatest, share_of_one);
  }
  if (lone == 0) return "";
  return fmt::format("one thread did up to {:.0f} % of the operations in {}", greatest * 100,
                     share(lone, trials.throughput.size()));
}

std::string why_modes(const std::vector<std::vector<double>>& found) {
  if (found.size() < 2) return "";
  std::string text = "its seeds fall into two modes: ";
  for (const std::vector<double>& mode : found)
    text += fmt::format("{}{} operations/s ({} seeds)", &mode == &found.front() ? "" : " and ",
                        human_rate(median(mode)), mode.size());
  return text;
}

std::string why_spread(const std::vector<double>& measured) {
  if (measured.size() < 2 || measured.size() >= fewest_for_modes) return "";
  const auto [slowest, fastest] = std::minmax_element(measured.begin(), measured.end());
  if (*slowest <= 0 || *fastest < wide_spread * *slowest) return "";
  return fmt::format(
      "its {} seeds differ by a factor of {:.1f}, and fewer than {} cannot show whether they fall "
      "into modes",
      measured.size(), *fastest / *slowest, fewest_for_modes);
}

}  // namespace

std::vector<double> main_mode(const std::vector<double>& rates) {
  const std::vector<std::vector<double>> found = modes(rates);
  if (found.empty()) return rates;
  return *std::max_element(found.begin(), found.end(),
                           [](const auto& a, const auto& b) { return a.size() < b.size(); });
}

std::vector<std::vector<double>> modes_of(const CaseTrials& trials) {
  const std::vector<double> measured = rates(trials);
  if (!is_simulated(trials)) return {measured};
  return modes(measured);
}

CaseTrials main_mode_of(const CaseTrials& trials) {
  const std::vector<std::vector<double>> found = modes_of(trials);
  CaseTrials chosen = trials;
  if (found.size() < 2) return chosen;
  const std::vector<double> main = main_mode(rates(trials));
  std::erase_if(chosen.throughput, [&](const json* record) {
    const double rate = record->value("rate", 0.0);
    return rate < main.front() || rate > main.back();
  });
  return chosen;
}

json doubts_of(const CaseTrials& trials) {
  json doubts = json::array();
  if (!is_simulated(trials)) return doubts;
  const auto add = [&](const char* kind, const std::string& why) {
    if (!why.empty()) doubts.push_back({{"kind", kind}, {"why", why}});
  };
  add("unsettled", why_unsettled(trials));
  add("one_thread", why_one_thread(trials));
  add("modes", why_modes(modes_of(trials)));
  add("spread", why_spread(rates(trials)));
  return doubts;
}

std::string doubts_text(const json& one) {
  std::string text;
  for (const json& doubt : one.value("doubtful", json::array()))
    text += (text.empty() ? "" : "; ") + doubt.at("why").get<std::string>();
  return text;
}

}  // namespace faultline
