// What an address space promises, as a model for one thread: mappings in a list, rights in a map,
// nothing shared with the code of locks/. The checker compares the answers of an execution with
// this model's.
#pragma once

#include <array>
#include <map>
#include <set>
#include <vector>

#include "harness/check/common/seen.hpp"
#include "locks/address_space/interface.hpp"

namespace faultline::check {

class SpaceModel final : public AddressSpace {
 public:
  // What scan() counts. merged: VMAs, where alike neighbours merge. runs: runs of pages of one map
  // call and one protection, as lock_in_tree counts, where nothing merges.
  enum class Counts : int { merged, runs };
  // `merge`: the option of an address space.
  SpaceModel(Counts counts, bool merge) : counts_(counts), merge_(merge) {}

  void enter() override {}
  bool touch(u64 address, Access access) override;
  Error fault(u64 address, Access access) override;
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override;
  Error unmap(u64 start, u64 length) override;
  Error protect(u64 start, u64 length, u32 prot) override;
  MapResult brk(i64 delta) override;
  Error discard(u64 start, u64 length) override;
  bool walk(u64 address) override { return touch(address, Access::read); }
  u64 scan() override { return mappings_.size(); }

  // By the names of Counted::model_names.
  void append_events(Events& events) const override;
  std::vector<std::string> holders() const override { return {}; }
  std::string check() override { return ""; }
  std::optional<Observation> observe() override;

 private:
  struct Mapping {
    u64 start = 0, end = 0;
    u32 prot = 0, flags = 0;
    // merged: the identity that a private write gives the mapping; 0 means none. runs: the number
    // of the map call.
    u64 identity = 0;
  };

  // The index of the first mapping that ends above `address`.
  usize find(u64 address) const;
  bool is_hole(u64 start, u64 end) const;
  void cut(u64 at);
  void clear(u64 start, u64 end);
  void add(u64 start, u64 end, u32 prot, u32 flags);
  bool joins(const Mapping& low, const Mapping& high) const;
  void join_below(usize i);
  void join_around(usize i);
  bool grow(usize i, u64 page);
  void note_write(usize i, u64 address, bool grew);
  void give_identity(usize i);
  static bool alike(const Mapping& low, const Mapping& high);
  u64 highest_hole(u64 length) const;
  void drop_rights(u64 start, u64 end);

  const Counts counts_;
  const bool merge_;
  std::vector<Mapping> mappings_;  // sorted, disjoint
  std::map<u64, u32> rights_;      // of each page that is mapped in, by its address
  u64 break_ = break_start;
  u64 identities_ = 0;     // given out so far
  std::set<u64> written_;  // runs: the pages that have been written since they were mapped
  std::array<u64, Counted::kinds> counted_{};
};

}  // namespace faultline::check
