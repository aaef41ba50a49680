#include "harness/check/common/program.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/check/common/space_calls.hpp"
#include "locks/random.hpp"

namespace faultline::check {
namespace {

constexpr Act write{};
constexpr Act read{.hold = Hold::shared};
constexpr Act try_write{.tries = true};
constexpr Act try_read{.hold = Hold::shared, .tries = true};
constexpr Act downgrade{.hold = Hold::downgraded};
constexpr Act shrink_up{.hold = Hold::raised};

constexpr Act call(Call what, u8 first, u8 end) {
  return {.call = what, .first = first, .end = end};
}
constexpr Act fault(u8 page) {
  return call(Call::fault_write, page, page + 1);
}

constexpr Act over(Act act, u8 first, u8 end) {
  act.first = first;
  act.end = end;
  return act;
}

constexpr Act meeting(Act act) {
  act.meets = true;
  return act;
}

// Ranges of three cells: `low` and `high` are disjoint, `both` overlaps them.
std::vector<Act> verbs_of(Family family) {
  switch (family) {
    case Family::mutex:
      return {write, try_write};
    case Family::shared:
      return {write, read, downgrade, try_write, try_read};
    case Family::range:
      return {over(write, 0, 2),     over(write, 1, 3),
              over(read, 0, 2),      over(read, 1, 3),
              over(write, 2, 3),     over(downgrade, 0, 3),
              over(try_write, 1, 3), over({.hold = Hold::shrunk}, 0, 3),
              over(try_read, 0, 3),  over(shrink_up, 0, 3)};
    case Family::queue:
      return {write};
    case Family::refcount:
      return {write, read, {.hold = Hold::moved}};
    case Family::tree:
    case Family::space:
      return {};
  }
  return {};
}

// Pairs that must be able to hold the lock at the same time, and pairs of which one must not wait
// for the other.
std::vector<Program> meetings_of(Family family) {
  const auto pair = [](Act one, Act other) { return Program{{{meeting(one)}, {other}}}; };
  switch (family) {
    case Family::mutex:
      return {pair(write, try_write)};
    case Family::shared:
      return {pair(write, try_write), pair(write, try_read),     pair(read, try_write),
              pair(read, try_read),   pair(read, meeting(read)), pair(downgrade, read)};
    case Family::range:
      return {pair(over(write, 0, 1), meeting(over(write, 2, 3))),
              pair(over(read, 0, 2), meeting(over(read, 1, 3))),
              pair(over(downgrade, 0, 2), over(read, 1, 3)),
              pair(over({.hold = Hold::shrunk}, 0, 2), over(write, 1, 3)),
              pair(over(shrink_up, 0, 2), over(write, 0, 1)),
              pair(over(write, 0, 3), over(try_read, 0, 1)),
              pair(over(write, 0, 3), over(try_write, 0, 1))};
    case Family::queue:
    case Family::tree:
    case Family::space:
      return {};
    case Family::refcount:
      return {pair(read, meeting(read))};
  }
  return {};
}

}  // namespace

bool Program::meets() const {
  for (const Script& script : threads)
    for (const Act& act : script)
      if (act.meets) return true;
  return false;
}

bool Program::maps_anywhere() const {
  const auto maps = [](const Act& act) {
    return act.call == Call::map_hinted || act.call == Call::place;
  };
  return std::any_of(threads.begin(), threads.end(), [&](const Script& script) {
    return std::any_of(script.begin(), script.end(), maps);
  });
}

namespace {

bool has_protection(Call call) {
  return call == Call::map || call == Call::map_hinted || call == Call::map_stack ||
         call == Call::protect || call == Call::place;
}

std::string call_to_string(const Act& act) {
  constexpr const char* names[call_count] = {
      "none",        "read fault", "write fault", "map",  "map hint", "map stack",
      "unmap",       "protect",    "discard",     "walk", "place",    "raise break",
      "lower break", "scan",       "touch",       "close"};
  constexpr const char* protections[] = {" to none", " to read", " to write", ""};
  std::string text = fmt::format("{}{} [{}", names[static_cast<usize>(act.call)],
                                 has_protection(act.call) ? protections[act.prot] : "", act.first);
  if (act.skew != 0) text += fmt::format(" and {} bytes", act.skew);
  text += fmt::format(", {}", act.end);
  if (act.cut != 0) text += fmt::format(" less {} bytes", act.cut);
  return text + ")";
}

// The options that differ from the usual ones.
std::string options_to_string(const Program& program) {
  std::string text;
  if (program.at_top) text += "at the top: ";
  if (program.split) text += "two spaces: ";
  if (program.shootdown != shootdown_cpumask) text += "precise: ";
  if (program.page_table != page_table_shared) text += "own tables: ";
  if (!program.merge) text += "no merging: ";
  return text;
}

}  // namespace

std::string to_string(const Act& act) {
  if (act.call != Call::none) return call_to_string(act);
  std::string text = act.tries ? "try " : "";
  switch (act.hold) {
    case Hold::exclusive:
      text += "write";
      break;
    case Hold::shared:
      text += "read";
      break;
    case Hold::downgraded:
      text += "downgrade";
      break;
    case Hold::shrunk:
      text += "shrink";
      break;
    case Hold::raised:
      text += "shrink to the end";
      break;
    case Hold::moved:
      text += "move";
      break;
  }
  if (act.first != 0 || act.end != 1) text += fmt::format(" [{}, {})", act.first, act.end);
  return act.meets ? text + " and meet" : text;
}

std::string to_string(const Program& program) {
  std::vector<std::string> scripts;
  for (const Script& script : program.threads) {
    std::vector<std::string> acts;
    for (const Act& act : script) acts.push_back(to_string(act));
    scripts.push_back(fmt::format("{}", fmt::join(acts, ", ")));
  }
  std::vector<std::string> before;
  for (const Act& act : program.before) before.push_back(to_string(act));
  return fmt::format("{}{}{}{}", options_to_string(program), fmt::join(before, ", "),
                     before.empty() ? "" : "; then ", fmt::join(scripts, " | "));
}

std::string to_string(const Program& program, const CallOrder& order) {
  std::vector<std::string> calls;
  for (const CallName call : order)
    calls.push_back(fmt::format("thread {}: {}", u32{call.thread},
                                to_string(program.threads[call.thread][call.number])));
  return fmt::format("{}", fmt::join(calls, "; "));
}

std::vector<Program> programs_of_pairs(Family family) {
  std::vector<Program> programs;
  const std::vector<Act> verbs = verbs_of(family);
  for (usize i = 0; i < verbs.size(); ++i)
    for (usize j = i; j < verbs.size(); ++j) programs.push_back({{{verbs[i]}, {verbs[j]}}});
  for (Program& program : meetings_of(family)) programs.push_back(std::move(program));
  return programs;
}

std::vector<Program> programs_of_two(Family family) {
  switch (family) {
    case Family::mutex:
      return {{{{write, write}, {write, write}}}, {{{write, try_write}, {write, write}}}};
    case Family::shared:
      // The fast paths: no acquisition waits longer than a try.
      return {{{{try_write, read}, {try_read, try_write}}},
              {{{try_read, try_read}, {try_write, try_write}}},
              {{{read, read}, {read, try_write}}},
              {{{read, read}, {read, read}}}};
    case Family::range:
      return {{{{over(write, 0, 1), over(write, 0, 1)}, {over(write, 2, 3), over(write, 2, 3)}}}};
    case Family::queue:
      return {{{{write, write}, {write, write}}}};
    case Family::refcount:
      return {{{{write, write}, {read, read}}}};
    case Family::tree:
    case Family::space:
      return {};
  }
  return {};
}

std::vector<Program> programs_of_two_long(Family family) {
  switch (family) {
    case Family::mutex:
      return {{{{try_write, write}, {write, try_write}}}};
    case Family::shared:
      return {
          {{{write, read}, {write}}}, {{{read, write}, {read}}}, {{{downgrade, write}, {read}}}};
    case Family::range:
      return {{{{over(write, 0, 2), over(read, 0, 2)}, {over(write, 1, 3), over(read, 1, 3)}}},
              {{{over(write, 0, 2), over(write, 0, 2)}, {over(write, 1, 3), over(write, 1, 3)}}}};
    case Family::queue:
      return {{{{write, write}, {write}}}};
    case Family::refcount:
      return {{{{write, {.hold = Hold::moved}}, {read}}},
              {{{{.hold = Hold::moved}}, {read, read}}}};
    case Family::tree:
    case Family::space:
      return {};
  }
  return {};
}

std::vector<Program> programs_of_passers(Family family) {
  const auto again = [](u32 times, Act act) { return Script(times, act); };
  switch (family) {
    case Family::mutex:
      return {{{{write}, {write}, again(4, try_write)}}, {{{write}, {write}, again(3, write)}}};
    case Family::shared:
      return {{{{read}, {write}, again(4, try_read)}},
              {{{write}, {write}, again(3, write)}},
              {{{write}, {write}, again(3, read)}},
              {{again(2, write), {read}, again(3, write)}}};
    case Family::range:
      return {{{{over(write, 0, 1)}, {over(write, 0, 3)}, again(4, over(try_read, 2, 3))}},
              {{{over(read, 0, 2)}, {over(write, 0, 3)}, again(3, over(read, 1, 3))}}};
    case Family::queue:
    case Family::refcount:
    case Family::tree:
    case Family::space:
      return {};
  }
  return {};
}

std::vector<Program> programs_of_readers(u32 threads) {
  constexpr Act walk{.hold = Hold::moved};
  std::vector<Program> programs;
  for (u8 edits = 0; edits < 4; ++edits) {
    const Act edit = over(write, edits, edits + 1);
    if (threads == 3) {
      programs.push_back({{{edit}, {read}, {walk}}});
      continue;
    }
    programs.push_back({{{edit}, {read}}});
    programs.push_back({{{edit}, {walk}}});
  }
  return programs;
}

std::vector<Program> programs_of_many(Family family, u32 threads) {
  const auto of = [&](std::vector<Act> acts) {
    Program program;
    for (u32 i = 0; i < threads; ++i) program.threads.push_back({acts[i % acts.size()]});
    return program;
  };
  switch (family) {
    case Family::mutex:
      return {of({write}), of({write, write, try_write})};
    case Family::shared:
      return {of({write}),
              of({write, read, read}),
              of({write, downgrade, read}),
              of({write, write, try_read, read}),
              of({read, write, try_read, write}),
              of({read, write, try_write, read})};
    case Family::range:
      return {
          of({over(write, 0, 2), over(write, 1, 3), over(write, 2, 3)}),
          of({over(write, 0, 2), over(read, 0, 3), over(read, 1, 3)}),
          of({over(shrink_up, 0, 3), over(write, 0, 1), over(write, 0, 3), over(read, 0, 1)}),
          of({over(write, 2, 3), over(shrink_up, 0, 2), over(write, 0, 3), over(write, 2, 3)}),
          of({over(read, 0, 2), over(write, 1, 3), over(try_read, 0, 3), over(read, 1, 2)}),
          of({over(write, 0, 3), over(read, 0, 1), over(read, 1, 2), over(read, 2, 3)}),
          // Nested and enclosing ranges are held at once.
          of({over(read, 0, 3), over(read, 1, 2), over(write, 0, 3), over(read, 0, 2)}),
          // The tries meet a waiter, and no holder.
          of({over(write, 0, 1), over(write, 0, 3), over(try_read, 2, 3), over(try_write, 1, 3)}),
          // In a list in the order of the starts, the first range stands between two that conflict.
          of({over(read, 1, 2), over(write, 2, 3), over(read, 0, 3), over(read, 0, 1)}),
          of({over(read, 1, 2), over(try_write, 2, 3), over(read, 0, 3), over(write, 2, 3)})};
    case Family::queue:
      return {of({write})};
    case Family::refcount:
      return {of({write, read, read}), of({read, {.hold = Hold::moved}, read})};
    case Family::tree:
    case Family::space:
      return {};
  }
  return {};
}

namespace {

constexpr Act unmap = call(Call::unmap, 0, 2);
constexpr Act map = call(Call::map, 0, 2);
constexpr Act protect_pages(u32 prot, u8 first, u8 end) {
  Act act = call(Call::protect, first, end);
  act.prot = static_cast<u8>(prot);
  return act;
}
constexpr Act protect = protect_pages(prot_read, 0, 2);
constexpr Act discard = call(Call::discard, 0, 2);
constexpr Act walk = call(Call::walk, 0, 1);

using Scripts = std::vector<Script>;

std::vector<Scripts> calls_of_two() {
  return {
      {{fault(0)}, {unmap}},
      {{fault(1)}, {unmap}},
      // The fault may wait for a node of the page table that the unmap removes.
      {{fault(0)}, {call(Call::unmap, 0, 4)}},
      {{call(Call::fault_read, 1, 2)}, {protect}},
      {{fault(0)}, {protect_pages(prot_read, 0, 1)}},  // splits a VMA
      {{fault(1)},
       {protect_pages(prot_read, 0, 1)}},       // the fault may find what becomes the lower part
      {{fault(1)}, {call(Call::unmap, 0, 1)}},  // splits a VMA
      {{fault(2)}, {call(Call::map, 2, 3)}},    // extends a VMA
      {{fault(1)}, {map}},                      // replaces the VMA in place
      {{unmap}, {map, fault(1)}},               // the second thread's page must stay mapped
      {{fault(0)}, {fault(1)}},
      // The map looks at its neighbours.
      {{call(Call::map, 3, 4), fault(3)}, {protect_pages(prot_read, 0, 1)}},
      // Both pages lie in one slot of a radix tree.
      {{call(Call::map, 2, 4), fault(2)}, {call(Call::unmap, 2, 4)}},
      {{fault(1)}, {discard}},
      {{discard}, {discard}},  // the second returns after the first one's shootdown
      {{unmap}, {protect}},
      {{call(Call::unmap, 0, 1)}, {call(Call::unmap, 1, 2)}},
      {{fault(1), fault(0)}, {unmap, map}},  // the VMA is detached and attached again
      {{unmap, call(Call::map_stack, 3, 4), fault(2)}, {fault(1)}},
      // One stack takes another's place, and the second fault grows either.
      {{unmap, call(Call::map_stack, 3, 4), call(Call::map_stack, 2, 4)}, {fault(2), fault(1)}},
      {{call(Call::map_hinted, 2, 3)}, {protect_pages(prot_read, 2, 3)}},
      {{call(Call::map_hinted, 2, 3)}, {protect_pages(prot_none, 2, 3)}},
      {{call(Call::map_hinted, 2, 3)}, {call(Call::unmap, 2, 3), fault(2)}},
      {{walk}, {unmap}},
      {{walk}, {discard, fault(1), fault(0)}},  // the walk may pin a frame that is already reused
  };
}

std::vector<Scripts> calls_of_late() {
  const Act other = call(Call::map, 3, 4);
  return {
      {{fault(1), walk}, {fault(0)}},
      {{fault(1), walk}, {fault(0), protect}},
      {{fault(0)}, {fault(0)}},
      {{walk}, {fault(0)}},
      {{unmap}, {fault(0)}},
      {{discard}, {fault(0)}},
      {{fault(3)}, {other}},         // the other VMA lies to the right
      {{fault(3)}, {unmap, other}},  // the other VMA lies above all others
      // The new VMA becomes the root.
      {{fault(0)}, {call(Call::unmap, 0, 1), call(Call::map_stack, 0, 1)}},
      // The new VMA becomes the left child of one of three nodes, where the tree needs no rotation.
      {{protect_pages(prot_read, 1, 2), other, fault(2)}, {call(Call::map_stack, 2, 3)}},
      {{call(Call::unmap, 3, 4)}, {other, fault(3)}},
  };
}

std::vector<Scripts> calls_of_three() {
  const Act stack = call(Call::map_stack, 3, 4);
  return {
      {{fault(0)}, {fault(1)}, {unmap}},
      {{fault(1)}, {unmap}, {map}},
      {{fault(1), fault(1)}, {protect}, {call(Call::unmap, 0, 1)}},
      {{fault(1)}, {discard}, {map}},
      {{fault(2)}, {call(Call::map, 2, 4)}, {protect_pages(prot_read, 1, 2)}},
      {{fault(1)}, {call(Call::unmap, 0, 1)}, {call(Call::unmap, 1, 2)}},
      {{call(Call::map, 3, 4)}, {call(Call::map, 2, 3)}, {fault(2), fault(3)}},  // merges VMAs
      // Splits and merges VMAs.
      {{protect_pages(prot_read, 0, 1)}, {protect_pages(prot_read, 1, 2)}, {fault(1)}},
      {{unmap, stack}, {fault(2)}, {fault(1)}},  // grows the stack
      {{unmap, map}, {fault(0), fault(1)}, {protect_pages(prot_read, 1, 3)}},
      {{walk}, {walk}, {unmap}},
      {{walk}, {discard}, {fault(1), fault(0)}},
  };
}

std::vector<Scripts> calls_of_four() {
  return {
      {{fault(0)}, {fault(1)}, {unmap}, {map}},
      {{fault(1)}, {protect}, {call(Call::unmap, 1, 2)}, {call(Call::map, 1, 3)}},
      {{fault(1), fault(2)}, {discard}, {call(Call::map, 2, 3)}, {call(Call::unmap, 0, 1)}},
      {{unmap, call(Call::map_stack, 3, 4)}, {fault(2)}, {fault(1)}, {fault(0)}},
  };
}

std::vector<Scripts> calls_of_places() {
  const Act place = call(Call::place, 0, 1), places = call(Call::place, 0, 2);
  const Act raise = call(Call::raise_break, 0, 1), lower = call(Call::lower_break, 0, 1);
  const Act hinted = call(Call::map_hinted, 2, 3);
  return {
      {{hinted, fault(2)}, {hinted, fault(2)}},
      {{place}, {places}},
      {{place, unmap}, {place, fault(1)}},
      {{place}, {unmap, map}},
      {{raise}, {raise}},
      {{raise, lower}, {raise}},
      {{raise, raise}, {lower, place}},
      {{place}, {place}, {raise}},
      {{raise, lower}, {raise}, {place}},
  };
}

// A CPU fills its TLB while another thread edits or faults.
std::vector<Scripts> calls_beside_touches() {
  const Act touch = call(Call::touch, 1, 2), first = call(Call::fault_read, 1, 2);
  return {
      {{protect, first, first}, {touch, touch}},
      {{protect_pages(prot_none, 0, 2), protect, first}, {touch, touch}},
  };
}

// Draws numbers and calls at random.
class Draw {
 public:
  explicit Draw(u64 seed) : state_(seed) {}

  u32 below(u32 limit) { return static_cast<u32>(splitmix64(state_ += golden_gamma) % limit); }
  bool once_in(u32 times) { return below(times) == 0; }

  // A call on some of the pages [first, end).
  Act act(const Program& program, u32 first, u32 end) {
    Call what = Call::none;
    while (what == Call::none || (is_far(what) && !program.far) ||
           (what == Call::scan && program.split))
      what = static_cast<Call>(below(static_cast<u32>(Call::touch) + 1));
    const u32 from = first + below(end - first);
    return arguments(what, from, end);
  }

  // The call on some of the pages [from, end), the first of which it names.
  Act arguments(Call what, u32 from, u32 end) {
    const bool on_page = what == Call::fault_read || what == Call::fault_write ||
                         what == Call::walk || what == Call::touch;
    const u32 pages = on_page ? 1 : 1 + below(end - from);
    Act act = call(what, static_cast<u8>(from), static_cast<u8>(from + pages));
    if (!once_in(3)) act.prot = static_cast<u8>(below(4));
    if (once_in(on_page ? 3 : 16)) act.skew = 1 + below(page_size - 1);
    if (!on_page && once_in(4)) act.cut = 1 + below(page_size - 1);
    if (!on_page && once_in(16)) act.end = act.first, act.cut = 0;
    return act;
  }

  void options(Program& program) {
    program.is_drawn = true;
    program.page_table = below(2) == 0 ? page_table_shared : page_table_per_cpu;
    program.shootdown = below(2) == 0 ? shootdown_cpumask : shootdown_precise;
    program.merge = !once_in(3);
  }

  // With the policy `precise` a shared table does not know a CPU that uses an entry without a
  // fault.
  static bool has_unknown_users(const Program& program) {
    return program.shootdown == shootdown_precise && program.page_table == page_table_shared;
  }
  static void drop_unknown_users(Program& program) {
    if (!has_unknown_users(program)) return;
    const auto drop = [](Script& script) {
      for (Act& act : script)
        if (act.call == Call::touch) act.call = Call::fault_read;
    };
    drop(program.before);
    for (Script& script : program.threads) drop(script);
  }

  // Whether the call may map pages beyond the first few of the space.
  static bool is_far(Call what) {
    return what == Call::map_hinted || what == Call::place || what == Call::raise_break ||
           what == Call::lower_break;
  }

 private:
  u64 state_;
};

void mark_races(Program& program) {
  for (Script& script : program.threads)
    for (Act& walker : script)
      for (const Script& other : program.threads)
        if (&other != &script && walker.call == Call::walk)
          walker.races |= std::any_of(other.begin(), other.end(),
                                      [&](const Act& act) { return takes_page(act, walker); });
}

std::vector<Program> programs_of(std::vector<Scripts> all, bool late = false) {
  std::vector<Program> programs;
  for (Scripts& scripts : all) programs.push_back({std::move(scripts), late, {}});
  return programs;
}

}  // namespace

bool is_refused(const Act& act) {
  switch (act.call) {
    case Call::map:
    case Call::map_stack:
    case Call::unmap:
    case Call::protect:
    case Call::discard:
    case Call::raise_break:
    case Call::lower_break:
      return act.skew != 0 || act.first == act.end;
    default:
      return act.first == act.end;
  }
}

bool takes_page(const Act& act, const Act& walker) {
  switch (act.call) {
    case Call::map:
    case Call::map_stack:
    case Call::unmap:
    case Call::protect:
    case Call::discard:
      return act.first <= walker.first && walker.first < act.end;
    default:
      return act.call == Call::close;
  }
}

void draw_options(std::vector<Program>& programs, u64 seed) {
  Draw draw(seed);
  for (Program& program : programs) draw.options(program);
}

std::vector<Program> programs_of_calls(u32 threads) {
  if (threads == 2) return programs_of(calls_of_two());
  return programs_of(threads == 3 ? calls_of_three() : calls_of_four());
}

namespace {

void draw_calls(Draw& draw, Program& program) {
  const u32 threads = 2 + draw.below(2);
  if (!program.late)
    for (u32 calls = draw.below(2 * program.pages); calls != 0; --calls)
      program.before.push_back(draw.act(program, 0, program.pages));
  for (u32 thread = 0; thread < threads; ++thread) {
    Script& script = program.threads.emplace_back();
    for (u32 calls = 1 + draw.below(threads == 2 ? 3 : 2); calls != 0; --calls)
      script.push_back(draw.act(program, 0, program.pages));
  }
  Draw::drop_unknown_users(program);
  mark_races(program);
}

// Each call keeps to one of the two spaces. The last thread alone uses the upper one, and may end
// it.
void draw_calls_of_split(Draw& draw, Program& program) {
  const u32 half = program.pages / 2;
  for (u32 thread = 0; thread < 3; ++thread) {
    Script& script = program.threads.emplace_back();
    for (u32 calls = 1 + draw.below(2); calls != 0; --calls)
      script.push_back(thread == 2 ? draw.act(program, half, program.pages)
                                   : draw.act(program, 0, half));
  }
  if (draw.once_in(2)) program.threads.back().push_back({.call = Call::close, .end = 0});
  Draw::drop_unknown_users(program);
  mark_races(program);
}

}  // namespace

std::vector<Program> programs_drawn(u32 programs, const Drawn& may, u64 seed) {
  Draw draw(seed);
  std::vector<Program> drawn;
  for (u32 i = 0; i < programs; ++i) {
    Program& program = drawn.emplace_back();
    program.pages = 4 << draw.below(2);
    program.at_top = may.top && draw.once_in(4);
    program.far = may.far && (program.at_top || draw.once_in(2));
    program.split = may.split && !program.at_top && draw.once_in(4);
    program.late = !program.split && draw.once_in(4);
    if (program.split) program.far = false;
    draw.options(program);
    if (program.split)
      draw_calls_of_split(draw, program);
    else
      draw_calls(draw, program);
  }
  return drawn;
}

std::vector<Program> programs_of_met(const Drawn& may, u64 seed) {
  Draw draw(seed);
  std::vector<Program> programs;
  constexpr u32 kinds = static_cast<u32>(Call::touch);
  for (u32 one = 1; one <= kinds; ++one)
    for (u32 other = 1; other <= one; ++other) {
      Program program;
      for (const u32 kind : {one, other}) {
        program.far |= Draw::is_far(static_cast<Call>(kind));
        program.at_top |= may.top && static_cast<Call>(kind) == Call::place;
        Act act = draw.arguments(static_cast<Call>(kind), 0, 2);
        act.skew = 0;
        act.end = std::max(act.end, static_cast<u8>(1));
        program.threads.push_back({act});
      }
      if (program.far && !may.far) continue;
      draw.options(program);
      // With that policy no touch would be left to meet another call.
      if (static_cast<Call>(one) == Call::touch && Draw::has_unknown_users(program))
        program.shootdown = shootdown_cpumask;
      mark_races(program);
      programs.push_back(std::move(program));
    }
  for (Program& program : programs_of(calls_beside_touches())) programs.push_back(program);
  return programs;
}

// A thread that looks for a VMA may find it in the other space, which then ends.
std::vector<Program> programs_of_split() {
  const Act close{.call = Call::close, .end = 0};
  const Act other = call(Call::map, 2, 3);
  std::vector<Program> programs = programs_of({
      {{fault(1)}, {unmap}, {other, close}},
      {{fault(1)}, {unmap, map}, {other, fault(2), close}},
      {{fault(0)}, {call(Call::unmap, 0, 1)}, {other, call(Call::unmap, 2, 3), close}},
      {{fault(1)}, {unmap, other, fault(2), close}},
      {{fault(1), fault(0)}, {unmap, other, close}},
  });
  for (Program& program : programs) program.split = true;
  return programs;
}

// The pages lie in two table pages, and in the third program in three VMAs.
std::vector<Program> programs_of_real_time() {
  const Act hinted = call(Call::map_hinted, 2, 3);
  std::vector<Program> programs = programs_of({
      {{fault(1)}, {fault(2)}, {call(Call::discard, 1, 3)}},
      {{fault(1)}, {fault(2)}, {call(Call::unmap, 1, 3)}},
      {{fault(0)}, {fault(2)}, {protect_pages(prot_none, 0, 3)}},
      {{fault(2)}, {fault(3)}, {call(Call::map, 2, 4)}},
      {{hinted}, {hinted}, {fault(2)}},
  });
  for (usize i = 0; i < 3; ++i) programs[i].before = {call(Call::map, 2, 3)};
  programs[2].before.push_back(protect_pages(prot_read, 1, 2));
  programs.back().far = true;
  return programs;
}

// Another VMA takes over the pages 2 and 3 under their faults.
std::vector<Program> programs_of_absorbed() {
  const Act all = call(Call::map, 0, 4), upper = call(Call::map, 2, 4);
  const Act first_opens = protect_pages(prot_read | prot_write, 0, 1);
  const Act second_opens = protect_pages(prot_read | prot_write, 1, 2);
  std::vector<Program> programs = programs_of({
      {{fault(2)}, {first_opens}},
      {{fault(3)}, {second_opens}},
      {{fault(3)}, {call(Call::map, 1, 2)}},
  });
  programs[0].before = {all, protect_pages(prot_read, 0, 1)};
  programs[1].before = {all, protect_pages(prot_read, 1, 2)};
  programs[2].before = {call(Call::map, 0, 1), call(Call::unmap, 1, 2), upper};
  return programs;
}

std::vector<Program> programs_of_late() {
  return programs_of(calls_of_late(), true);
}

std::vector<Program> programs_of_places() {
  std::vector<Program> programs = programs_of(calls_of_places());
  for (Program& program : programs) program.far = true;
  return programs;
}

}  // namespace faultline::check
