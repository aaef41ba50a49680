#include "workloads/trace_lines.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace faultline {
namespace {

constexpr usize chunk = usize{1} << 16;
constexpr std::string_view xz_magic{
    "\xFD"
    "7zXZ\0",
    6};

bool is_directory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

template <class T>
bool take_number(std::string_view& text, T& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<usize>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

// Takes a number such as "0x7f2f8bf62b70" up to a comma, a blank, or the end.
bool take_hex(std::string_view& text, u64& value) {
  return take(text, "0x") && take_number(text, value, 16) &&
         (text.empty() || text.front() == ',' || text.front() == ' ');
}

// The value after "NAME" and a separator that `name` includes: "addr: ", "address=".
std::optional<u64> argument(std::string_view text, std::string_view name) {
  for (usize at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (at != 0 && text[at - 1] != ' ') continue;
    text.remove_prefix(at + name.size());
    u64 value = 0;
    if (take_hex(text, value)) return value;
    return std::nullopt;
  }
  return std::nullopt;
}

struct CallForm {
  std::string_view name;
  TraceCall call;
  std::array<std::string_view, 5> arguments;
};

constexpr CallForm call_forms[] = {
    {"mmap", TraceCall::mmap, {"addr: ", "len: ", "prot: ", "flags: ", ""}},
    {"munmap", TraceCall::munmap, {"addr: ", "len: ", "", "", ""}},
    {"mprotect", TraceCall::mprotect, {"start: ", "len: ", "prot: ", "", ""}},
    {"madvise", TraceCall::madvise, {"start: ", "len_in: ", "behavior: ", "", ""}},
    {"brk", TraceCall::brk, {"brk: ", "", "", "", ""}},
    {"mremap", TraceCall::mremap, {"addr: ", "old_len: ", "new_len: ", "flags: ", "new_addr: "}},
};

const CallForm* find_call(std::string_view name) {
  const auto* form = std::find_if(std::begin(call_forms), std::end(call_forms),
                                  [&](const CallForm& one) { return one.name == name; });
  return form == std::end(call_forms) ? nullptr : form;
}

// Parses "PID/TID [CPU] TIME: EVENT: ", which follows the command's name. `rest` is the text after
// it.
bool parse_header(std::string_view text, TraceEvent& event, std::string_view& rest) {
  u32 cpu = 0;
  u64 seconds = 0;
  u64 fraction = 0;
  if (!take_number(text, event.pid) || !take(text, "/") || !take_number(text, event.tid))
    return false;
  skip_blanks(text);
  if (!take(text, "[") || !take_number(text, cpu) || !take(text, "]")) return false;
  skip_blanks(text);
  if (!take_number(text, seconds) || !take(text, ".") || !take_number(text, fraction) ||
      !take(text, ":"))
    return false;
  skip_blanks(text);
  const usize end = text.find_first_of(" \t");
  event.name = text.substr(0, end);
  if (event.name.size() < 2 || event.name.back() != ':') return false;
  event.name.remove_suffix(1);
  rest = end == std::string_view::npos ? std::string_view() : text.substr(end);
  skip_blanks(rest);
  return true;
}

// A command's name may hold blanks, digits and brackets. So the header is where the text parses as
// one.
bool find_header(std::string_view line, TraceEvent& event, std::string_view& rest) {
  for (usize at = 0; at < line.size(); ++at) {
    const bool starts = at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t';
    if (starts && line[at] >= '0' && line[at] <= '9' && parse_header(line.substr(at), event, rest))
      return true;
  }
  return false;
}

TraceLine parse_fault(std::string_view text, TraceEvent& event) {
  const auto address = argument(text, "address=");
  const auto code = argument(text, "error_code=");
  if (!address || !code) return TraceLine::unreadable;
  event.kind = TraceEvent::Kind::fault;
  event.arguments = {*address, *code};
  return TraceLine::event;
}

TraceLine parse_enter(const CallForm& form, std::string_view text, TraceEvent& event) {
  event.kind = TraceEvent::Kind::enter;
  event.call = form.call;
  for (usize i = 0; i < form.arguments.size() && !form.arguments[i].empty(); ++i) {
    const auto value = argument(text, form.arguments[i]);
    if (!value) return TraceLine::unreadable;
    event.arguments[i] = *value;
  }
  return TraceLine::event;
}

TraceLine parse_exit(const CallForm& form, std::string_view text, TraceEvent& event) {
  event.kind = TraceEvent::Kind::exit;
  event.call = form.call;
  return take_hex(text, event.arguments[0]) ? TraceLine::event : TraceLine::unreadable;
}

}  // namespace

TraceLines::TraceLines(const std::string& path)
    : path_(path), file_(path, std::ios::binary), input_(chunk), text_(chunk) {
  if (!file_ || is_directory(path))
    throw std::invalid_argument("trace " + path +
                                ": cannot be read, expected a file that perf script printed");
  char magic[xz_magic.size()] = {};
  file_.read(magic, sizeof(magic));
  xz_ = std::string_view(magic, static_cast<usize>(file_.gcount())) == xz_magic;
  file_.clear();
  file_.seekg(0);
  if (xz_ && lzma_stream_decoder(&stream_, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK)
    throw std::runtime_error("liblzma cannot start a decoder");
}

TraceLines::~TraceLines() {
  lzma_end(&stream_);
}

void TraceLines::decompress() {
  stream_.next_out = reinterpret_cast<std::uint8_t*>(text_.data());
  stream_.avail_out = text_.size();
  while (stream_.avail_out == text_.size() && !ended_) {
    if (stream_.avail_in == 0 && file_) {
      file_.read(input_.data(), static_cast<std::streamsize>(input_.size()));
      stream_.next_in = reinterpret_cast<const std::uint8_t*>(input_.data());
      stream_.avail_in = static_cast<usize>(file_.gcount());
    }
    const lzma_ret result = lzma_code(&stream_, file_ ? LZMA_RUN : LZMA_FINISH);
    ended_ = result == LZMA_STREAM_END;
    if (!ended_ && result != LZMA_OK)
      throw std::invalid_argument("trace " + path_ +
                                  ": its xz stream is cut off or damaged, expected a whole file");
  }
  text_length_ = text_.size() - stream_.avail_out;
}

// False at the end of the text.
bool TraceLines::refill() {
  at_ = 0;
  text_length_ = 0;
  if (xz_) {
    if (!ended_) decompress();
  } else if (file_) {
    file_.read(text_.data(), static_cast<std::streamsize>(text_.size()));
    text_length_ = static_cast<usize>(file_.gcount());
  }
  return text_length_ != 0;
}

bool TraceLines::next(std::string& line) {
  line.clear();
  terminated_ = false;
  bool any = false;
  while (!terminated_) {
    if (at_ == text_length_ && !refill()) return any;
    any = true;
    const char* begin = text_.data() + at_;
    const usize left = text_length_ - at_;
    const void* newline = std::memchr(begin, '\n', left);
    const usize length =
        newline == nullptr ? left : static_cast<usize>(static_cast<const char*>(newline) - begin);
    line.append(begin, std::min(length, max_line - line.size()));
    terminated_ = newline != nullptr;
    at_ += length + terminated_;
  }
  return true;
}

TraceLine parse_trace_line(std::string_view line, TraceEvent& event) {
  event = {};
  const usize start = line.find_first_not_of(" \t\r");
  if (start == std::string_view::npos || line[start] == '#') return TraceLine::comment;
  std::string_view rest;
  if (!find_header(line, event, rest)) return TraceLine::foreign;
  std::string_view name = event.name;
  if (name == "exceptions:page_fault_user" || name == "exceptions:page_fault_kernel")
    return parse_fault(rest, event);
  if (name == "sched:sched_process_exec") {
    event.kind = TraceEvent::Kind::exec;
    return TraceLine::event;
  }
  const bool enters = take(name, "syscalls:sys_enter_");
  if (!enters && !take(name, "syscalls:sys_exit_")) return TraceLine::event;
  const CallForm* form = find_call(name);
  if (form == nullptr) return TraceLine::event;
  return enters ? parse_enter(*form, rest, event) : parse_exit(*form, rest, event);
}

}  // namespace faultline
