// Turns a scheme's choices into a type, for the translation units of the schemes. Natively a star
// is compiled: the defaults, and each other value of one option alone. On other platforms locks
// stand behind virtual interfaces (locks/any.hpp), and every combination exists. Only the native
// units include the locks themselves, and only the families that the scheme can be made over.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "locks/any.hpp"
#include "locks/schemes/registry.hpp"
#include "locks/star.hpp"
#include "locks/vmas/list.hpp"

namespace faultline {

// Defined in the list.hpp of each family, which the native unit of a scheme over it includes.
template <class Visit>
void for_each_mutex(Visit&& visit);
template <class Visit>
void for_each_shared(Visit&& visit);
template <class Visit>
void for_each_range(Visit&& visit);

// Stands for the line of a lock that a scheme does not have.
struct NoLine {
  template <class P, Choices choices, Layout layout>
  using Lock = void;
};

// The catalogue's entry of a scheme.
template <class Scheme>
struct SchemeLine;
namespace scheme_lines {
using namespace options;
#define FAULTLINE_SCHEME(name_, summary_, ...) \
  constexpr Entry entry_of_##name_ =           \
      in(scheme_family, {.name = #name_, .summary = summary_ __VA_OPT__(, ) __VA_ARGS__});
#include "locks/schemes/list.def"
}  // namespace scheme_lines
#define FAULTLINE_SCHEME(name_, ...)                                      \
  template <>                                                             \
  struct SchemeLine<name_##_scheme> {                                     \
    static constexpr const Entry& entry = scheme_lines::entry_of_##name_; \
  };
#include "locks/schemes/list.def"

// The option that chooses an entry of one of these families. An option without a key where there is
// none.
constexpr Option option_of(const Entry& entry, Families families) {
  for (const Option& option : entry.options)
    if ((option.families & families) != 0) return option;
  return {};
}

// The value that a name gives to an option, or `otherwise`.
constexpr std::string_view value_in(std::string_view name, std::string_view key,
                                    std::string_view otherwise) {
  for (usize begin = name.find(':'); begin != name.npos;) {
    const usize end = name.find(':', ++begin);
    const std::string_view field = name.substr(begin, end == name.npos ? end : end - begin);
    const usize equals = field.find('=');
    if (field.substr(0, equals) == key) return field.substr(equals + 1);
    begin = end;
  }
  return otherwise;
}

// The values that a name gives to the options of its lock.
constexpr Choices choices_in(std::string_view name, const Entry& lock) {
  Choices choices{};
  for (usize i = 0; i < count_options(lock); ++i) {
    const Option& option = lock.options[i];
    const std::string_view word = value_in(name, option.key, option.words[0]);
    for (usize j = 0; j < count_words(option); ++j)
      if (word == option.words[j]) choices[i] = static_cast<unsigned char>(j);
  }
  return choices;
}

// Makes one scheme over one platform. A scheme may have an option for a mutex or reader-writer
// lock, and one for a range lock.
template <class P, class Scheme>
class SpaceMaker {
 public:
  SpaceMaker(const Chosen& chosen, AddressSpaceOptions options)
      : chosen_(chosen), options_(std::move(options)) {}

  std::unique_ptr<AddressSpace> make() {
    if constexpr (entry.native_only && !runs_natively<P>) {
      throw std::invalid_argument("scheme '" + chosen_.text() +
                                  "': it is for the native platform alone");
    } else {
      if constexpr (lock_key.key != nullptr) options_.lock = chosen_.part(lock_key.key);
      if constexpr (ranges_key.key != nullptr) options_.ranges = chosen_.part(ranges_key.key);
      if constexpr (requires { Scheme::take(chosen_, options_); }) Scheme::take(chosen_, options_);
      if constexpr (requires { typename Scheme::template Made<P, Choices{}>; })
        make_chosen(std::make_index_sequence<count_combinations(entry)>());
      else if constexpr (vmas_key.key == nullptr)
        make_over<void>();
      else
        for_each_container([&]<class Line>() {
          if constexpr (!entry.needs_rcu || Line::entry.rcu)
            if (Line::entry.name == chosen_.word(vmas_key.key)) make_over<Line>();
        });
      if (made_ == nullptr) refuse_combination(chosen_, options_.layout);
      return std::move(made_);
    }
  }

 private:
  static constexpr const Entry& entry = SchemeLine<Scheme>::entry;

  // A scheme whose options are words of its own. It has one layout, whatever the case says.
  template <usize... i>
  void make_chosen(std::index_sequence<i...>) {
    const auto make = [&]<Choices choices>() {
      if (chosen_.text() == name_of(entry, choices))
        made_ = std::make_unique<typename Scheme::template Made<P, choices>>(options_);
    };
    (make.template operator()<combination(entry, i)>(), ...);
  }
  static constexpr Option lock_key = option_of(entry, mutex_family | shared_family);
  static constexpr Option ranges_key = option_of(entry, range_family);
  static constexpr Option vmas_key = option_of(entry, vmas_family);

  // `Line` is the container's line, or void where the scheme has no container.
  template <class Line>
  void make_over() {
    if constexpr (runs_natively<P>) {
      for_each_lock([&]<class LockLine>() {
        for_each_ranges([&]<class RangesLine>() { make_over_star<Line, LockLine, RangesLine>(); });
        make_profiles<Line, LockLine>();
      });
    } else if constexpr (lock_key.key == nullptr) {
      make_over_any<Line, void>();
    } else {
      const Family family = options_.lock->entry().family;
      if constexpr ((lock_key.families & mutex_family) != 0)
        if (family == mutex_family) make_over_any<Line, AnyMutex<P>>();
      if constexpr ((lock_key.families & shared_family) != 0)
        if (family == shared_family) make_over_any<Line, AnyShared<P>>();
    }
  }
  // The virtual interface of range locks has no queue. So a scheme that uses the queue of its
  // default range lock names the type (UsualRanges).
  template <class Line, class Lock>
  void make_over_any() {
    if constexpr (ranges_key.key == nullptr) {
      make_both<Line, Lock, void>();
    } else if constexpr (requires { typename Scheme::template UsualRanges<P>; }) {
      if (options_.ranges->text() == ranges_key.words[0])
        make_both<Line, Lock, typename Scheme::template UsualRanges<P>>();
      else
        make_both<Line, Lock, AnyRange<P>>();
    } else {
      make_both<Line, Lock, AnyRange<P>>();
    }
  }

  template <class Visit>
  static void for_each_lock(Visit&& visit) {
    if constexpr (lock_key.key == nullptr) visit.template operator()<NoLine>();
    if constexpr ((lock_key.families & mutex_family) != 0) for_each_mutex(visit);
    if constexpr ((lock_key.families & shared_family) != 0) for_each_shared(visit);
  }
  template <class Visit>
  static void for_each_ranges(Visit&& visit) {
    if constexpr (ranges_key.key == nullptr)
      visit.template operator()<NoLine>();
    else
      for_each_range(visit);
  }

  // The points of the star: the star of each default lock and the defaults of every other lock,
  // each over the other defaults; every other container, and the other layout, with the defaults.
  template <class Line, class LockLine, class RangesLine>
  void make_over_star() {
    constexpr bool usual_vmas = is_usual<Line>(vmas_key);
    constexpr bool usual_locks = is_usual<LockLine>(lock_key) && is_usual<RangesLine>(ranges_key);
    constexpr bool usual = usual_vmas && usual_locks;
    constexpr u32 others =
        !usual_vmas + !is_usual<LockLine>(lock_key) + !is_usual<RangesLine>(ranges_key);
    constexpr bool may_differ =
        !is_over_usual_lock(entry) && !is_for_loops<LockLine>() && !is_for_loops<RangesLine>();
    if constexpr (others <= 1 && (usual_locks || may_differ)) {
      for_each_point<LockLine, usual && may_differ>(options_.lock, [&]<Choices lock>() {
        constexpr bool plain = lock == Choices{};
        for_each_point<RangesLine, usual && may_differ && plain>(
            options_.ranges, [&]<Choices ranges>() {
              make_point<Line, LockLine, lock, RangesLine, ranges, Layout::linux_6_18>();
              if constexpr (usual && plain && ranges == Choices{})
                make_point<Line, LockLine, lock, RangesLine, ranges, Layout::packed>();
            });
      });
    }
  }

  template <class LockLine>
  static constexpr bool is_for_loops() {
    if constexpr (requires { LockLine::entry; })
      return LockLine::entry.lock_loop_only;
    else
      return false;
  }

  template <class Line>
  static constexpr bool is_usual(const Option& option) {
    if constexpr (requires { Line::entry; })
      return std::string_view(Line::entry.name) == option.words[0];
    else
      return true;
  }

  // Calls visit.operator()<choices>() if `chosen` is the line's lock with these options: any point
  // of its star, or without `all` the defaults alone.
  template <class LockLine, bool all, class Visit>
  static void for_each_point(const Chosen* chosen, Visit&& visit) {
    if constexpr (requires { LockLine::entry; }) {
      constexpr usize points = all ? star_size(LockLine::entry) : 1;
      const std::string name = chosen->text();
      [&]<usize... i>(std::index_sequence<i...>) {
        const auto make = [&]<Choices choices>() {
          if (name == name_of(LockLine::entry, choices)) visit.template operator()<choices>();
        };
        (make.template operator()<star_point(LockLine::entry, i)>(), ...);
      }
      (std::make_index_sequence<points>());
    } else {
      visit.template operator()<Choices{}>();
    }
  }

  // The points of the kernel profiles of this scheme, beside the star.
  template <class Line, class LockLine>
  void make_profiles() {
    // Clang looks into the lambda even where no profile names such a combination.
    if constexpr (
        requires { Line::entry; } && requires { LockLine::entry; })
      [&]<usize... i>(std::index_sequence<i...>) {
        const auto make = [&]<usize index>() {
          constexpr std::string_view name = profiles[index].composition;
          if constexpr (is_composed_of<Line, LockLine>(name)) {
            constexpr Choices choices = choices_in(name, LockLine::entry);
            if (made_ == nullptr &&
                chosen_.composition() == choose(scheme_family, name).composition())
              make_point<Line, LockLine, choices, NoLine, Choices{}, Layout::linux_6_18>();
          }
        };
        (make.template operator()<i>(), ...);
      }
    (std::make_index_sequence<std::size(profiles)>());
  }
  template <class Line, class LockLine>
  static constexpr bool is_composed_of(std::string_view name) {
    return name.substr(0, name.find(':')) == entry.name &&
           value_in(name, vmas_key.key, vmas_key.words[0]) == Line::entry.name &&
           value_in(name, lock_key.key, lock_key.words[0]) == LockLine::entry.name;
  }

  template <class Line, class LockLine, Choices lock, class RangesLine, Choices ranges,
            Layout layout>
  void make_point() {
    make_type<Line, typename LockLine::template Lock<P, lock, layout>,
              typename RangesLine::template Lock<P, ranges, layout>, layout>();
  }

  template <class Line, class Lock, class Ranges, Layout layout>
  void make_type() {
    if (options_.layout != layout) return;
    if constexpr (std::is_void_v<Line>)
      construct<void, Lock, Ranges, layout>();
    else
      construct<typename Line::template Lock<P, Choices{}, layout>, Lock, Ranges, layout>();
  }
  // A scheme that has one lock takes that one, whatever its kind, and one that has two takes both.
  template <class Vmas, class Lock, class Ranges, Layout layout>
  void construct() {
    if constexpr (std::is_void_v<Lock> || std::is_void_v<Ranges>) {
      using Only = std::conditional_t<std::is_void_v<Lock>, Ranges, Lock>;
      made_ = std::make_unique<typename Scheme::template Space<P, Vmas, Only, layout>>(options_);
    } else {
      using Space = typename Scheme::template Space<P, Vmas, Lock, Ranges, layout>;
      made_ = std::make_unique<Space>(options_);
    }
  }
  template <class Line, class Lock, class Ranges>
  void make_both() {
    make_type<Line, Lock, Ranges, Layout::linux_6_18>();
    make_type<Line, Lock, Ranges, Layout::packed>();
  }

  const Chosen& chosen_;
  AddressSpaceOptions options_;
  std::unique_ptr<AddressSpace> made_;
};

template <class P, class Scheme>
std::unique_ptr<AddressSpace> make_space(const Chosen& chosen, AddressSpaceOptions options) {
  return SpaceMaker<P, Scheme>(chosen, std::move(options)).make();
}

}  // namespace faultline
