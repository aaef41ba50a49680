// The subject of a scheme: an address space of a few pages, on which threads make calls.
#pragma once

#include <memory>

#include "harness/check/common/space_calls.hpp"
#include "harness/check/subjects/subjects.hpp"

namespace faultline::check {

// An address space, together with the pool of its VMAs where the scheme has one.
template <class Scheme>
struct Housed {
  explicit Housed(const AddressSpaceOptions& options) : space(options) {}
  Scheme space;
};
template <class Scheme>
requires requires {
  typename Scheme::VmaPool;
}
struct Housed<Scheme> {
  explicit Housed(const AddressSpaceOptions& options)
      : space(options, std::shared_ptr<typename Scheme::VmaPool>(std::shared_ptr<void>(), &vmas)) {}
  typename Scheme::VmaPool vmas;
  Scheme space;
};

template <class Scheme>
class SpaceSubject final : public Subject {
 public:
  // `program` outlives the subject.
  explicit SpaceSubject(const Program& program)
      : program_(program), housed_(small_space(program, program.threads.size() == 2 ? 4 : 8)) {
    for (u32 thread = 0; thread < program.threads.size(); ++thread) {
      if (program.enters_late(thread)) continue;
      const ActingAs acting(thread);
      space_.enter();
    }
    prepare_space(space_, program);
  }
  void start(u32 thread) override {
    if (program_.enters_late(thread)) space_.enter();
  }
  void finish(u32) override {}
  bool acquire(u32 thread, const Act& act) override {
    if (act.call == Call::none) return look();
    answers_.add(thread, call_space(space_, program_, act, thread));
    return false;
  }
  void change_hold(u32, const Act&) override {}
  void release(u32, const Act&) override {}

 private:
  // When all threads have ended.
  bool look() {
    if (const std::string wrong = answers_.judge(space_, program_); !wrong.empty())
      world().fail(wrong);
    return true;
  }

  const Program& program_;
  Housed<Scheme> housed_;
  Scheme& space_ = housed_.space;
  Answers answers_;
};

}  // namespace faultline::check
