// A lock of any kind behind one interface, for the checker's programs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/check/common/program.hpp"
#include "locks/address_space/interface.hpp"
#include "locks/catalogue.hpp"
#include "locks/promise.hpp"

namespace faultline::check {

class Subject {
 public:
  virtual ~Subject() = default;
  // Called before a thread's first act and after its last; the thread's node lives in between.
  virtual void start(u32 thread) = 0;
  virtual void finish(u32 thread) = 0;
  // False: a try or a pin failed, and nothing is held.
  virtual bool acquire(u32 thread, const Act& act) = 0;
  // Downgrades, shrinks or moves the held lock, as act.hold says.
  virtual void change_hold(u32 thread, const Act& act) = 0;
  virtual void release(u32 thread, const Act& act) = 0;
  // What the lock promises its waiters; null where that is not stated.
  virtual const Promise* promise() const { return nullptr; }
};

// What can be checked. `make` is called at the beginning of an execution, and places the subject in
// the checker's memory.
struct Checked {
  const char* name;
  Family family;
  // The subject over Relacy. Null for the variants of schemes, which PCT alone explores.
  Subject* (*make)(const Program&) = nullptr;
  // The same with a StepMutex in place of the spinlock inside: an execution has fewer steps, so
  // deeper searches complete. Null where the lock has no spinlock inside.
  Subject* (*make_light)(const Program&) = nullptr;
  // False if the lock's downgrade releases the lock in between. Programs with a downgrade are then
  // left out.
  bool atomic_downgrade = true;
  // False: it is exclusive only, so a shared hold excludes as well. Programs in which shared holds
  // that overlap meet are then left out.
  bool shares = true;
  // Its readers are in RCU read sections while they take it.
  bool under_rcu = false;
  // Makes an address space on the platform of harness/check/pct; null where PCT does not explore
  // it.
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&)> make_space = nullptr;
  bool is_small = false;  // the address space holds only 256 pages
  // The same for programs whose calls reach other addresses than the pages. Null: make_space does.
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&)> make_tall = nullptr;
  // Makes two spaces over one pool of VMAs, the upper of which begins at an address. Null where the
  // scheme cannot share its pool.
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&, u64)> make_split =
      nullptr;
  // Hand-written programs have a page table for each CPU, and shootdowns of a page's users alone,
  // so that the sets of users and the CPUs' own tables are explored too.
  bool own_tables = false;
  // Calls without a hint take a place in a region of the thread, not the highest hole.
  bool places_apart = false;
  // A fixed map that replaces something reserves its place first, as that of range_lock does. What
  // is mapped beside a reservation stays apart from it.
  bool reserves = false;
  // Calls that are at work side by side may leave apart what merges where one follows the other.
  bool leaves_apart = false;
  // The catalogue's entry of the scheme says so.
  bool discards_by_page = false;

  // Above 1 where an acquisition has so many steps that exhaustive searches do not end. It divides
  // the number of executions of exhaustive searches. A tenth of it divides that of bounded ones.
  u32 fewer = 1;

  bool is_broken() const { return std::string_view(name).find(":flaw=") != std::string_view::npos; }
  // Whether it is a variant of another entry of the list, such as "rwsem:osq=off" or a kernel
  // profile.
  bool is_ablation() const {
    return std::string_view(name).find(':') != std::string_view::npos ||
           find_profile(name) != nullptr;
  }
};

// The mutexes, range locks, semaphores and schemes of the catalogue, the queue of spinners, and the
// reference count. A lock that is part of another stands before it.
const std::vector<Checked>& checked_list();
// Sound versions of the locks that are broken by hand: controls, which must pass.
const std::vector<Checked>& control_list();
// The locks and schemes that are broken by hand.
const std::vector<Checked>& broken_checked_list();
const Checked* find_checked(std::string_view name);

}  // namespace faultline::check
