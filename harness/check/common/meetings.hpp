// Which kinds of calls have met: two threads were inside calls on one range at the same time.
#pragma once

#include <array>
#include <string>

#include "harness/check/common/program.hpp"

namespace faultline::check {

class Meetings {
 public:
  // For each kind of call, a bit for each kind that it met.
  using Met = std::array<u32, call_count>;

  void reset() { *this = {}; }
  // A failed execution may have left threads inside a call.
  void begin_execution(const Program& program) {
    inside_ = {};
    at_top_ = program.at_top;
  }
  const Met& met() const { return met_; }

  // The calling thread is inside the call while this lives.
  class Scope {
   public:
    Scope(Meetings& meetings, const Act& act, u32 thread) : inside_(meetings.inside_[thread]) {
      inside_ = &act;
      meetings.note(act);
    }
    ~Scope() { inside_ = nullptr; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const Act*& inside_;
  };

 private:
  void note(const Act& act) {
    for (const Act* other : inside_)
      if (other != nullptr && other != &act && share_range(*other, act)) {
        met_[kind(act)] |= 1U << kind(*other);
        met_[kind(*other)] |= 1U << kind(act);
      }
  }
  static usize kind(const Act& act) { return static_cast<usize>(act.call); }
  bool share_range(const Act& a, const Act& b) const;

  std::array<const Act*, most_threads> inside_{};
  bool at_top_ = false;
  Met met_{};
};

// Of the process.
inline Meetings meetings;

// A table of the pairs, with the number of schemes in which each has met, and a line for each pair
// that has not met in a scheme without an excuse. `all_met` becomes false if there is such a pair.
struct SchemeMeetings {
  const char* scheme;
  Meetings::Met met;
};
std::string table_of(const std::vector<SchemeMeetings>& schemes, bool& all_met);

}  // namespace faultline::check
