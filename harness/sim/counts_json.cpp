#include "harness/sim/counts_json.hpp"

#include <algorithm>

namespace faultline::sim {
namespace {

using nlohmann::json;

json transfers_json(const Transfers& transfers) {
  json kinds_of = json::object();
  for (usize kind = 0; kind < kinds; ++kind)
    for (usize distance = 0; distance < distances; ++distance)
      for (usize reason = 0; reason < reasons; ++reason)
        if (const u64 count = transfers.count[kind][distance][reason]; count != 0)
          kinds_of[kind_names[kind]][distance_names[distance]][reason_names[reason]] = count;
  return kinds_of;
}

// One number per CPU, in nanoseconds.
template <class F>
json by_cpu(const Counts& counts, F&& time_of) {
  json times = json::array();
  for (const Account& account : counts.accounts) times.push_back(time_of(account) / ps_per_ns);
  return times;
}

json stalls_json(const Counts& counts) {
  json stalls = json::object();
  for (usize label = 0; label < counts.labels.size(); ++label) {
    const auto stall_of = [label](const Account& account) {
      return label < account.stall.size() ? account.stall[label] : Time{0};
    };
    if (std::any_of(counts.accounts.begin(), counts.accounts.end(),
                    [&](const Account& account) { return stall_of(account) >= ps_per_ns; }))
      stalls[counts.labels[label]] = by_cpu(counts, stall_of);
  }
  return stalls;
}

}  // namespace

json counts_json(const Counts& counts) {
  json transfers = json::object();
  for (usize label = 0; label < counts.by_label.size(); ++label)
    if (counts.by_label[label].total() != 0)
      transfers[counts.labels[label]] = transfers_json(counts.by_label[label]);
  return {{"accesses", counts.accesses},
          {"transfers", std::move(transfers)},
          {"time",
           {{"work", by_cpu(counts, [](const Account& one) { return one.work; })},
            {"spinning", by_cpu(counts, [](const Account& one) { return one.spinning; })},
            {"sleeping", by_cpu(counts, [](const Account& one) { return one.sleeping; })},
            {"shootdown", by_cpu(counts, [](const Account& one) { return one.shootdown; })},
            {"stall", stalls_json(counts)}}}};
}

}  // namespace faultline::sim
