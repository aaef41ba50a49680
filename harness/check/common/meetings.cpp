#include "harness/check/common/meetings.hpp"

#include <fmt/format.h>

#include <string_view>

#include "harness/check/common/space_calls.hpp"

namespace faultline::check {
namespace {

// All kinds that the table has, in the order of Call.
constexpr std::array<const char*, call_count> names = {
    "",          "read fault",  "write fault", "map",     "map hint",
    "map stack", "unmap",       "protect",     "discard", "walk",
    "place",     "raise break", "lower break", "scan",    "touch",
    ""};

constexpr bool moves_break(usize kind) {
  const Call call = static_cast<Call>(kind);
  return call == Call::raise_break || call == Call::lower_break;
}
constexpr bool is(usize kind, Call call) {
  return kind == static_cast<usize>(call);
}

// Why two kinds of calls need not meet in a scheme; empty if they must.
std::string_view excuse_of(std::string_view scheme, usize a, usize b) {
  const bool scans = is(a, Call::scan) || is(b, Call::scan);
  if (moves_break(a) != moves_break(b) && !scans)
    return "the break lies apart from the pages of the programs, and no program places a mapping "
           "there";
  const bool places = is(a, Call::place) != is(b, Call::place);
  if (places_apart(scheme) && places && !scans)
    return "a thread places mappings in a region of its own, which no other call reaches";
  return {};
}

std::string row_of(const std::vector<SchemeMeetings>& schemes, usize kind) {
  std::string row = fmt::format("{:<12}", names[kind]);
  for (usize other = 1; other <= kind; ++other) {
    usize met = 0, excused = 0;
    for (const SchemeMeetings& one : schemes) {
      met += one.met[kind] >> other & 1;
      excused += excuse_of(one.scheme, kind, other).empty() ? 0 : 1;
    }
    row += met == 0 && excused == schemes.size() ? "   x" : fmt::format(" {:>3}", met);
  }
  return row + "\n";
}

}  // namespace

// A placement at the top may take any page that is free. Elsewhere it takes no page of the program.
bool Meetings::share_range(const Act& a, const Act& b) const {
  if (is_refused(a) || is_refused(b)) return false;
  const usize one = kind(a), other = kind(b);
  if (is(one, Call::scan) || is(other, Call::scan)) return true;
  if (moves_break(one) || moves_break(other)) return moves_break(one) && moves_break(other);
  if (is(one, Call::place) || is(other, Call::place)) return at_top_ || one == other;
  return a.first < b.end && b.first < a.end;
}

std::string table_of(const std::vector<SchemeMeetings>& schemes, bool& all_met) {
  constexpr usize kinds = static_cast<usize>(Call::touch);
  std::string text = fmt::format(
      "\nCalls that met on one range, by the number of schemes (of {}) in which they did; x: they "
      "need not meet\n",
      schemes.size());
  for (usize kind = 1; kind <= kinds; ++kind) text += row_of(schemes, kind);
  for (const SchemeMeetings& one : schemes)
    for (usize kind = 1; kind <= kinds; ++kind)
      for (usize other = 1; other <= kind; ++other) {
        if ((one.met[kind] >> other & 1) != 0 || !excuse_of(one.scheme, kind, other).empty())
          continue;
        all_met = false;
        text += fmt::format("FAILED: {}: {} and {} have not met\n", one.scheme, names[other],
                            names[kind]);
      }
  return text;
}

}  // namespace faultline::check
