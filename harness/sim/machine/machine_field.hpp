// A value in a machine file. Each error message names the file, the key and what was expected. The
// keys that the reader has asked for are those that a file may have: it refuses all others, so that
// a misspelt key is not taken for one that was left out.
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

  // Throws std::invalid_argument, one line.
  [[noreturn]] void refuse(std::string_view expected) const;

  bool has(const std::string& name) const { return value_.is_object() && value_.contains(name); }
  // A member. Its value is null if it is missing.
  Field at(const std::string& name) const;
  Field element(usize i) const;
  const nlohmann::json& value() const { return value_; }

  // The value, of that type and in that range; else they refuse it.
  std::string text() const;
  bool flag() const;
  double number(double low, double high, std::string_view what) const;
  u32 count(u32 most) const;  // from 1 on
  double share() const;
  Time time() const;  // nanoseconds above 0
  const nlohmann::json& list(usize size, std::string_view what) const;

  // Makes `name` a member that a file may have, without asking for it.
  void known(const std::string& name) const { file_->names[key_].insert(name); }
  // The keys of all members that have been asked for or are known, from the root on. Elements of a
  // list have their index in the key: "kernel.idle[0].exit".
  std::set<std::string> known_keys() const;
  // Refuses the first member, here or below, that is neither known nor was asked for, and names the
  // most similar of those that are. Members whose keys are in `opaque` may hold anything.
  void refuse_unknown(const std::set<std::string>& opaque) const;

 private:
  struct File {
    std::string name;
    std::map<std::string, std::set<std::string>> names;  // of members, by the key of their parent
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
