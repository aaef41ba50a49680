#include "harness/check/common/story.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/check/common/sources.hpp"

namespace faultline::check {
namespace {

// Names an address by the smallest labelled object that holds it: "lock+0x8", "thread 1's node".
std::string name_of(const void* object, const std::vector<Label>& labels) {
  const Label* best = nullptr;
  const auto address = reinterpret_cast<u64>(object);
  const auto start_of = [](const Label& label) { return reinterpret_cast<u64>(label.object); };
  for (const Label& label : labels)
    if (address >= start_of(label) && address < start_of(label) + label.bytes &&
        (best == nullptr || label.bytes <= best->bytes))
      best = &label;
  if (best == nullptr) return "on a stack";
  const u64 offset = address - start_of(*best);
  const std::string owner = best->thread == nobody ? "" : fmt::format("thread {}'s ", best->thread);
  return owner + best->name + (offset == 0 ? "" : fmt::format("+{:#x}", offset));
}

// Shows a pointer as the name of the object it points to, and any other number as it is.
std::string value_of(u64 value, const std::vector<Label>& labels) {
  if (value < u64{1} << 40) return fmt::format("{}", value);
  const std::string name = name_of(reinterpret_cast<const void*>(value), labels);
  // The address of an unlabelled object differs from process to process.
  return name == "on a stack" ? "a pointer" : "&(" + name + ")";
}

std::string source_line(const Where& where) {
  std::string_view text = source_text(short_name(where.file_name()));
  for (u32 line = 1; line < where.line() && !text.empty(); ++line)
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  std::string line(text.substr(0, text.find('\n')));
  line.erase(0, std::min(line.find_first_not_of(' '), line.size()));
  return line.substr(0, line.find("  //"));
}

}  // namespace

std::string story_of(const std::vector<LogEntry>& log, const std::vector<Label>& labels) {
  std::string story;
  for (const LogEntry& entry : log) {
    std::string values;
    if (entry.values != LogEntry::Values::none) values = value_of(entry.before, labels);
    if (entry.values == LogEntry::Values::two) values += " -> " + value_of(entry.after, labels);
    const bool ordered = entry.where.line() != 0 &&
                         std::string_view(entry.what).find("data") == std::string_view::npos &&
                         std::string_view(entry.what).find("wa") != 0;
    const Site site{entry.where.file_name(), entry.where.line(), entry.where.column(),
                    SiteKind::load, entry.order};
    std::string place = to_string(site);
    place.erase(place.rfind(':'));
    story += fmt::format("  thread {}  {:<24} {:<28} {:<22} {:<8} {}  | {}\n", entry.thread,
                         entry.what + std::string(entry.stale ? " (not the last)" : ""),
                         name_of(entry.object, labels), values, ordered ? name_of(entry.order) : "",
                         place, source_line(entry.where));
  }
  return story;
}

}  // namespace faultline::check
