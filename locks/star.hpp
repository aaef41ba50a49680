// From lines of the catalogue's lists to types over a platform: for folds over a family, and to
// make one by its name. Natively there is a star of types: the defaults, and each other value
// alone. Elsewhere all combinations can be had (locks/any.hpp).
#pragma once

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "locks/catalogue.hpp"
#include "locks/layout.hpp"

namespace faultline {

// By the place of each option of an entry: the place of its value among the option's words.
using Choices = std::array<unsigned char, 6>;

// A lock's type and its canonical name, for a fold over a list of types.
template <class L>
struct NamedLock {
  using Lock = L;
  std::string name;
  std::string summary;
};

// Declares `line_of_NAME`: the entry of one line of a list, and its type for the values of its
// options.
#define FAULTLINE_TYPE(...) __VA_ARGS__
#define FAULTLINE_LINE(family, name_, type, summary_, ...)                            \
  struct line_of_##name_ {                                                            \
    static constexpr Entry entry =                                                    \
        in(family, {.name = #name_, .summary = summary_ __VA_OPT__(, ) __VA_ARGS__}); \
    template <class P, Choices choices, Layout layout>                                \
    using Lock = FAULTLINE_TYPE type;                                                 \
  };

constexpr usize count_words(const Option& option) {
  usize count = 0;
  for (const char* word : option.words) count += word != nullptr;
  return count;
}

constexpr usize count_options(const Entry& entry) {
  usize count = 0;
  for (const Option& option : entry.options) count += option.key != nullptr;
  return count;
}

// How many combinations of values the options of an entry have.
constexpr usize count_combinations(const Entry& entry) {
  usize product = 1;
  for (usize i = 0; i < count_options(entry); ++i) product *= count_words(entry.options[i]);
  return product;
}

constexpr Choices combination(const Entry& entry, usize index) {
  Choices choices{};
  for (usize i = 0; i < count_options(entry); ++i) {
    const usize words = count_words(entry.options[i]);
    choices[i] = static_cast<unsigned char>(index % words);
    index /= words;
  }
  return choices;
}

// How many of the combinations differ from the defaults in one value at most.
constexpr usize star_size(const Entry& entry) {
  usize sum = 1;
  for (usize i = 0; i < count_options(entry); ++i) sum += count_words(entry.options[i]) - 1;
  return sum;
}

// The first point has the defaults.
constexpr Choices star_point(const Entry& entry, usize index) {
  Choices choices{};
  for (usize i = 0; i < count_options(entry) && index != 0; ++i) {
    const usize others = count_words(entry.options[i]) - 1;
    if (index <= others) choices[i] = static_cast<unsigned char>(index);
    index = index > others ? index - others : 0;
  }
  return choices;
}

inline std::string name_of(const Entry& entry, const Choices& choices) {
  std::string name = entry.name;
  for (usize i = 0; i < choices.size(); ++i)
    if (choices[i] != 0)
      name += std::string(":") + entry.options[i].key + "=" + entry.options[i].words[choices[i]];
  return name;
}

// The type at one point of the star of a line.
template <class P, class Line, usize i>
struct StarLock {
  static constexpr Choices choices = star_point(Line::entry, i);
  using Type = typename Line::template Lock<P, choices, Layout::linux_6_18>;
};

template <class P, class Line, usize... i>
auto star_tuple(std::index_sequence<i...>) {
  return std::tuple{NamedLock<typename StarLock<P, Line, i>::Type>{
      name_of(Line::entry, StarLock<P, Line, i>::choices), Line::entry.summary}...};
}

// The star of one line as a tuple of NamedLocks; empty where the platform cannot have the lock.
template <class P, class Line>
auto star_list() {
  if constexpr (Line::entry.native_only && !runs_natively<P>)
    return std::tuple<>();
  else
    return star_tuple<P, Line>(std::make_index_sequence<star_size(Line::entry)>());
}

}  // namespace faultline
