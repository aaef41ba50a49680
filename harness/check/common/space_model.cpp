#include "harness/check/common/space_model.hpp"

#include <algorithm>
#include <iterator>

namespace faultline::check {
namespace {

constexpr u64 page = page_size;

u64 floor_of(u64 address) {
  return address / page * page;
}
u64 up_to(u64 start, u64 length) {
  return start + (length + page - 1) / page * page;
}
// No hardware can write a page that it cannot read.
u32 rights_of(u32 prot) {
  return (prot & prot_write) != 0 ? prot_read | prot_write : prot;
}
u32 needed_for(Access access) {
  return access == Access::write ? prot_write : prot_read;
}

}  // namespace

usize SpaceModel::find(u64 address) const {
  usize i = 0;
  while (i < mappings_.size() && mappings_[i].end <= address) ++i;
  return i;
}

bool SpaceModel::is_hole(u64 start, u64 end) const {
  const usize i = find(start);
  return i == mappings_.size() || mappings_[i].start >= end;
}

void SpaceModel::drop_rights(u64 start, u64 end) {
  rights_.erase(rights_.lower_bound(start), rights_.lower_bound(end));
}

// Makes `at` an edge, if it lies within a mapping.
void SpaceModel::cut(u64 at) {
  const usize i = find(at);
  if (i == mappings_.size() || mappings_[i].start >= at) return;
  Mapping upper = mappings_[i];
  upper.start = at;
  mappings_[i].end = at;
  mappings_.insert(mappings_.begin() + static_cast<std::ptrdiff_t>(i) + 1, upper);
}

void SpaceModel::clear(u64 start, u64 end) {
  cut(start);
  cut(end);
  std::erase_if(mappings_, [&](const Mapping& m) { return m.start >= start && m.end <= end; });
  drop_rights(start, end);
  written_.erase(written_.lower_bound(start), written_.lower_bound(end));
}

// Whether two mappings are plain neighbours of one protection.
bool SpaceModel::alike(const Mapping& low, const Mapping& high) {
  return low.end == high.start && low.prot == high.prot && low.flags == 0 && high.flags == 0;
}

// Whether two neighbours become one mapping.
bool SpaceModel::joins(const Mapping& low, const Mapping& high) const {
  if (counts_ == Counts::runs)
    return low.end == high.start && low.prot == high.prot && low.identity == high.identity;
  return merge_ && alike(low, high) &&
         (low.identity == high.identity || low.identity == 0 || high.identity == 0);
}

// Joins mapping `i` with the one below it, where the two join.
void SpaceModel::join_below(usize i) {
  if (i == 0 || i >= mappings_.size() || !joins(mappings_[i - 1], mappings_[i])) return;
  Mapping& low = mappings_[i - 1];
  low.end = mappings_[i].end;
  if (low.identity == 0) low.identity = mappings_[i].identity;
  mappings_.erase(mappings_.begin() + static_cast<std::ptrdiff_t>(i));
}

// Fresh memory joins the mapping below it first, and then the one above.
void SpaceModel::add(u64 start, u64 end, u32 prot, u32 flags) {
  const u64 identity = counts_ == Counts::runs ? ++identities_ : 0;
  const usize i = find(start);
  mappings_.insert(mappings_.begin() + static_cast<std::ptrdiff_t>(i),
                   {start, end, prot, flags, identity});
  join_around(i);
}

// Joins mapping `i` with the one below it, and the result with the one above, where they join.
void SpaceModel::join_around(usize i) {
  const usize before = mappings_.size();
  join_below(i);
  join_below(i + 1 - (before - mappings_.size()));
}

bool SpaceModel::touch(u64 address, Access access) {
  const auto found = rights_.find(floor_of(address));
  return found != rights_.end() && (found->second & needed_for(access)) != 0;
}

// Mapping `i`, a stack, grows down to `start`, unless it would come too near to the mapping below.
bool SpaceModel::grow(usize i, u64 start) {
  Mapping& stack = mappings_[i];
  if ((stack.flags & map_growsdown) == 0 || stack.end - start > stack_limit) return false;
  ++counted_[Counted::growth_tries];
  const u64 lowest = i == 0 ? lowest_address : mappings_[i - 1].end + stack_guard_gap;
  if (start < lowest) return false;
  stack.start = start;
  ++counted_[Counted::growths];
  return true;
}

// A private write gives a mapping its identity: that of a neighbour that is alike, so that the two
// can still join, else a fresh one.
void SpaceModel::give_identity(usize i) {
  Mapping& own = mappings_[i];
  for (const usize other : {i - 1, i + 1}) {
    if (own.identity != 0 || other >= mappings_.size()) continue;
    const bool is_alike = other < i ? alike(mappings_[other], own) : alike(own, mappings_[other]);
    if (is_alike) own.identity = mappings_[other].identity;
  }
  if (own.identity == 0) own.identity = ++identities_;
}

void SpaceModel::note_write(usize i, u64 address, bool grew) {
  if (counts_ == Counts::runs) written_.insert(address);
  if (counts_ == Counts::runs || mappings_[i].identity != 0) return;
  give_identity(i);
  ++counted_[Counted::first_writes];
  if (!grew) ++counted_[Counted::first_writes_inside];
}

Error SpaceModel::fault(u64 address, Access access) {
  const usize i = find(address);
  const bool is_outside = i == mappings_.size() || mappings_[i].start > address;
  counted_[Counted::outside] += is_outside;
  if (i == mappings_.size()) return Error::segv;
  if (is_outside && !grow(i, floor_of(address))) return Error::segv;
  const u32 rights = rights_of(mappings_[i].prot);
  if ((rights & needed_for(access)) == 0) return Error::segv;
  if (access == Access::write) note_write(i, floor_of(address), is_outside);
  rights_[floor_of(address)] |= access == Access::write ? rights : rights & ~prot_write;
  return Error::none;
}

u64 SpaceModel::highest_hole(u64 length) const {
  u64 top = address_space_end;
  for (usize i = mappings_.size(); i-- > 0; top = mappings_[i].start)
    if (top - mappings_[i].end >= length) return top - length;
  return top - lowest_address >= length ? top - length : 0;
}

MapResult SpaceModel::map(u64 hint, u64 length, u32 prot, u32 flags) {
  const bool fixed = (flags & map_fixed) != 0;
  if (length == 0 || (fixed && hint % page != 0)) return {0, Error::inval};
  u64 start = floor_of(hint);
  const u64 size = up_to(0, length);
  if (fixed)
    clear(start, start + size);
  else if (start < lowest_address || start > address_space_end - size ||
           !is_hole(start, start + size))
    start = highest_hole(size);
  if (start == 0) return {0, Error::nomem};
  add(start, start + size, prot, flags & ~map_fixed);
  return {start, Error::none};
}

Error SpaceModel::unmap(u64 start, u64 length) {
  if (length == 0 || start % page != 0) return Error::inval;
  clear(start, up_to(start, length));
  return Error::none;
}

// A hole ends it. What lies before the hole has changed.
Error SpaceModel::protect(u64 start, u64 length, u32 prot) {
  if (start % page != 0) return Error::inval;
  const u64 end = up_to(start, length);
  for (u64 at = start; at < end;) {
    usize i = find(at);
    if (i == mappings_.size() || mappings_[i].start > at) return Error::nomem;
    const u64 stop = std::min(end, mappings_[i].end);
    if (mappings_[i].prot != prot) {
      cut(at);
      cut(stop);
      i = find(at);
      mappings_[i].prot = prot;
      for (auto right = rights_.lower_bound(at); right != rights_.lower_bound(stop); ++right)
        right->second &= rights_of(prot);
      join_around(i);
    }
    at = stop;
  }
  return Error::none;
}

MapResult SpaceModel::brk(i64 delta) {
  const u64 fresh = break_ + static_cast<u64>(delta);
  if (delta % static_cast<i64>(page) != 0 || fresh < break_start || fresh >= address_space_end)
    return {break_, Error::inval};
  if (delta > 0) {
    if (!is_hole(break_, fresh)) return {break_, Error::nomem};
    add(break_, fresh, prot_read | prot_write, 0);
  } else if (delta < 0) {
    clear(fresh, break_);
  }
  break_ = fresh;
  return {break_, Error::none};
}

Error SpaceModel::discard(u64 start, u64 length) {
  if (start % page != 0) return Error::inval;
  const u64 end = up_to(start, length);
  drop_rights(start, end);
  u64 at = start;
  for (usize i = find(at); i < mappings_.size() && mappings_[i].start <= at; ++i)
    at = mappings_[i].end;
  return at < end ? Error::nomem : Error::none;
}

void SpaceModel::append_events(Events& events) const {
  for (usize kind = 0; kind < Counted::kinds; ++kind)
    events.push_back({Counted::model_names[kind], counted_[kind]});
}

std::optional<Observation> SpaceModel::observe() {
  Observation seen;
  seen.runs = counts_ == Counts::runs;
  seen.program_break = break_;
  for (const auto& [address, right] : rights_)
    if (right != prot_none) seen.pages.push_back({address, right});
  for (const Mapping& one : mappings_) {
    const auto add = [&](u64 start, u64 end, bool written) {
      auto& all = seen.mappings;
      if (start != one.start && all.back().written == written)
        all.back().range.end = end;
      else
        all.push_back({{start, end}, one.prot, one.flags, one.identity, written});
    };
    if (seen.runs)
      for (u64 at = one.start; at < one.end; at += page) add(at, at + page, written_.contains(at));
    else
      add(one.start, one.end, false);
  }
  return seen;
}

}  // namespace faultline::check
