// A recorded program's effect on its address space: page faults and calls, in recorded order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "locks/types.hpp"

namespace faultline {

enum class TraceKind : int { read_fault, write_fault, map, unmap, protect, discard, grow, shrink };

// One operation of one thread. Addresses and lengths are bytes; all but a fault's address are
// page-aligned. grow and shrink move the break over [address, address + length).
struct TraceOperation {
  TraceKind kind = TraceKind::read_fault;
  u32 thread = 0;  // index into Trace::threads
  u32 prot = 0;    // of map and protect: prot_read, prot_write (execution counts as reading)
  u32 flags = 0;   // of map: map_shared, map_file, map_growsdown, map_fixed
  u64 address = 0;
  u64 length = 0;  // 0 for faults

  bool is_fault() const { return kind == TraceKind::read_fault || kind == TraceKind::write_fault; }
  bool moves_break() const { return kind == TraceKind::grow || kind == TraceKind::shrink; }
  // The pages that the operation concerns.
  Range range() const {
    if (is_fault()) return {page_floor(address), page_floor(address) + page_size};
    return {address, address + length};
  }
};

struct TraceMapping {
  Range range;
  u32 prot = 0;
  u32 flags = 0;
};

// `operations` orders a call's effects. What a call adds stands at its exit, since no other thread
// can know of it before. What a call takes away stands at its enter, since from then on another
// thread's mmap may get the same addresses.
struct Trace {
  u32 pid = 0;
  std::vector<u32> threads;  // recorded thread numbers, by first appearance
  std::vector<TraceOperation> operations;
  // The mappings that must exist before the first operation: executable, libraries, stack. A
  // recording shows that the program used them, but not how they were mapped. Pages that no
  // recorded call mapped and that lie less than 1 MiB apart are taken for one private anonymous
  // mapping, readable and writable.
  std::vector<TraceMapping> preamble;
  // All that the break ever covered. Empty where the program never moved the break, or mapped or
  // unmapped other ranges there; the moves of the break are then given as map and unmap.
  Range heap;

  u64 lines = 0;       // of the file
  u64 used_lines = 0;  // a fault has one line, a call two
  // The unused lines, by the reason why each could not be used.
  std::map<std::string, u64> unused;
};

// Reads FILE: the text of `perf script -F comm,pid,tid,cpu,time,event,trace`, plain or xz, of
// exceptions:page_fault_{user,kernel} and of entering and leaving mmap, munmap, mprotect, madvise,
// brk and mremap. Enters and exits pair by thread. If there are several processes, the one with the
// most events is taken. mremap becomes an unmap of the pages that it gave up and a map of the pages
// that it gained. Throws std::invalid_argument (one line) for a file that cannot be read or holds
// nothing to replay.
Trace read_trace(const std::string& path);

}  // namespace faultline
