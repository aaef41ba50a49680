// A lock of any kind behind one interface, for the checker's programs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/check/common/program.hpp"
#include "locks/address_space/interface.hpp"

namespace faultline::check {

class Subject {
 public:
  virtual ~Subject() = default;
  // Brackets all that a thread does: its node lives in between.
  virtual void start(u32 thread) = 0;
  virtual void finish(u32 thread) = 0;
  // False: it was a try, and failed; or a pin that may fail.
  virtual bool acquire(u32 thread, const Act& act) = 0;
  virtual void weaken(u32 thread, const Act& act) = 0;  // as act.hold says, half way
  virtual void release(u32 thread, const Act& act) = 0;
};

// What can be checked. `make` is called where an execution begins, on memory of the checker's.
struct Checked {
  const char* name;
  Family family;
  // Over Relacy. Null for what is explored by priorities alone: the variants of schemes.
  Subject* (*make)(const Program&) = nullptr;
  // The same with a StepMutex for the spinlock inside: fewer steps, so deeper searches complete.
  // Null where there is none inside.
  Subject* (*make_light)(const Program&) = nullptr;
  // False where the lock says that it lets go in a downgrade: programs with one are left out.
  bool atomic_downgrade = true;
  // An address space on the platform of harness/check/pct, to be explored by priorities; or null.
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&)> make_space = nullptr;
  bool is_small = false;  // the space holds 256 pages

  // "rwsem:osq=off": of another in the list.
  bool is_ablation() const { return std::string_view(name).find(':') != std::string_view::npos; }
};

// The mutexes, range locks, semaphores and schemes of the catalogue, the queue of spinners,
// and the reference count; what is part of another comes first.
const std::vector<Checked>& checked_list();
// The locks that are broken by hand, without their flaw: controls, which must pass.
const std::vector<Checked>& control_list();
// Those that are broken on purpose.
const std::vector<Checked>& broken_checked_list();
const Checked* find_checked(std::string_view name);

}  // namespace faultline::check
