#include "results/files.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace faultline {
namespace {

[[noreturn]] void refuse(const std::string& path, int error) {
  throw std::invalid_argument(fmt::format(
      "cannot write, {}: {}, expected a writable place with room", path, std::strerror(error)));
}

/** A file in the directory of `path` that removes itself unless it was moved to its final name. */
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path) : path_(path), name_(path + ".XXXXXX") {
    struct stat present {};
    if (stat(path.c_str(), &present) == 0 && !S_ISREG(present.st_mode)) {
      throw std::invalid_argument(
          fmt::format("cannot write, {}: not a regular file, expected a file or a new name", path));
    }
    file_ = mkostemp(name_.data(), O_CLOEXEC);
    if (file_ < 0) refuse(path, errno);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (file_ >= 0) close(file_);
    if (!moved_) unlink(name_.c_str());
  }

  void write_all(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = write(file_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse(path_, errno);
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  void move_to_final_name() {
    // mkostemp makes a file that only its owner can read; a result has the usual permissions.
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(file_, 0666 & ~mask) != 0 || fsync(file_) != 0) refuse(path_, errno);
    const int file = file_;
    file_ = -1;
    // Some file systems report a full disk only here.
    if (close(file) != 0) refuse(path_, errno);
    if (rename(name_.c_str(), path_.c_str()) != 0) refuse(path_, errno);
    moved_ = true;
    sync_directory();
  }

 private:
  /** Syncs the directory, which makes the rename durable. The file is whole even if this fails, so
   * errors are ignored. */
  void sync_directory() const {
    const std::filesystem::path directory = std::filesystem::absolute(path_).parent_path();
    const int handle = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0) return;
    fsync(handle);
    close(handle);
  }

  std::string path_;
  std::string name_;
  int file_ = -1;
  bool moved_ = false;
};

}  // namespace

void require_writable(const std::string& path) {
  TemporaryFile probe(path);
}

void write_atomically(const std::string& path, std::string_view text) {
  TemporaryFile file(path);
  file.write_all(text);
  file.move_to_final_name();
}

std::string read_text(const std::string& path, const std::string& expected) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw std::invalid_argument(
        fmt::format("cannot read, {}: a directory, expected {}", path, expected));
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad()) {
    throw std::invalid_argument(
        fmt::format("cannot read, {}: {}, expected {}", path, std::strerror(errno), expected));
  }
  return text;
}

}  // namespace faultline
