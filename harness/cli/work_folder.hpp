// A folder of this process for files that no user asked for.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace faultline {

// The folder's path begins with `beginning`. The destructor removes the folder with its files.
// Throws std::runtime_error if the folder cannot be made.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& beginning) {
    std::string name = beginning + "-XXXXXX";
    if (mkdtemp(name.data()) == nullptr)
      throw std::runtime_error(name + ": cannot make this folder, expected a writable one");
    path_ = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace faultline
