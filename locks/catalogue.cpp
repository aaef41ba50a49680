#include "locks/catalogue.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>

namespace faultline {

namespace {

using namespace options;

#define FAULTLINE_LIST(family, name_, summary_, ...) \
  in(family, {.name = #name_, .summary = summary_ __VA_OPT__(, ) __VA_ARGS__}),

constexpr Entry mutexes[] = {
#define FAULTLINE_MUTEX(name, type, ...) FAULTLINE_LIST(mutex_family, name, __VA_ARGS__)
#include "locks/mutex/list.def"
};
constexpr Entry shared_locks[] = {
#define FAULTLINE_SHARED(name, type, ...) FAULTLINE_LIST(shared_family, name, __VA_ARGS__)
#include "locks/shared/list.def"
};
constexpr Entry range_locks[] = {
#define FAULTLINE_RANGE(name, type, ...) FAULTLINE_LIST(range_family, name, __VA_ARGS__)
#include "locks/range/list.def"
};
constexpr const char* patented[] = {
#define FAULTLINE_RANGE(name, ...) #name,
#include "locks/range/patented.def"
#undef FAULTLINE_RANGE
};
constexpr Entry containers[] = {
#define FAULTLINE_VMAS(name, type, ...) FAULTLINE_LIST(vmas_family, name, __VA_ARGS__)
#include "locks/vmas/list.def"
};
constexpr Entry schemes[] = {
#define FAULTLINE_SCHEME(name, ...) FAULTLINE_LIST(scheme_family, name, __VA_ARGS__)
#include "locks/schemes/list.def"
};
constexpr Entry broken_locks[] = {
#define FAULTLINE_BROKEN(name, type, ...) FAULTLINE_LIST(broken_family, name, __VA_ARGS__)
#include "locks/mutex/broken.def"
};

constexpr Family all_families[] = {mutex_family, shared_family, range_family,
                                   vmas_family,  scheme_family, broken_family};

std::optional<u64> parse_number(std::string_view text) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

u64 unit_of(char letter) {
  if (letter == 'K') return u64{1} << 10;
  if (letter == 'M') return u64{1} << 20;
  return letter == 'G' ? u64{1} << 30 : 0;
}

// A size in bytes. Empty where it exceeds `most`.
std::optional<u64> parse_size(std::string_view text, u64 most) {
  if (text.empty() || unit_of(text.back()) == 0) return std::nullopt;
  const u64 unit = unit_of(text.back());
  const auto value = parse_number(text.substr(0, text.size() - 1));
  if (!value || *value > most / unit || *value * unit % page_size != 0) return std::nullopt;
  return *value * unit;
}

std::string joined(const std::vector<std::string>& names, const char* between = ", ") {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : between) + name;
  return text;
}

// How many of a list's words stand for others: "all" and "none".
constexpr usize list_names = 2;

// Bit i for the i-th word of a list. Empty where a part of the text is no word of it.
std::optional<u32> parse_list(const Option& option, std::string_view text) {
  u32 count = 0;
  while (list_names + count < option.words.size() && option.words[list_names + count] != nullptr)
    ++count;
  const u32 all = (u32{1} << count) - 1;
  if (text == option.words[0]) return all;
  if (text == option.words[1]) return 0;
  u32 bits = 0;
  for (usize begin = 0; begin <= text.size();) {
    const usize end = std::min(text.find(',', begin), text.size());
    u32 i = 0;
    while (i < count && text.substr(begin, end - begin) != option.words[list_names + i]) ++i;
    if (i == count) return std::nullopt;
    bits |= u32{1} << i;
    begin = end + 1;
  }
  return bits;
}

std::string list_text(const Option& option, u32 bits) {
  if (bits == *parse_list(option, option.words[0])) return option.words[0];
  std::vector<std::string> words;
  for (u32 i = 0; bits >> i != 0; ++i)
    if ((bits >> i & 1) != 0) words.emplace_back(option.words[list_names + i]);
  return words.empty() ? option.words[1] : joined(words, ",");
}

// `bytes`, a multiple of the page.
std::string size_text(u64 bytes) {
  char letter = 'K';
  for (const char greater : {'M', 'G'})
    if (bytes % unit_of(greater) == 0) letter = greater;
  return std::to_string(bytes / unit_of(letter)) + letter;
}

// The shortest spelling of a number, or of a size in its greatest unit, and a list in the order of
// its words, so that one case has one name.
std::string canonical(const Option& option, const std::string& text) {
  if (option.kind == ValueKind::list) return list_text(option, *parse_list(option, text));
  if (option.kind == ValueKind::number) return std::to_string(*parse_number(text));
  if (option.kind != ValueKind::size) return text;
  return size_text(*parse_size(text, option.most));
}

std::vector<std::string> names_of(Families families) {
  std::vector<std::string> names;
  for (const Family family : all_families)
    if ((families & family) != 0)
      for (const Entry& entry : catalogue(family)) names.emplace_back(entry.name);
  if ((families & scheme_family) != 0)
    for (const Profile& profile : profiles) names.emplace_back(profile.name);
  return names;
}

// The words of a list but for "all" and "none".
std::string list_words(const Option& option, const char* between) {
  std::vector<std::string> words = option_values(option);
  words.erase(words.begin(), words.begin() + list_names);
  return joined(words, between);
}

std::string expected_values(const Option& option) {
  switch (option.kind) {
    case ValueKind::number:
      return "a whole number from " + std::to_string(option.least) + " to " +
             std::to_string(option.most);
    case ValueKind::size:
      return "a multiple of 4K up to " + size_text(option.most) + ", such as " +
             std::string(option.words[0]);
    case ValueKind::file:
      return "a file's path";
    case ValueKind::list:
      return "all, none, or some of " + list_words(option, ", ") + " with commas between";
    default:
      return joined(option_values(option), " or ");
  }
}

bool fits(const Option& option, const std::string& value) {
  const auto within = [&](std::optional<u64> number) {
    return number && *number >= option.least && *number <= option.most;
  };
  switch (option.kind) {
    case ValueKind::number:
      return within(parse_number(value));
    case ValueKind::size:
      return within(parse_size(value, option.most));
    case ValueKind::file:
      return !value.empty();
    case ValueKind::list:
      return parse_list(option, value).has_value();
    default: {
      const std::vector<std::string> values = option_values(option);
      return std::find(values.begin(), values.end(), value) != values.end();
    }
  }
}

bool is_composed_by_profile(const Chosen& chosen) {
  return std::any_of(std::begin(profiles), std::end(profiles), [&](const Profile& profile) {
    return chosen.composition() == choose(scheme_family, profile.name).composition();
  });
}

}  // namespace

// Parses one text and gives a value to every option of the entry that the text names.
class Chooser {
 public:
  Chooser(std::string what, std::string_view text) : what_(std::move(what)), text_(text) {}

  Chosen choose(std::span<const Entry> entries) {
    const std::string_view name = std::string_view(text_).substr(0, text_.find(':'));
    const auto entry = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& one) { return name == one.name; });
    if (entry == entries.end()) {
      std::vector<std::string> names;
      for (const Entry& one : entries) names.emplace_back(one.name);
      refuse("expected one of " + joined(names));
    }
    split(*entry);
    Chosen chosen = fill(*entry);
    for (const Given& given : given_)
      if (!given.used) refuse_key(given.key, chosen);
    require_rcu(chosen);
    if (entry->refuse != nullptr)
      if (const std::string wrong = entry->refuse(chosen); !wrong.empty()) refuse(wrong);
    return chosen;
  }

 private:
  struct Given {
    std::string key;
    std::string value;
    bool used = false;
  };

  [[noreturn]] void refuse(const std::string& why) const {
    throw std::invalid_argument(what_ + " '" + text_ + "': " + why);
  }

  void split(const Entry& entry) {
    for (usize begin = text_.find(':'); begin != std::string::npos;) {
      usize end = text_.find(':', ++begin);
      const std::string field = text_.substr(begin, end - begin);
      const usize equals = field.find('=');
      if (equals == std::string::npos || equals == 0)
        refuse("'" + field + "' is not KEY=VALUE" + expected_keys(entry));
      Given given{field.substr(0, equals), field.substr(equals + 1)};
      if (is_file(entry, given.key)) {
        given.value = text_.substr(begin + equals + 1);
        end = std::string::npos;
      }
      for (const Given& before : given_)
        if (before.key == given.key) refuse(given.key + " is given twice, expected it once");
      given_.push_back(std::move(given));
      begin = end;
    }
  }

  static bool is_file(const Entry& entry, const std::string& key) {
    return std::any_of(entry.options.begin(), entry.options.end(), [&](const Option& option) {
      return option.kind == ValueKind::file && key == option.key;
    });
  }

  Chosen fill(const Entry& entry) {
    Chosen chosen;
    chosen.entry_ = &entry;
    for (const Option& option : entry.options) {
      if (option.key == nullptr) break;
      Chosen::Value value{&option, take(option), {}};
      if (option.kind == ValueKind::entry)
        value.part.push_back(fill(*find_entry(option.families, value.text)));
      chosen.values_.push_back(std::move(value));
    }
    return chosen;
  }

  std::string take(const Option& option) {
    for (Given& given : given_)
      if (given.key == option.key && !given.used) {
        given.used = true;
        if (!fits(option, given.value)) {
          const std::string why = left_out(given.value);
          refuse(given.key + "=" + given.value + ": " +
                 (why.empty() ? "expected " + expected_values(option) : why));
        }
        return canonical(option, given.value);
      }
    if (option.kind == ValueKind::file) refuse("expected " + option_form(option));
    return option.words[0];
  }

  static std::string expected_keys(const Entry& entry) {
    std::vector<std::string> forms;
    for (const Option& option : entry.options)
      if (option.key != nullptr) forms.push_back(option_form(option));
    if (forms.empty()) return ", expected no options";
    return ", expected " + joined(forms, " or ");
  }

  static void append_keys(const Chosen& chosen, std::vector<std::string>& keys) {
    for (const Chosen::Value& value : chosen.values_) {
      keys.emplace_back(value.option->key);
      for (const Chosen& part : value.part) append_keys(part, keys);
    }
  }

  [[noreturn]] void refuse_key(const std::string& key, const Chosen& chosen) const {
    std::vector<std::string> keys;
    append_keys(chosen, keys);
    if (keys.empty()) refuse("there is no option " + key + ", expected no options");
    refuse("there is no option " + key + ", expected one of " + joined(keys));
  }

  void require_rcu(const Chosen& chosen) const {
    if (!chosen.entry().needs_rcu) return;
    const Chosen* vmas = chosen.part("vmas");
    if (vmas == nullptr || vmas->entry().rcu) return;
    std::vector<std::string> able;
    for (const Entry& container : catalogue(vmas_family))
      if (container.rcu) able.emplace_back(container.name);
    refuse(std::string("vmas=") + vmas->entry().name + " cannot be searched under RCU, which " +
           chosen.entry().name + " does: expected vmas=" + joined(able, " or "));
  }

  const std::string what_;
  const std::string text_;
  std::vector<Given> given_;
};

std::span<const Entry> catalogue(Family family) {
  switch (family) {
    case mutex_family:
      return mutexes;
    case shared_family:
      return shared_locks;
    case range_family:
      return range_locks;
    case vmas_family:
      return containers;
    case scheme_family:
      return schemes;
    case broken_family:
      return broken_locks;
    default:
      throw std::logic_error("the catalogue of workloads is in workloads/catalogue.hpp");
  }
}

const Entry* find_entry(Families families, std::string_view name) {
  for (const Family family : all_families)
    if ((families & family) != 0)
      for (const Entry& entry : catalogue(family))
        if (name == entry.name) return &entry;
  const Profile* profile = (families & scheme_family) != 0 ? find_profile(name) : nullptr;
  return profile != nullptr ? &choose(scheme_family, name).entry() : nullptr;
}

const Profile* find_profile(std::string_view name) {
  for (const Profile& profile : profiles)
    if (name == profile.name) return &profile;
  return nullptr;
}

std::string left_out(std::string_view name) {
  if (find_entry(lock_families, name) != nullptr) return "";
  if (std::find(std::begin(patented), std::end(patented), name) == std::end(patented)) return "";
  return "this build leaves it out, since US patents 11,636,152 and 12,079,278 are said to cover "
         "it; to have it, run cmake -DFAULTLINE_PATENTED=ON in the build folder and build again";
}

bool ends_in_list(Families families, std::string_view text) {
  const Entry* entry = find_entry(families, text.substr(0, text.find(':')));
  const usize colon = text.rfind(':');
  if (entry == nullptr || colon == std::string_view::npos) return false;
  const std::string_view last = text.substr(colon + 1);
  return std::any_of(entry->options.begin(), entry->options.end(), [&](const Option& option) {
    return option.kind == ValueKind::list && option.key == last.substr(0, last.find('='));
  });
}

const char* family_name(Families families) {
  if (families == scheme_family) return "scheme";
  if (families == vmas_family) return "container";
  if (families == workload_family) return "workload";
  return (families & scheme_family) != 0 ? "scheme or lock" : "lock";
}

Chosen choose(Families families, std::string_view text) {
  const std::string_view name = text.substr(0, text.find(':'));
  if (const Profile* profile = find_profile(name);
      profile != nullptr && (families & scheme_family) != 0) {
    if (text != name)
      throw std::invalid_argument(
          "scheme '" + std::string(text) + "': a kernel profile takes no options, expected " +
          profile->name + " alone, or its scheme with another option: " + profile->composition);
    Chosen chosen = choose(scheme_family, profile->composition);
    chosen.profile_ = profile;
    return chosen;
  }
  const Entry* entry = find_entry(families, name);
  if (entry != nullptr) return choose_among({entry, 1}, family_name(entry->family), text);
  std::string why = left_out(name);
  if (why.empty()) why = "expected one of " + joined(names_of(families));
  throw std::invalid_argument(std::string(family_name(families)) + " '" + std::string(text) +
                              "': " + why);
}

Chosen choose_among(std::span<const Entry> entries, const std::string& what,
                    std::string_view text) {
  return Chooser(what, text).choose(entries);
}

bool Chosen::Value::is_default() const {
  return option->words[0] != nullptr && text == option->words[0];
}

void Chosen::append_options(std::string& text) const {
  for (const Value& value : values_) {
    if (!value.is_default()) text += std::string(":") + value.option->key + "=" + value.text;
    for (const Chosen& part : value.part) part.append_options(text);
  }
}

std::string Chosen::text() const {
  return is_profile() ? profile_->name : composition();
}

std::string Chosen::composition() const {
  std::string text = entry_->name;
  append_options(text);
  return text;
}

const Chosen::Value* Chosen::find(std::string_view key) const {
  for (const Value& value : values_) {
    if (key == value.option->key) return &value;
    for (const Chosen& part : value.part)
      if (const Value* inner = part.find(key); inner != nullptr) return inner;
  }
  return nullptr;
}

const std::string& Chosen::word(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr)
    throw std::logic_error(std::string(entry_->name) + " has no option " + std::string(key));
  return value->text;
}

u64 Chosen::number(std::string_view key) const {
  const std::string& text = word(key);
  if (const Value* other = find(text)) return number(other->option->key);
  const Option& option = *find(key)->option;
  return option.kind == ValueKind::size ? *parse_size(text, option.most) : *parse_number(text);
}

u32 Chosen::bits(std::string_view key) const {
  return *parse_list(*find(key)->option, word(key));
}

const Chosen* Chosen::part(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr || value->part.empty() ? nullptr : &value->part.front();
}

bool Chosen::is_native_only() const {
  if (entry_->native_only) return true;
  for (const Value& value : values_)
    for (const Chosen& part : value.part)
      if (part.is_native_only()) return true;
  return false;
}

u32 Chosen::departures() const {
  u32 sum = 0;
  for (const Value& value : values_) {
    sum += !value.is_default();
    for (const Chosen& part : value.part) sum += part.departures();
  }
  return sum;
}

u32 Chosen::max_threads() const {
  return entry_->most_threads != nullptr ? entry_->most_threads(*this) : entry_->max_threads;
}

std::vector<std::string> option_values(const Option& option) {
  if (option.kind == ValueKind::entry) {
    std::vector<std::string> names = names_of(option.families);
    std::erase_if(names, [&](const std::string& name) {
      return find_entry(option.families, name)->lock_loop_only;
    });
    const auto usual = std::find(names.begin(), names.end(), option.words[0]);
    if (usual != names.end()) std::rotate(names.begin(), usual, usual + 1);
    return names;
  }
  std::vector<std::string> words;
  for (const char* word : option.words)
    if (word != nullptr) words.emplace_back(word);
  return words;
}

std::string option_form(const Option& option) {
  const std::string key = option.key;
  switch (option.kind) {
    case ValueKind::number:
      return key + "=NUMBER";
    case ValueKind::size:
      return key + "=SIZE";
    case ValueKind::file:
      return key + "=PATH";
    case ValueKind::list:
      return key + "=" + option.words[0] + "|" + option.words[1] + "|" + list_words(option, ",");
    default:
      return key + "=" + joined(option_values(option), "|");
  }
}

std::vector<std::string> star_of(const Entry& entry) {
  std::vector<std::string> names = {entry.name};
  const auto add_options = [&](const Entry& of, const auto& self) -> void {
    for (const Option& option : of.options) {
      if (option.key == nullptr) break;
      if (option.kind != ValueKind::word && option.kind != ValueKind::list &&
          option.kind != ValueKind::entry)
        continue;
      if (is_over_usual_lock(entry) && (option.families & lock_families) != 0) continue;
      const std::vector<std::string> values = option_values(option);
      for (usize i = 1; i < values.size(); ++i) {
        const std::string name = std::string(entry.name) + ":" + option.key + "=" + values[i];
        const Entry* part = find_entry(option.families, values[i]);
        if (entry.needs_rcu && part != nullptr && part->family == vmas_family && !part->rcu)
          continue;
        names.push_back(name);
      }
      if (option.kind == ValueKind::entry)
        self(*find_entry(option.families, option.words[0]), self);
    }
  };
  add_options(entry, add_options);
  return names;
}

std::vector<std::string> stars_of(Families families, bool native) {
  std::vector<std::string> names;
  for (const Family family : all_families)
    if ((families & family) != 0)
      for (const Entry& entry : catalogue(family))
        for (std::string& name : star_of(entry))
          if (native || !choose(family, name).is_native_only()) names.push_back(std::move(name));
  if ((families & scheme_family) != 0)
    for (const Profile& profile : profiles) names.emplace_back(profile.name);
  return names;
}

void require_star(const Chosen& chosen, Layout layout) {
  const std::vector<std::string> star = star_of(chosen.entry());
  const bool is_outside = is_over_usual_lock(chosen.entry()) &&
                          std::find(star.begin(), star.end(), chosen.text()) == star.end();
  if (!is_outside && chosen.departures() + (layout != Layout::linux_6_18) <= 1) return;
  if (layout == Layout::linux_6_18 && is_composed_by_profile(chosen)) return;
  refuse_combination(chosen, layout);
}

void refuse_combination(const Chosen& chosen, Layout layout) {
  const std::string with =
      layout == Layout::linux_6_18 ? "" : " with layout " + std::string(to_string(layout));
  throw std::invalid_argument(
      std::string(family_name(chosen.entry().family)) + " '" + chosen.text() + "'" + with +
      ": natively at most one option, or the layout, can differ from its default, expected one "
      "of " +
      joined(star_of(chosen.entry())) + " (`faultline sim` has all combinations)");
}

}  // namespace faultline
