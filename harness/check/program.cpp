#include "harness/check/program.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace faultline::check {
namespace {

constexpr Act write{};
constexpr Act read{.hold = Hold::shared};
constexpr Act try_write{.tries = true};
constexpr Act try_read{.hold = Hold::shared, .tries = true};
constexpr Act downgrade{.hold = Hold::downgraded};

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
              over(try_read, 0, 3)};
    case Family::queue:
      return {write};
    case Family::refcount:
      return {write, read, {.hold = Hold::moved}};
    case Family::space:
      return {};
  }
  return {};
}

// Pairs that must be able to be inside at once, or of which one must not wait for the other.
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
              pair(over(write, 0, 3), over(try_read, 0, 1)),
              pair(over(write, 0, 3), over(try_write, 0, 1))};
    case Family::queue:
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

namespace {

std::string call_to_string(const Act& act) {
  constexpr const char* names[] = {"none",      "read fault", "write fault", "map",
                                   "map stack", "unmap",      "protect",     "discard"};
  return fmt::format("{} [{}, {})", names[static_cast<usize>(act.call)], act.first, act.end);
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
  return fmt::format("{}", fmt::join(scripts, " | "));
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
      // The fast paths: those of a lock that is never contended for longer than a try.
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
    case Family::space:
      return {};
  }
  return {};
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
      return {of({write}), of({write, read, read}), of({write, downgrade, read})};
    case Family::range:
      return {of({over(write, 0, 2), over(write, 1, 3), over(write, 2, 3)}),
              of({over(write, 0, 2), over(read, 0, 3), over(read, 1, 3)})};
    case Family::queue:
      return {of({write})};
    case Family::refcount:
      return {of({write, read, read}), of({read, {.hold = Hold::moved}, read})};
    case Family::space:
      return {};
  }
  return {};
}

std::vector<Program> programs_of_calls() {
  const Act unmap = call(Call::unmap, 0, 2), protect = call(Call::protect, 0, 2);
  std::vector<Program> programs;
  const auto add = [&](Script one, Script other) {
    programs.push_back({{std::move(one), std::move(other)}, {}});
    programs.back().sequential = sequential_histories(programs.back());
  };
  add({fault(0)}, {unmap});
  add({fault(1)}, {unmap});
  add({call(Call::fault_read, 1, 2)}, {protect});
  add({fault(0)}, {call(Call::protect, 0, 1)});     // splits
  add({fault(1)}, {call(Call::unmap, 0, 1)});       // splits
  add({fault(2)}, {call(Call::map, 2, 3)});         // extends
  add({fault(1)}, {call(Call::map, 0, 2)});         // in its place
  add({unmap}, {call(Call::map, 0, 2), fault(1)});  // its page must stay
  add({fault(0)}, {fault(1)});                      // one of them brings the anon_vma
  add({fault(1)}, {call(Call::discard, 0, 2)});
  add({unmap}, {protect});
  add({call(Call::unmap, 0, 1)}, {call(Call::unmap, 1, 2)});
  add({fault(1), fault(0)}, {unmap, call(Call::map, 0, 2)});  // detached and attached anew
  add({unmap, call(Call::map_stack, 3, 4), fault(2)}, {fault(1)});
  return programs;
}

}  // namespace faultline::check
