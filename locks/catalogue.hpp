// All that can be chosen by name: locks, containers of VMAs, schemes, and in
// workloads/catalogue.hpp the workloads. Each entry says what it is and which options it takes. The
// catalogue knows no platform.
//
// A name has the form `name[:key=value]...`: "mmap_sem:lock=rwsem_2012", "mix:faults=1:shared=on".
// An option that is left out has its default, which is the first of its values. The value of an
// option can name another entry, whose options then follow: mmap_sem's lock is an rwsem, so
// "mmap_sem:osq=off" chooses the rwsem's `osq`. A value that is a file's path takes the rest of the
// text, whatever characters that contains, so it must be the last option. The value of a list is
// words with commas between, in any order: "range_lock:narrow=fault,unmap".
//
// The name of a kernel profile (locks/schemes/profiles.def), such as linux-6.4, stands for a scheme
// with options.
//
// To add a lock, a container or a scheme, write its header and one line in the list of its family
// (locks/mutex/list.def, locks/shared/list.def, ...).
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "locks/layout.hpp"

namespace faultline {

// Bits, so that an option can name the entries of several families.
using Families = u32;
enum Family : Families {
  mutex_family = 1,
  shared_family = 2,  // reader-writer locks
  range_family = 4,
  vmas_family = 8,  // containers of VMAs
  scheme_family = 16,
  workload_family = 32,
  broken_family = 64,  // locks for the checker alone, which are never measured
};
inline constexpr Families lock_families = mutex_family | shared_family | range_family;

enum class ValueKind : u32 {
  word,    // one of Option::words
  list,    // some of Option::words with commas between, or one of the first two, "all" and "none"
  entry,   // the name of an entry of Option::families
  number,  // a whole number from least to most
  size,    // bytes, a multiple of the page: "64K", "2M", "1G"
  file     // a path
};

using Words = std::array<const char*, 9>;

struct Option {
  const char* key = nullptr;
  ValueKind kind = ValueKind::word;
  // The default comes first; it is the only element unless the kind is `word` or `list`. A `file`
  // has no default: the user must give it.
  Words words = {};
  const char* summary = "";
  Families families = 0;
  u64 least = 0;
  u64 most = ~u64{0};
};

class Chosen;

struct Entry {
  Family family = scheme_family;
  const char* name = nullptr;
  const char* summary = "";
  std::array<Option, 10> options = {};  // the options that have a key, in canonical order
  bool kernel = false;                  // it is the running kernel, reached by system calls
  bool native_only = false;             // its source is not a template over a platform
  bool can_be_private = true;           // one process can use several instances
  u32 max_threads = 0;                  // 0: any number
  bool lock_loop_only = false;          // a lock for lock_loop alone, which no scheme can choose
  bool rcu = false;                     // a container that can be searched under RCU
  bool needs_rcu = false;               // a scheme whose container must be searchable under RCU
  bool is_modelled = false;             // a scheme that the checker runs under its memory model too
  // A scheme whose discard takes effect page by page. Faults may come in between, edits of its
  // range may not. Every other call takes effect in one moment between its beginning and its
  // return, but for walks beside a call that takes their page, and scans.
  bool discards_by_page = false;
  // Natively, and in the checker, a scheme that exists over the default lock alone. Schemes that
  // differ in their faults, or in how their edits find a range, use the lock in the same way, and
  // each native combination costs time to compile. The simulator has all combinations.
  bool usual_lock_natively = false;
  bool roles = false;        // a workload with faulters and updaters
  bool needs_files = false;  // a workload that maps files, so that it runs on the kernel alone
  bool needs_lock = false;   // a workload that runs on a lock instead of a scheme
  bool bare = false;         // a workload that uses no address space
  bool needs_peers = false;  // a workload that means nothing with one thread
  // Answers why the chosen options do not go together, or an empty string. Null: all go together.
  std::string (*refuse)(const Chosen&) = nullptr;
  // Answers the greatest number of threads if it depends on the options. Null: max_threads
  // applies.
  u32 (*most_threads)(const Chosen&) = nullptr;
};

// Whether a scheme exists natively over its default lock alone. In the short torture under a
// sanitizer every scheme does: the locks run there by themselves, and the combinations would take
// most of the time to compile.
constexpr bool is_over_usual_lock(const Entry& scheme) {
#ifdef FAULTLINE_USUAL_LOCKS_ALONE
  if (scheme.family == scheme_family) return true;
#endif
  return scheme.usual_lock_natively;
}

// A kernel's design as a scheme with options.
struct Profile {
  const char* name;
  const char* composition;  // the name of a scheme with options
  const char* summary;      // what set this kernel apart from those before it
};
inline constexpr Profile profiles[] = {
#define FAULTLINE_PROFILE(name, composition, summary) {name, composition, summary},
#include "locks/schemes/profiles.def"
};
// The profile of that name, or null.
const Profile* find_profile(std::string_view name);

// The entries of a family whose list lies in locks/.
std::span<const Entry> catalogue(Family family);

// The entry of that name, without options, or null. The entry of a profile is that of its scheme.
const Entry* find_entry(Families families, std::string_view name);

// Why a lock of locks/range/patented.def is no entry in this build, and the remedy. Empty for any
// other name.
std::string left_out(std::string_view name);

// An entry with a value for each of its options.
class Chosen {
 public:
  const Entry& entry() const { return *entry_; }

  // The canonical name: the profile's where a profile was chosen; else defaults left out, options
  // in the catalogue's order.
  std::string text() const;
  // The same without regard to the profile.
  std::string composition() const;
  bool is_profile() const { return profile_ != nullptr; }

  // `key` belongs to an option of this entry or of an entry that it chooses. A key that no option
  // has throws std::logic_error.
  const std::string& word(std::string_view key) const;
  bool is_on(std::string_view key) const { return word(key) == "on"; }
  // The value of a number, or of a size in bytes. A number_as() that is left out has
  // the value of the option that it names.
  u64 number(std::string_view key) const;
  // The value of a list: bit i for its i-th word, "all" and "none" not counted. `key` belongs to a
  // list.
  u32 bits(std::string_view key) const;
  // The entry that the option chooses, with its options. Null where this entry has no such option.
  const Chosen* part(std::string_view key) const;

  // Whether this entry, or an entry that it chooses, exists on the native platform alone.
  bool is_native_only() const;
  // How many options have a value other than their default.
  u32 departures() const;
  // The most threads that it supports. 0: any number.
  u32 max_threads() const;

 private:
  friend class Chooser;
  friend Chosen choose(Families families, std::string_view text);
  struct Value {
    const Option* option;
    std::string text;
    std::vector<Chosen> part;  // one element where the option names an entry
    bool is_default() const;
  };
  void append_options(std::string& text) const;
  const Value* find(std::string_view key) const;

  const Entry* entry_ = nullptr;
  const Profile* profile_ = nullptr;  // null where none was named
  std::vector<Value> values_;
};

// The choice that the text names among the entries of these families. Throws std::invalid_argument,
// in one line with the names that exist, for an unknown name, key or value, and for options that do
// not go together.
Chosen choose(Families families, std::string_view text);
// The same among these entries. `what` names the kind of thing in messages: "workload".
Chosen choose_among(std::span<const Entry> entries, const std::string& what, std::string_view text);

// Whether the last option of the text, a name among these families, is a list. A comma behind such
// a name, and a word behind the comma, belong to the name.
bool ends_in_list(Families families, std::string_view text);

// The word for an entry of these families in messages: "scheme", "lock", ...
const char* family_name(Families families);

// An option as a user writes it, the default first: "osq=on|off".
std::string option_form(const Option& option);
// The values that can be listed, the default first. A number or a size lists its default alone.
std::vector<std::string> option_values(const Option& option);

// Throws std::invalid_argument, with the values that exist, where more than one option (the layout
// counts as one) differs from its default and no profile is composed so. Natively only those
// combinations are compiled.
void require_star(const Chosen& chosen, Layout layout);
[[noreturn]] void refuse_combination(const Chosen& chosen, Layout layout);

// All names of one entry that differ from the default in at most one option: the star that is
// compiled natively. The default comes first.
std::vector<std::string> star_of(const Entry& entry);
// The stars of all entries of these families, and with the schemes the profiles. `native`: includes
// the entries that exist on the native platform alone.
std::vector<std::string> stars_of(Families families, bool native);

namespace options {

constexpr Option words(const char* key, Words words, const char* summary) {
  return {.key = key, .words = words, .summary = summary};
}
// `words` begins with "all", the default, and "none".
constexpr Option list(const char* key, Words words, const char* summary) {
  return {.key = key, .kind = ValueKind::list, .words = words, .summary = summary};
}
constexpr Option on(const char* key, const char* summary) {
  return words(key, {"on", "off"}, summary);
}
constexpr Option off(const char* key, const char* summary) {
  return words(key, {"off", "on"}, summary);
}
constexpr Option number(const char* key, const char* otherwise, u64 least, u64 most,
                        const char* summary) {
  return {.key = key,
          .kind = ValueKind::number,
          .words = {otherwise},
          .summary = summary,
          .least = least,
          .most = most};
}
// An option that is left out has the value of the number whose key is `instead`.
constexpr Option number_as(const char* key, const char* instead, u64 least, u64 most,
                           const char* summary) {
  return number(key, instead, least, most, summary);
}
constexpr Option size(const char* key, const char* otherwise, const char* summary,
                      u64 most = u64{1} << 36) {
  return {.key = key,
          .kind = ValueKind::size,
          .words = {otherwise},
          .summary = summary,
          .least = page_size,
          .most = most};
}
constexpr Option file(const char* key, const char* summary) {
  return {.key = key, .kind = ValueKind::file, .summary = summary};
}
constexpr Option entry(const char* key, Families families, const char* otherwise,
                       const char* summary) {
  return {.key = key,
          .kind = ValueKind::entry,
          .words = {otherwise},
          .summary = summary,
          .families = families};
}

}  // namespace options

// The entry as a member of that family.
constexpr Entry in(Family family, Entry entry) {
  entry.family = family;
  return entry;
}

}  // namespace faultline
