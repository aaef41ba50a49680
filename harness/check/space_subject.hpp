// A scheme under the checker: an address space of a few pages, calls by two threads, and at the end
// the oracle and the question whether some order of the calls, one after the other, gives the same
// answers and the same pages.
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "harness/check/subjects.hpp"
#include "locks/address_space/interface.hpp"

namespace faultline::check {

inline constexpr u32 space_pages = 4;
inline constexpr u64 space_base = lowest_address;

// So small that an execution's address space is soon made.
inline AddressSpaceOptions small_space() {
  AddressSpaceOptions options;
  options.threads = 2;
  options.frames_per_thread = 4;
  options.vmas_per_thread = 6;
  options.clear_pages = false;
  return options;
}

// Pages 0 and 1 are mapped, and page 0 is there.
inline void prepare_space(AddressSpace& space) {
  space.map(space_base, 2 * page_size, prot_read | prot_write, map_fixed);
  space.fault(space_base, Access::write);
}

// The answer of one call, as a number.
inline u32 call_space(AddressSpace& space, const Act& act) {
  const u64 start = space_base + act.first * page_size;
  const u64 length = (u64{act.end} - act.first) * page_size;
  switch (act.call) {
    case Call::none:
      return 0;
    case Call::fault_read:
      return static_cast<u32>(space.fault(start, Access::read));
    case Call::fault_write:
      return static_cast<u32>(space.fault(start, Access::write));
    case Call::map:
      return static_cast<u32>(space.map(start, length, prot_read | prot_write, map_fixed).error);
    case Call::map_stack:
      return static_cast<u32>(
          space.map(start, length, prot_read | prot_write, map_fixed | map_growsdown).error);
    case Call::unmap:
      return static_cast<u32>(space.unmap(start, length));
    case Call::protect:
      return static_cast<u32>(space.protect(start, length, prot_read));
    case Call::discard:
      return static_cast<u32>(space.discard(start, length));
  }
  return 0;
}

// With all threads at rest; what is looked at by faults is there afterwards.
inline void look_at_pages(AddressSpace& space, History& history) {
  for (u32 page = 0; page < space_pages; ++page) {
    const u64 address = space_base + page * page_size;
    history.add(space.walk(address) ? 1U : 0U);
    history.add(static_cast<u32>(space.fault(address, Access::read)));
    history.add(static_cast<u32>(space.fault(address, Access::write)));
  }
}

template <class Scheme>
class SpaceSubject final : public Subject {
 public:
  // `program` outlives the subject.
  explicit SpaceSubject(const Program& program)
      : program_(program),
        space_(small_space(), std::shared_ptr<Pool>(std::shared_ptr<void>(), &vmas_)) {
    for (u32 thread = 0; thread < program.threads.size(); ++thread) {
      const ActingAs acting(thread);
      space_.enter();
    }
    prepare_space(space_);
  }
  void start(u32) override {}
  void finish(u32) override {}
  bool acquire(u32 thread, const Act& act) override {
    if (act.call == Call::none) return look();
    answers_[thread][made_[thread]++] = call_space(space_, act);
    return false;
  }
  void weaken(u32, const Act&) override {}
  void release(u32, const Act&) override {}

 private:
  using Pool = typename Scheme::VmaPool;

  // After all is over.
  bool look() {
    if (const std::string wrong = space_.check(); !wrong.empty()) world().fail(wrong);
    History history;
    for (u32 thread = 0; thread < program_.threads.size(); ++thread)
      for (u32 i = 0; i < made_[thread]; ++i) history.add(answers_[thread][i]);
    look_at_pages(space_, history);
    if (std::find(program_.sequential.begin(), program_.sequential.end(), history) ==
        program_.sequential.end())
      world().fail("no order of the calls answers so");
    return true;
  }

  const Program& program_;
  Pool vmas_;
  Scheme space_;
  std::array<std::array<u32, 4>, most_threads> answers_{};
  std::array<u32, most_threads> made_{};
};

}  // namespace faultline::check
