#include "results/journal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "results/files.hpp"
#include "results/old_names.hpp"

namespace faultline {
namespace {

[[noreturn]] void refuse_write(const std::string& path) {
  throw std::invalid_argument(
      fmt::format("cannot write the journal, {}: {}, expected a writable place with room", path,
                  std::strerror(errno)));
}

[[noreturn]] void refuse_line(const std::string& path, std::size_t line,
                              const std::string& expected) {
  throw std::invalid_argument(
      fmt::format("not a journal, {}: line {}, expected {}", path, line, expected));
}

bool is_header(const nlohmann::json& line) {
  return line.is_object() && line.value("faultline_journal", nlohmann::json()) == 1;
}

bool is_trial(const nlohmann::json& line) {
  const auto text = [](const nlohmann::json& object, const char* key) {
    return object.contains(key) && object[key].is_string();
  };
  return line.is_object() && line.contains("case") && line["case"].is_object() &&
         text(line["case"], "name") && text(line, "status") && line.contains("repetition") &&
         line["repetition"].is_number_integer();
}

bool is_left_out(const nlohmann::json& line) {
  return line.is_object() && line.contains("left_out") && line["left_out"].is_array();
}

bool is_end(const nlohmann::json& line) {
  return line.is_object() && line.value("ended", nlohmann::json()) == true;
}

/** Adds one parsed line to the content. */
void take(JournalContent& content, nlohmann::json line, const std::string& path,
          std::size_t number) {
  if (number == 1) {
    if (!is_header(line)) refuse_line(path, number, "a header with \"faultline_journal\": 1");
    content.header = std::move(line);
    if (!is_left_out(content.header)) content.header["left_out"] = nlohmann::json::array();
  } else if (is_trial(line)) {
    rename_old(line);
    content.trials.push_back(std::move(line));
  } else if (is_left_out(line)) {
    for (nlohmann::json& one : line["left_out"])
      content.header["left_out"].push_back(std::move(one));
  } else if (is_end(line)) {
    content.killed = false;
  } else {
    refuse_line(path, number, "a trial with case, repetition and status");
  }
}

}  // namespace

Journal::Journal(const std::string& path, const nlohmann::json& header) : path_(path) {
  file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) refuse_write(path_);
  nlohmann::json first = header;
  first["faultline_journal"] = 1;
  try {
    append(first);
  } catch (...) {
    close(file_);
    unlink(path_.c_str());
    throw;
  }
}

Journal::~Journal() {
  close(file_);
}

void Journal::append(const nlohmann::json& record) {
  const std::string line =
      record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
  const off_t before = lseek(file_, 0, SEEK_END);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      // Half a line would spoil the next one that fits; if it cannot be taken back, the reader says
      // where it is.
      if (before >= 0 && ftruncate(file_, before) == 0) errno = error;
      errno = error;
      refuse_write(path_);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  // EINVAL: the file cannot be synced, as a pipe, and the run goes on.
  if (fdatasync(file_) != 0 && errno != EINVAL && errno != EROFS) refuse_write(path_);
}

JournalContent read_journal(const std::string& path) {
  const std::string text = read_text(path, "the journal of a run");
  JournalContent content;
  content.killed = true;
  std::size_t number = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = text.find('\n', from);
    if (end == std::string::npos) break;
    ++number;
    nlohmann::json line =
        nlohmann::json::parse(text.begin() + static_cast<std::ptrdiff_t>(from),
                              text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (line.is_discarded()) refuse_line(path, number, "one JSON object a line");
    take(content, std::move(line), path, number);
    from = end + 1;
  }
  if (number == 0) refuse_line(path, 1, "a header with \"faultline_journal\": 1");
  return content;
}

}  // namespace faultline
