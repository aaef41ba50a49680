#include "harness/check/common/seen.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "harness/check/common/space_calls.hpp"

namespace faultline::check {
namespace {

using Mapping = Observation::Mapping;
using Page = Observation::Page;

// Whether calls of the program can name the address, or the break lies there. Elsewhere are
// placements alone.
bool is_near(u64 address, const Program& program) {
  constexpr u64 around = 8 * page_size, break_span = 64 * page_size;
  const u64 base = base_of(program);
  return Range{base - around, base + around}.contains(address) ||
         Range{break_start, break_start + break_span}.contains(address);
}

// Of a mapping that lies where the scheme has chosen, its length remains. Where such mappings may
// merge, as those of one thread do, only the number of their pages remains.
void forget_place(std::vector<Mapping>& kept, const Mapping& mapping, bool runs) {
  const u64 length = mapping.range.length(), part = runs ? length : page_size;
  for (u64 at = 0; at < length; at += part)
    kept.push_back({{0, part}, mapping.prot, mapping.flags, 0, mapping.written});
}

void forget_places(Seen& seen, const Program& program) {
  std::vector<Mapping> kept;
  for (const Mapping& mapping : seen.mappings)
    if (is_near(mapping.range.start, program))
      kept.push_back(mapping);
    else
      forget_place(kept, mapping, seen.runs);
  seen.mappings = std::move(kept);
  for (Page& page : seen.pages)
    if (!is_near(page.address, program)) page.address = 0;
  std::sort(seen.mappings.begin(), seen.mappings.end(), [](const Mapping& a, const Mapping& b) {
    const auto key = [](const Mapping& one) {
      return std::tuple(one.range.start, one.range.end, one.prot, one.flags, one.written);
    };
    return key(a) < key(b);
  });
  std::sort(seen.pages.begin(), seen.pages.end(), [](const Page& a, const Page& b) {
    return std::pair(a.address, a.prot) < std::pair(b.address, b.prot);
  });
}

void join_alike(std::vector<Mapping>& mappings) {
  std::vector<Mapping> joined;
  for (Mapping mapping : mappings) {
    mapping.identity = 0;
    if (!joined.empty() && joined.back().range.end == mapping.range.start &&
        joined.back().prot == mapping.prot && joined.back().flags == mapping.flags)
      joined.back().range.end = mapping.range.end;
    else
      joined.push_back(mapping);
  }
  mappings = std::move(joined);
}

void number_identities(std::vector<Mapping>& mappings) {
  std::vector<u64> known = {0};
  for (Mapping& mapping : mappings) {
    const auto at = std::find(known.begin(), known.end(), mapping.identity);
    const auto number = static_cast<u64>(at - known.begin());
    if (at == known.end()) known.push_back(mapping.identity);
    mapping.identity = number;
  }
}

// Mappings that share an identity in `own` share one in `model`, too.
bool is_finer(const std::vector<Mapping>& own, const std::vector<Mapping>& model) {
  for (usize i = 0; i < own.size(); ++i) {
    if ((own[i].identity == 0) != (model[i].identity == 0)) return false;
    for (usize j = 0; j < i; ++j)
      if (own[i].identity == own[j].identity && model[i].identity != model[j].identity)
        return false;
  }
  return true;
}

bool equal_but_identity(Mapping one, const Mapping& other) {
  one.identity = other.identity;
  return one == other;
}

}  // namespace

Seen seen_of(const Observation& observation, const Program& program) {
  Seen seen{observation.runs, observation.mappings, observation.pages, observation.program_break};
  if (program.apart) join_alike(seen.mappings);
  if (seen.runs || program.places_apart) forget_places(seen, program);
  number_identities(seen.mappings);
  return seen;
}

bool Seen::matches(const Seen& model, bool faulted, bool takes_over) const {
  if (runs != model.runs || program_break != model.program_break) return false;
  if (faulted && pages != model.pages) return false;
  if (takes_over || runs) return mappings == model.mappings;
  return std::equal(mappings.begin(), mappings.end(), model.mappings.begin(), model.mappings.end(),
                    equal_but_identity) &&
         is_finer(mappings, model.mappings);
}

namespace {

// Any other event counts waits or retries, which a thread without others never has.
constexpr auto is_a_wait = Counted::kinds;

// The kind of count that a scheme's event is.
usize kind_of(std::string_view event) {
  for (usize kind = 0; kind < Counted::kinds; ++kind)
    if (event == Counted::model_names[kind]) return kind;
  if (event == "vma_lock.fallback_missed" || event == "speculative.fallback_missed")
    return Counted::outside;
  if (event == "range_lock.stack_growth") return Counted::growth_tries;
  if (event == "lock_in_tree.stack_growth" || event == "page_table_lock.stack_growth" ||
      event == "lock_in_maple.stack_growth")
    return Counted::growths;
  if (event == "range_lock.anon_vma") return Counted::first_writes;
  if (event == "vma_lock.anon_vma_tried") return Counted::first_writes_inside;
  return is_a_wait;
}

// Counts that a thread without others adds to as well, and of which the model knows nothing: slots
// that were expanded, nodes that came and went, in percpu_rwsem the grace period of a writer and
// the slow readers that come soon after it, in a list of ranges those that find a released one
// there, first guesses of a range that were too small, and faults that take the big lock whoever
// else is there.
bool comes_without_others(std::string_view event) {
  return event == "lock_in_tree.expansions" || event == "page_table_lock.nodes_created" ||
         event == "page_table_lock.nodes_removed" || event == "maple.splits" ||
         event == "maple.hot_splits" || event == "maple.removals" ||
         event == "percpu_rwsem.grace_periods" || event == "percpu_rwsem.slow_readers" ||
         event == "range.listed" || event == "range_lock.refinements" ||
         event == "vma_lock.discard_fallback" || event == "vma_lock.fallback_anon_vma_first" ||
         event == "vma_lock.fallback_file" || event == "speculative.fallback_not_anonymous" ||
         event == "speculative.fallback_no_permission" ||
         event == "speculative.fallback_anon_vma" || event == "speculative.fallback_no_table" ||
         event == "speculative.fallback_no_frame";
}

u64 value_of(const Events& events, std::string_view name) {
  for (const EventCount& event : events)
    if (event.name == name) return event.value;
  return 0;
}

}  // namespace

Counted Counted::between(const Events& before, const Events& after, std::string& wrong) {
  Counted counted;
  for (usize i = 0; i < after.size(); ++i) {
    const u64 more = after[i].value - (i < before.size() ? before[i].value : 0);
    const usize kind = kind_of(after[i].name);
    if (kind != is_a_wait)
      counted.counts_[kind] = more;
    else if (more != 0 && !comes_without_others(after[i].name))
      wrong = "a thread that ran alone has counted a wait: " + after[i].name;
  }
  return counted;
}

std::string wrong_counts(const Events& events, u64 faults) {
  const auto count = [&](std::string_view name) { return value_of(events, name); };
  u64 fallbacks = 0;
  for (const EventCount& event : events)
    if (event.name.starts_with("vma_lock.fallback_") ||
        event.name.starts_with("speculative.fallback_"))
      fallbacks += event.value;
  if (fallbacks > faults) return "more faults are counted as falling back than there were";
  for (const char* name :
       {"range_lock.stack_growth", "lock_in_tree.stack_growth", "page_table_lock.stack_growth",
        "lock_in_maple.stack_growth", "range_lock.anon_vma", "vma_lock.anon_vma_tried"})
    if (count(name) > faults)
      return std::string("more are counted than there were faults: ") + name;
  if (count("range_lock.whole_space") > count("range_lock.reach_retries"))
    return "more tries of the whole space are counted than tries";
  if (count("lock_in_tree.false_conflicts") > count("lock_in_tree.waits"))
    return "more needless waits for a slot are counted than waits";
  if (count("range.false_conflicts") > count("range.waits"))
    return "more needless waits for a range are counted than waits";
  if (count("rwsem.reader_steal") + count("rwsem.reader_queued") > count("rwsem.read_slow"))
    return "rwsem: more slow readers are counted by kind than in all";
  if (count("rwsem.write_spin_acquired") + count("rwsem.writer_queued") !=
      count("rwsem.write_slow"))
    return "rwsem: slow writers by kind do not add up";
  if (count("rwsem.woken_readers") != count("rwsem.reader_queued"))
    return "rwsem: not each queued reader is counted as woken";
  return "";
}

}  // namespace faultline::check
