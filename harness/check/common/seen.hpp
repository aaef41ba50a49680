// What the checker compares of an address space beside the answers of calls: what an observer sees
// with all threads at rest, and what the scheme has counted.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "harness/check/common/types.hpp"
#include "locks/address_space/interface.hpp"

namespace faultline::check {

struct Program;

// An observation, without what differs between executions that are alike: identities are numbered
// by the mappings' order. Where a scheme places mappings at addresses of its own choice
// (Program::places_apart), only their lengths remain, or the number of their pages if they may
// merge. In programs where mappings may stay apart
// (Program::apart), neighbours that are alike become one mapping here, without identity.
struct Seen {
  bool runs = false;
  std::vector<Observation::Mapping> mappings = {};
  std::vector<Observation::Page> pages = {};
  u64 program_break = 0;

  bool operator==(const Seen&) const = default;
  // Whether an execution may leave this where a model has `model`. The pages are the model's only
  // after a fault on each (`faulted`). Without merging (`takes_over`: false) two threads that fault
  // in neighbours at the same time give each an anon_vma of its own, although each order of the two
  // faults makes them share one. So mappings may have more identities than the model's.
  bool matches(const Seen& model, bool faulted, bool takes_over) const;
};

Seen seen_of(const Observation& observation, const Program& program);

// What calls have counted, by kind of count. A scheme knows some of these, the model all.
class Counted {
 public:
  enum Kind : usize {
    outside,              // faults that found no mapping at their address
    growth_tries,         // of these, how many found a stack above
    growths,              // of these, how many have grown it
    first_writes,         // faults that gave a mapping its anon_vma
    first_writes_inside,  // the same, without those that grew a stack
    kinds
  };
  static constexpr std::array<const char*, kinds> model_names = {
      "model.outside", "model.growth_tries", "model.growths", "model.first_writes",
      "model.first_writes_inside"};

  // What `after` has more than `before`, while one thread alone made calls. Sets `wrong` where a
  // lock has counted a wait, although nobody else was there.
  static Counted between(const Events& before, const Events& after, std::string& wrong);

  bool operator==(const Counted&) const = default;
  bool matches(const Counted& model) const {
    for (usize kind = 0; kind < kinds; ++kind)
      if (counts_[kind] != unknown && counts_[kind] != model.counts_[kind]) return false;
    return true;
  }

 private:
  static constexpr u64 unknown = ~u64{0};
  static constexpr std::array<u64, kinds> all_unknown() {
    std::array<u64, kinds> counts{};
    counts.fill(unknown);
    return counts;
  }

  std::array<u64, kinds> counts_ = all_unknown();
};

// What is wrong with the counts in every order of calls, of which `faults` were faults; or an empty
// string.
std::string wrong_counts(const Events& events, u64 faults);

}  // namespace faultline::check
