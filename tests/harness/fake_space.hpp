// An address space for tests of workloads and trials: a map of pages behind one mutex, with hooks.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "harness/native/registry.hpp"
#include "harness/native/trial.hpp"
#include "harness/topology/topology.hpp"

namespace faultline {

// One call as it reached the address space.
struct Call {
  u32 thread;
  Operation kind;
  u64 address;
  u64 length;
  u32 prot;
  bool fresh;  // only for a fault: the page was missing
};

class FakeSpace final : public AddressSpace {
 public:
  // `calls`, if not null, receives each thread's first calls. Later calls are only counted.
  explicit FakeSpace(std::vector<Call>* calls = nullptr) : calls_(calls) {}

  std::function<void()> on_fault = [] {};  // called outside the mutex
  std::vector<std::string> holding;
  std::string verdict;

  void enter() override {}

  bool touch(u64 address, Access access) override {
    const std::lock_guard guard(mutex_);
    const auto page = pages_.find(page_floor(address));
    if (page == pages_.end() || page->second.prot == prot_none || !page->second.present)
      return false;
    const Operation kind = access == Access::write ? Operation::write : Operation::read;
    note({NativePlatform::self(), kind, address, 0, 0, false});
    return true;
  }
  Error fault(u64 address, Access) override {
    on_fault();
    const std::lock_guard guard(mutex_);
    grow(page_floor(address));
    const auto page = pages_.find(page_floor(address));
    const bool served = page != pages_.end() && page->second.prot != prot_none;
    note(
        {NativePlatform::self(), Operation::fault, address, 0, 0, served && !page->second.present});
    if (!served) return Error::segv;
    page->second.present = true;
    return Error::none;
  }
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override {
    const std::lock_guard guard(mutex_);
    const u64 start = (flags & map_fixed) != 0 ? hint : next_;
    if ((flags & map_fixed) == 0) next_ += length;
    for (u64 page = start; page < start + length; page += page_size) pages_[page] = {prot, false};
    if ((flags & map_growsdown) != 0) stacks_.insert(start);
    note({NativePlatform::self(), Operation::map, start, length, prot, false});
    return {start, Error::none};
  }
  Error unmap(u64 start, u64 length) override {
    const std::lock_guard guard(mutex_);
    pages_.erase(pages_.lower_bound(start), pages_.lower_bound(start + length));
    stacks_.erase(stacks_.lower_bound(start), stacks_.lower_bound(start + length));
    note({NativePlatform::self(), Operation::unmap, start, length, 0, false});
    return Error::none;
  }
  Error protect(u64 start, u64 length, u32 prot) override {
    const std::lock_guard guard(mutex_);
    for (u64 page = start; page < start + length; page += page_size) pages_.at(page).prot = prot;
    note({NativePlatform::self(), Operation::protect, start, length, prot, false});
    return Error::none;
  }
  MapResult brk(i64) override { return {0, Error::inval}; }
  Error discard(u64 start, u64 length) override {
    const std::lock_guard guard(mutex_);
    for (auto page = pages_.lower_bound(start);
         page != pages_.end() && page->first < start + length; ++page)
      page->second.present = false;
    note({NativePlatform::self(), Operation::discard, start, length, 0, false});
    return Error::none;
  }
  bool walk(u64) override { return false; }
  u64 scan() override { return 0; }
  void append_events(Events& events) const override {
    const std::lock_guard guard(mutex_);
    events.push_back({"fake.calls", seen_});
  }
  std::vector<std::string> holders() const override { return holding; }
  std::string check() override { return verdict; }

 private:
  // A stack that begins right above the page grows to it.
  void grow(u64 page) {
    if (pages_.contains(page) || stacks_.erase(page + page_size) == 0) return;
    pages_[page] = {pages_[page + page_size].prot, false};
    stacks_.insert(page);
  }
  struct Page {
    u32 prot = 0;
    bool present = false;
  };
  void note(const Call& call) {
    ++seen_;
    if (calls_ != nullptr && noted_[call.thread]++ < 5000) calls_->push_back(call);
  }

  mutable std::mutex mutex_;
  std::map<u64, Page> pages_;
  std::set<u64> stacks_;  // where each begins
  std::vector<Call>* calls_;
  u64 seen_ = 0;
  std::map<u32, u32> noted_;
  u64 next_ = u64{1} << 30;
};

// A short trial on the CPUs of this machine, however few they are.
inline TrialSpec short_trial(const std::string& workload, const std::string& scheme, u32 threads) {
  const Topology topology = Topology::here();
  TrialSpec spec;
  spec.trial_case.workload = workload;
  spec.trial_case.scheme = scheme;
  spec.trial_case.placement = "compact";
  spec.trial_case.threads = threads;
  spec.trial_case.cpus = topology.place("compact", threads);
  spec.trial_case.oversubscribed = topology.oversubscribed("compact", threads);
  spec.trial_case.warmup_s = 0.01;
  spec.trial_case.duration_s = 0.05;
  spec.steal_limit = 1e9;  // a busy machine must not fail a test
  return spec;
}

// A trial whose window is long enough for operations to complete in it on any busy machine, and for
// a growing pool not to matter.
inline nlohmann::json run_long_enough(TrialSpec spec) {
  constexpr double longest_s = 30;
  for (;; spec.trial_case.duration_s *= 4) {
    nlohmann::json record = run_trial(spec);
    const std::string reason = record.value("reason", "");
    const bool too_short = reason.starts_with("no operation completed") ||
                           reason.find("the program itself took") != std::string::npos;
    if (!too_short || spec.trial_case.duration_s > longest_s) return record;
  }
}

// Makes the workload of the spec over FakeSpaces. `look` sees them before anything runs.
inline MakeArena<NativePlatform> fake_arenas(const TrialSpec& spec,
                                             std::function<void(FakeSpace&)> look) {
  return [&spec, look](u32 threads) {
    auto space = std::make_unique<FakeSpace>();
    look(*space);
    return Arena<NativePlatform>{
        std::move(space), make_workload<NativePlatform>(spec.trial_case.workload, "", threads)};
  };
}

}  // namespace faultline
