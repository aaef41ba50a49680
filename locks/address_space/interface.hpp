// The operations of one process's address space. Every scheme implements them, whatever protects
// the address space.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "locks/address_space/observation.hpp"
#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/types.hpp"

namespace faultline {

class Chosen;

// The options of a case that its address space needs.
struct AddressSpaceOptions {
  u32 threads = 1;               // threads that will use it
  u64 frames_per_thread = 1024;  // page frames in each thread's pool, on its node
  // VMAs that each thread is likely to hold at once; they are reserved before the window.
  u64 vmas_per_thread = 64;
  // Pages of the page table's lowest level, 2 MiB of addresses each, that each thread fills
  // sparsely. They are reserved before the window, beside those that frames_per_thread fills.
  u64 tables_per_thread = 8;
  // Whether a fault really clears 4 KiB. False (--page-clear model): it costs modelled_clear_ns.
  bool clear_pages = true;
  u64 modelled_clear_ns = 100;  // nanoseconds that clearing a page costs where clear_pages is false
  // Frames that a zap has dropped stay out of the pools until the thread's next tick, and for `ns`
  // nanoseconds from then on. There is a tick every `tick` nanoseconds (0: at all times). Each
  // thread has `most` frames more for this, and at most so many of its frames wait.
  struct FrameDelay {
    u64 ns = 0;
    u64 tick = 0;
    u64 most = 0;
  };
  FrameDelay frame_delay = {};
  u32 shootdown = 0;   // shootdown_cpumask, shootdown_precise or shootdown_broadcast
  u32 page_table = 0;  // page_table_shared or page_table_per_cpu
  bool merge = true;   // adjacent compatible VMAs merge
  bool thp = false;    // `linux` alone: huge pages allowed
  // Scheme refcount: whether a fault looks for the anon_vma only when it needs one, and prepares it
  // while it holds the VMA, as Linux does since 6.10 (vmf_anon_prepare of mm/memory.c). False:
  // every fault in anonymous memory whose VMA has no anon_vma falls back to the big lock, as in 6.4
  // to 6.9 (lock_vma_under_rcu). That includes reads, which map the page of zeros and prepare no
  // anon_vma.
  bool anon_vma_in_fault = true;
  // Schemes with a lock in each VMA: whether a discard within one VMA, and a scan, lock single VMAs
  // instead of the address space, as Linux does since 6.17.
  bool discard_by_vma = true;
  bool scan_by_vma = true;
  // Whether a fault is charged the kernel's work on a new page: memory cgroup, LRU lists, reverse
  // mapping (Linux). sv6 has none of them.
  bool fault_work = true;
  // Each operation checks itself as it runs (Violations). Timed trials switch this off, since the
  // checks cost time within the window; check() looks at the end either way.
  bool oracle = true;
  // Which fields of the locks and of a VMA share a cache line.
  Layout layout = Layout::linux_6_18;
  // Scheme range_lock: a bit for each kind of operation (RangeKind of locks/schemes/range_lock.hpp)
  // that locks only what it needs. The others lock the whole address space.
  u32 narrow = ~u32{0};
  // The same scheme: how an edit finds its range (RangeFinding, there).
  u32 range_finding = 0;
  // The locks that a scheme over virtual locks (locks/any.hpp) takes: the mutex or reader-writer
  // lock, and the range lock. Only the scheme's constructor reads them.
  const Chosen* lock = nullptr;
  const Chosen* ranges = nullptr;
};

// The CPUs that a shootdown interrupts: every CPU that has used the address space (Linux), only the
// CPUs that have used the range (RadixVM), or none, since the hardware broadcasts the invalidation
// (ARM, INVLPGB). With a broadcast only the sender waits, equally long for any number of CPUs.
inline constexpr u32 shootdown_cpumask = 0;
inline constexpr u32 shootdown_precise = 1;
inline constexpr u32 shootdown_broadcast = 2;

// Whether all CPUs share one page table, or each has its own, which faults of other CPUs do not
// fill (RadixVM).
inline constexpr u32 page_table_shared = 0;
inline constexpr u32 page_table_per_cpu = 1;

// A workload may place fixed mappings anywhere in this many bytes from AddressSpace::fixed_base()
// on.
inline constexpr u64 fixed_span = u64{1} << 38;

// Any registered threads that have called enter() may call all operations concurrently, except with
// scheme `none`, which is for one thread.
class AddressSpace {
 public:
  virtual ~AddressSpace() = default;

  // Each thread calls this once before its first operation. It reserves the thread's pools on its
  // own node.
  virtual void enter() = 0;

  // Where a workload may put fixed mappings: the scheme places nothing in the fixed_span bytes from
  // this address on.
  virtual u64 fixed_base() const { return u64{1} << 44; }

  // The access to memory itself. True: the page is mapped for this CPU with enough rights, and the
  // access is done. False: it takes a fault, and nothing is done. touch() takes no lock and does
  // not count as a fault.
  virtual bool touch(u64 address, Access access) = 0;
  // The same for tests, with content: a write puts `word` at the start of the page, and a read
  // answers in `word` what is there. A caller uses it only where no other thread unmaps. False also
  // where pages have no content.
  virtual bool touch_word(u64, Access, u64&) { return false; }
  virtual Error fault(u64 address, Access access) = 0;
  // Maps `length` bytes: with map_fixed exactly at `hint`, replacing what is there; else at `hint`
  // or where there is room.
  virtual MapResult map(u64 hint, u64 length, u32 prot, u32 flags) = 0;
  virtual Error unmap(u64 start, u64 length) = 0;
  virtual Error protect(u64 start, u64 length, u32 prot) = 0;
  // Moves the break by `delta` bytes, a multiple of the page, and answers the new break.
  virtual MapResult brk(i64 delta) = 0;
  // MADV_DONTNEED: drops the pages and keeps the VMAs. If the range has holes, it drops the pages
  // of the rest and answers ENOMEM.
  virtual Error discard(u64 start, u64 length) = 0;
  // The lockless look-up of get_user_pages_fast: answers whether a page is mapped at `address`. It
  // pins the page and unpins it again.
  virtual bool walk(u64 address) = 0;
  // The walk of all VMAs that /proc/PID/maps does; answers how many VMAs it saw.
  virtual u64 scan() = 0;

  virtual void append_events(Events& events) const = 0;
  // The holders of the scheme's locks, as far as racy reads can tell: for the report of a stalled
  // case.
  virtual std::vector<std::string> holders() const = 0;
  // The oracle, with all threads at rest: answers an empty string, or what is wrong. The answer
  // includes the violations that were noted while threads ran.
  virtual std::string check() = 0;
  // With all threads at rest. Nothing: the scheme cannot tell, as `linux` cannot.
  virtual std::optional<Observation> observe() { return {}; }
};

}  // namespace faultline
