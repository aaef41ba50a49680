// The parts that all libFuzzer targets share. Each target is one file with LLVMFuzzerTestOneInput.
// It hands the bytes to a reader, which may refuse them by std::invalid_argument and by nothing
// else. Built with clang and -DFAULTLINE_FUZZ=ON, the targets fuzz. In every other build they are
// linked with replay.cpp, and ctest runs the kept corpus.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace faultline::fuzz {

// A file of this process, for readers that take a path. It is removed at the end.
class InputFile {
 public:
  explicit InputFile(const std::string& suffix)
      : path_(fmt::format("{}/faultline-fuzz-{}{}", std::filesystem::temp_directory_path().string(),
                          getpid(), suffix)) {}
  ~InputFile() { std::filesystem::remove(path_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& with(const std::uint8_t* data, std::size_t size) const {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    return path_;
  }

 private:
  std::string path_;
};

inline std::string text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs `read`, which may refuse its input.
template <class F>
void may_refuse(F&& read) {
  try {
    read();
  } catch (const std::invalid_argument&) {
  }
}

}  // namespace faultline::fuzz
