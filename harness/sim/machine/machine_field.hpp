// A value in a machine file. Each error message names the file, the key and what was expected. A
// file may have only the keys that the reader has asked for. All others are refused, so that a
// misspelt key is not taken for one that was left out.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "harness/sim/types.hpp"

namespace faultline::sim {

class Field {
 public:
  Field(const nlohmann::json& root, const std::string& file)
      : Field(root, std::make_shared<File>(File{file, {}}), "") {}

  // Throws std::invalid_argument with a text of one line.
  [[noreturn]] void refuse(std::string_view expected) const;

  bool has(const std::string& name) const { return value_.is_object() && value_.contains(name); }
  // A member of the object. Its value is null if the member is missing.
  Field at(const std::string& name) const;
  Field element(usize i) const;
  const nlohmann::json& value() const { return value_; }

  // The value in that type and range. A value of another type or range is refused.
  std::string text() const;
  bool flag() const;
  double number(double low, double high, std::string_view what) const;
  u32 count(u32 most) const;  // from 1 on
  double share() const;
  Time time() const;  // nanoseconds above 0
  const nlohmann::json& list(usize size, std::string_view what) const;

  // Allows the member `name` in a file without reading it.
  void known(const std::string& name) const { file_->names[key_].insert(name); }
  // The keys of all members that were asked for or are known, from the root on. Elements of a list
  // have their index in the key: "kernel.idle[0].exit".
  std::set<std::string> known_keys() const;
  // Refuses the first member, here or below, that is neither known nor was asked for, and names the
  // most similar known key. Members whose keys are in `opaque` may hold anything.
  void refuse_unknown(const std::set<std::string>& opaque) const;

 private:
  struct File {
    std::string name;
    // The names of members, by the key of their parent.
    std::map<std::string, std::set<std::string>> names;
  };
  Field(const nlohmann::json& value, std::shared_ptr<File> file, std::string key)
      : value_(value), file_(std::move(file)), key_(std::move(key)) {}
  std::string key_of(const std::string& name) const {
    return key_.empty() ? name : key_ + "." + name;
  }
  void refuse_name(const std::string& name) const;

  const nlohmann::json& value_;
  std::shared_ptr<File> file_;
  std::string key_;
};

}  // namespace faultline::sim
