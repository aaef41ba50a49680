#include "harness/sim/engine/counts.hpp"

#include <algorithm>
#include <numeric>

namespace faultline::sim {
namespace {

// Calls visit(kind, distance, reason) for every cell.
template <class F>
void for_each_cell(F&& visit) {
  for (usize kind = 0; kind < kinds; ++kind)
    for (usize distance = 0; distance < distances; ++distance)
      for (usize reason = 0; reason < reasons; ++reason) visit(kind, distance, reason);
}

template <class F>
u64 sum_if(const Transfers& transfers, F&& wanted) {
  u64 sum = 0;
  for_each_cell([&](usize kind, usize distance, usize reason) {
    if (wanted(kind, distance, reason)) sum += transfers.count[kind][distance][reason];
  });
  return sum;
}

// A wait under way is counted by its present status. It may end as another kind, so a later count
// can be less than an earlier one.
void take_off(Time& time, Time before) {
  time -= std::min(time, before);
}

}  // namespace

void Transfers::add(const Transfers& other) {
  for_each_cell([&](usize k, usize d, usize r) { count[k][d][r] += other.count[k][d][r]; });
}

void Transfers::subtract(const Transfers& before) {
  for_each_cell([&](usize k, usize d, usize r) { count[k][d][r] -= before.count[k][d][r]; });
}

u64 Transfers::total() const {
  return sum_if(*this, [](usize, usize, usize) { return true; });
}

u64 Transfers::of(Kind kind) const {
  return sum_if(*this, [=](usize k, usize, usize) { return k == static_cast<usize>(kind); });
}

u64 Transfers::at(Distance distance) const {
  return sum_if(*this, [=](usize, usize d, usize) { return d == distance; });
}

u64 Transfers::because(Reason reason) const {
  return sum_if(*this, [=](usize, usize, usize r) { return r == static_cast<usize>(reason); });
}

Time Account::stalled() const {
  return std::accumulate(stall.begin(), stall.end(), Time{0});
}

Counts Counts::since(const Counts& before) const {
  Counts result = *this;
  result.time -= before.time;
  result.accesses -= before.accesses;
  result.hits -= before.hits;
  result.transfers -= before.transfers;
  result.prefetches -= before.prefetches;
  for (usize i = 0; i < before.by_label.size(); ++i)
    result.by_label[i].subtract(before.by_label[i]);
  for (usize i = 0; i < before.accounts.size(); ++i) {
    Account& account = result.accounts[i];
    const Account& old = before.accounts[i];
    take_off(account.work, old.work);
    take_off(account.spinning, old.spinning);
    take_off(account.sleeping, old.sleeping);
    take_off(account.shootdown, old.shootdown);
    take_off(account.waiting, old.waiting);
    for (usize label = 0; label < old.stall.size(); ++label)
      take_off(account.stall[label], old.stall[label]);
  }
  return result;
}

Transfers Counts::of(const std::string& label) const {
  for (usize i = 0; i < labels.size(); ++i)
    if (labels[i] == label) return by_label[i];
  return {};
}

}  // namespace faultline::sim
