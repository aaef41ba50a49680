#include "harness/check/common/excuses.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <stdexcept>

#include "harness/check/common/sources.hpp"

namespace faultline::check {
namespace {

constexpr std::array all_losses = {
    Loss::acquire, Loss::release, Loss::seq_cst, Loss::acquire_on_failure, Loss::seq_cst_on_failure,
    Loss::wake};
constexpr std::array all_reasons = {
    Reason::load_buffering, Reason::store_order, Reason::release_sequence,
    Reason::seq_cst_order,  Reason::program,     Reason::ordered_elsewhere,
    Reason::hint,           Reason::as_in_linux, Reason::compiler};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const usize end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view trimmed(std::string_view text) {
  const usize begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The text of a line that contains a comment and nothing else.
std::optional<std::string_view> comment_of(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with("//")) return {};
  return trimmed(line.substr(2));
}

template <class Values>
auto find_named(const Values& values, std::string_view name) {
  return std::find_if(values.begin(), values.end(),
                      [&](auto value) { return name == name_of(value); });
}

template <class Values>
std::string names_of(const Values& values) {
  std::vector<const char*> names;
  for (const auto value : values) names.push_back(name_of(value));
  return fmt::format("{}", fmt::join(names, ", "));
}

// Walks over code from a line on and finds the line on which its first statement ends: with a
// semicolon, or with the brace of a block, outside all brackets.
class StatementEnd {
 public:
  StatementEnd(const std::vector<std::string_view>& lines, usize first) {
    for (line_ = first; line_ < lines.size() && !ended_; ++line_) read(lines[line_]);
  }
  usize line() const { return line_ - (ended_ ? 1 : 0); }  // counted from 0

 private:
  void read(std::string_view line) {
    for (usize i = 0; i < line.size() && !ended_; ++i) {
      const char c = line[i];
      if (line.substr(i).starts_with("//")) return;
      if (c == '"' || (c == '\'' && !is_digit_separator(line, i)))
        i = end_of_literal(line, i);
      else
        read(c);
    }
  }
  void read(char c) {
    if (c == ' ') return;
    const bool opens_block = c == '{' && depth_ == 0 && block_may_follow();
    if (c == '(' || c == '[' || (c == '{' && !opens_block))
      ++depth_;
    else if (opens_block || (depth_ == 0 && (c == ';' || c == '}')))
      ended_ = true;
    else if (c == ')' || c == ']' || c == '}')
      --depth_;
    before_ += c;
  }
  // If no block may follow, the brace opens an initializer.
  bool block_may_follow() const {
    for (const char* end : {")", "else", "do", "try", "const", "noexcept", "override"})
      if (before_.ends_with(end)) return true;
    return before_.empty();
  }
  static bool is_digit_separator(std::string_view line, usize at) {
    return at > 0 && std::isxdigit(static_cast<unsigned char>(line[at - 1])) != 0;
  }
  static usize end_of_literal(std::string_view line, usize at) {
    const char quote = line[at];
    for (++at; at < line.size() && line[at] != quote; ++at)
      if (line[at] == '\\') ++at;
    return at;
  }

  usize line_ = 0;
  u32 depth_ = 0;
  bool ended_ = false;
  std::string before_;  // the statement up to here, without blanks
};

class ExcuseReader {
 public:
  ExcuseReader(std::string_view file, std::string_view text)
      : file_(file), lines_(lines_of(text)) {}

  std::vector<Excuse> read() {
    for (line_ = 0; line_ < lines_.size(); ++line_) {
      const auto comment = comment_of(lines_[line_]);
      if (comment && is_excuse(*comment)) read_excuse(*comment);
    }
    return std::move(excuses_);
  }

 private:
  static bool is_excuse(std::string_view comment) {
    return comment.find("weakened") != comment.npos && comment.find("survives") != comment.npos;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument(fmt::format("{}:{}: {}", file_, line_ + 1, what));
  }

  // Removes the text before `end` from `text` and answers it.
  std::string_view take_until(std::string_view& text, std::string_view end) const {
    const usize found = text.find(end);
    if (found == text.npos)
      fail(fmt::format(
          "an excuse without '{}': expected 'weakened LOSS survives, REASON: SENTENCE.'", end));
    const std::string_view taken = text.substr(0, found);
    text.remove_prefix(found + end.size());
    return taken;
  }

  void read_excuse(std::string_view text) {
    if (!take_until(text, "weakened ").empty())
      fail(
          "an excuse in the middle of a line: expected 'weakened LOSS survives, ...' at the "
          "beginning of a comment line");
    const std::string_view loss_name = take_until(text, " survives, ");
    const std::string_view reason_name = take_until(text, ": ");
    const auto loss = find_named(all_losses, loss_name);
    if (loss == all_losses.end())
      fail(fmt::format("an excuse of '{}': expected one of {}", loss_name, names_of(all_losses)));
    const auto reason = find_named(all_reasons, reason_name);
    if (reason == all_reasons.end())
      fail(fmt::format("an excuse for '{}': expected one of {}", reason_name,
                       names_of(all_reasons)));
    Excuse& excuse = excuses_.emplace_back();
    excuse.file = file_;
    excuse.line = static_cast<u32>(line_) + 1;
    excuse.loss = *loss;
    excuse.reason = *reason;
    excuse.sentence = read_sentence(text);
    find_statement(excuse);
  }

  // `begin` is the part of the sentence that its first line has. Leaves line_ at the sentence's
  // last line.
  std::string read_sentence(std::string_view begin) {
    std::string sentence(begin);
    while (line_ + 1 < lines_.size()) {
      const auto more = comment_of(lines_[line_ + 1]);
      if (!more || more->empty() || is_excuse(*more)) break;
      sentence += " " + std::string(*more);
      ++line_;
    }
    if (!sentence.ends_with('.') || sentence.find(". ") != sentence.npos)
      fail("an excuse's reason is told in one sentence: expected one full stop, at its end");
    return sentence;
  }

  void find_statement(Excuse& excuse) const {
    usize first = line_ + 1;
    while (first < lines_.size() && comment_of(lines_[first])) ++first;
    if (first == lines_.size() || trimmed(lines_[first]).empty())
      fail("an excuse above no statement: expected one directly below its comment");
    excuse.first_line = static_cast<u32>(first) + 1;
    excuse.last_line = static_cast<u32>(StatementEnd(lines_, first).line()) + 1;
    for (const Excuse& other : excuses_)
      if (&other != &excuse && other.first_line == excuse.first_line && other.loss == excuse.loss)
        fail(fmt::format("a second excuse of {} for one statement: expected one",
                         name_of(excuse.loss)));
  }

  std::string_view file_;
  std::vector<std::string_view> lines_;
  usize line_ = 0;
  std::vector<Excuse> excuses_;
};

bool stands_in(const Site& site, const Excuse& excuse) {
  return short_name(site.file) == excuse.file && site.line >= excuse.first_line &&
         site.line <= excuse.last_line;
}

// Answers what is wrong with an excuse, or an empty string.
std::string fault_of(const Excuse& excuse, const std::vector<Tried>& tried, bool all_tried) {
  bool is_reached = all_tried, covers_some = false;
  for (const auto& [weakening, caught] : tried) {
    is_reached |= stands_in(weakening.site, excuse);
    if (!excuse.covers(weakening)) continue;
    covers_some = true;
    if (caught)
      return fmt::format("{}:{}: excuses {}, but the checker notices '{}': take the excuse away",
                         excuse.file, excuse.line, name_of(excuse.loss), to_string(weakening));
  }
  if (covers_some || !is_reached) return {};
  return fmt::format(
      "{}:{}: excuses {}, but lines {} to {} have no such order that a search "
      "reaches: take the excuse away",
      excuse.file, excuse.line, name_of(excuse.loss), excuse.first_line, excuse.last_line);
}

}  // namespace

const char* name_of(Reason reason) {
  switch (reason) {
    case Reason::load_buffering:
      return "load_buffering";
    case Reason::store_order:
      return "store_order";
    case Reason::release_sequence:
      return "release_sequence";
    case Reason::seq_cst_order:
      return "seq_cst_order";
    case Reason::program:
      return "program";
    case Reason::ordered_elsewhere:
      return "ordered_elsewhere";
    case Reason::hint:
      return "hint";
    case Reason::as_in_linux:
      return "as_in_linux";
    case Reason::compiler:
      return "compiler";
  }
  return "?";
}

bool Excuse::covers(const Weakening& weakening) const {
  return stands_in(weakening.site, *this) && loss_of(weakening) == loss;
}

std::vector<Excuse> excuses_of(std::string_view file, std::string_view text) {
  return ExcuseReader(file, text).read();
}

std::vector<Excuse> excuses_in_locks() {
  std::vector<Excuse> all;
  for (const Source& source : sources()) {
    if (!source.name.starts_with("locks/")) continue;
    for (Excuse& excuse : excuses_of(source.name, source.text)) all.push_back(std::move(excuse));
  }
  return all;
}

Judgement judge(const std::vector<Excuse>& excuses, const std::vector<Tried>& tried,
                bool all_tried) {
  Judgement judgement;
  for (const Tried& one : tried) {
    const auto covers = [&](const Excuse& excuse) { return excuse.covers(one.weakening); };
    const auto found = std::find_if(excuses.begin(), excuses.end(), covers);
    judgement.excuse_of.push_back(one.caught || found == excuses.end() ? nullptr : &*found);
  }
  for (const Excuse& excuse : excuses)
    if (std::string fault = fault_of(excuse, tried, all_tried); !fault.empty())
      judgement.errors.push_back(std::move(fault));
  return judgement;
}

}  // namespace faultline::check
