// What every contestant can do: the operations of one process's address space, whatever protects
// it.
#pragma once

#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/types.hpp"

namespace faultline {

class Chosen;

// How a case wants its address space.
struct AddressSpaceOptions {
  u32 threads = 1;               // threads that will use it
  u64 frames_per_thread = 1024;  // page frames in each thread's pool, on its node
  u64 vmas_per_thread =
      64;  // VMAs each thread is likely to hold at once: reserved before the window
  bool clear_pages =
      true;  // a fault clears 4 KiB for real; false: --page-clear model, a fixed cost
  u64 modelled_clear_ns = 100;  // what a cleared page costs in that model
  u32 shootdown = 0;            // shootdown_cpumask, shootdown_precise or shootdown_broadcast
  u32 page_table = 0;           // page_table_shared or page_table_per_cpu
  bool merge = true;            // adjacent compatible VMAs merge
  bool thp = false;             // `linux` alone: huge pages allowed
  // Each operation checks itself as it runs (Violations). Timed trials switch this off, since the
  // checks cost time within the window; check() looks at the end either way.
  bool oracle = true;
  // Which fields of the locks and of a VMA share a cache line.
  Layout layout = Layout::linux_6_18;
  // Of a scheme over virtual locks (locks/any.hpp): which one it takes. Read by its constructor
  // alone.
  const Chosen* lock = nullptr;
};

// Whom a shootdown interrupts: every CPU that has used the address space (Linux), the users of the
// range alone (RadixVM), or none, since the hardware broadcasts (ARM, INVLPGB) and only the sender
// waits, however many CPUs there are.
inline constexpr u32 shootdown_cpumask = 0;
inline constexpr u32 shootdown_precise = 1;
inline constexpr u32 shootdown_broadcast = 2;

// One page table for all CPUs, or one each, which others' faults do not fill (RadixVM).
inline constexpr u32 page_table_shared = 0;
inline constexpr u32 page_table_per_cpu = 1;

// Bytes from AddressSpace::fixed_base() that a workload may use for mappings at addresses of its
// own choice.
inline constexpr u64 fixed_span = u64{1} << 38;

// All operations may be called by any registered thread that has called enter(), at once, unless
// the scheme is `none`.
class AddressSpace {
 public:
  virtual ~AddressSpace() = default;

  // Each thread calls this once before its first operation: reserves its pools on its own node.
  virtual void enter() = 0;

  // Where a workload may put fixed mappings: the scheme places nothing in the fixed_span bytes from
  // here on.
  virtual u64 fixed_base() const { return u64{1} << 44; }

  virtual Error fault(u64 address, Access access) = 0;
  // Maps `length` bytes at `hint` (map_fixed: exactly there, replacing what is there) or where
  // there is room.
  virtual MapResult map(u64 hint, u64 length, u32 prot, u32 flags) = 0;
  virtual Error unmap(u64 start, u64 length) = 0;
  virtual Error protect(u64 start, u64 length, u32 prot) = 0;
  // Moves the break by `delta` bytes, a multiple of the page; answers the new break.
  virtual MapResult brk(i64 delta) = 0;
  // MADV_DONTNEED: drops the pages, keeps the VMAs; ENOMEM where the range has holes, after doing
  // the rest.
  virtual Error discard(u64 start, u64 length) = 0;
  // The lockless look-up of get_user_pages_fast: whether a page is mapped at `address`, pinned and
  // unpinned again.
  virtual bool walk(u64 address) = 0;
  // The walk of all VMAs that /proc/PID/maps does; answers how many it saw.
  virtual u64 scan() = 0;

  virtual void append_events(Events& events) const = 0;
  // Who holds what, as far as racy reads can tell: for the report of a stalled case.
  virtual std::vector<std::string> holders() const = 0;
  // The oracle, with all threads at rest: empty, or what is wrong. Includes what was noted while
  // they ran.
  virtual std::string check() = 0;
};

}  // namespace faultline
