// A recorded program as its address space saw it: page faults and calls, in recorded order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "locks/types.hpp"

namespace faultline {

enum class TraceKind : int { read_fault, write_fault, map, unmap, protect, discard, grow, shrink };

// One operation of one thread. Addresses and lengths in bytes; all but a fault's address are
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
  // The pages concerned.
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

// Where each operation stands in `operations`: what a call adds, at its exit, since no other thread
// can know of it before; what it takes away, at its enter, since from then on another thread's mmap
// may get the same addresses.
struct Trace {
  u32 pid = 0;
  std::vector<u32> threads;  // recorded thread numbers, by first appearance
  std::vector<TraceOperation> operations;
  // What must be there before the first operation: executable, libraries, stack. A recording does
  // not say how they were mapped, only that the program used them: pages less than 1 MiB apart that
  // no recorded call made are taken for one private anonymous mapping, readable and writable.
  std::vector<TraceMapping> preamble;
  // All that the break ever covered; empty where the program never moved it, or mapped or unmapped
  // other things there: then its moves are given as map and unmap.
  Range heap;

  u64 lines = 0;       // of the file
  u64 used_lines = 0;  // a fault's one line, a call's two
  // The other lines, by the reason for which each could not be used.
  std::map<std::string, u64> unused;
};

// Reads FILE: the text of `perf script -F comm,pid,tid,cpu,time,event,trace`, plain or xz, of
// exceptions:page_fault_{user,kernel} and of entering and leaving mmap, munmap, mprotect, madvise,
// brk and mremap. Enters and exits pair by thread. Of several processes the one with the most
// events is taken. mremap becomes an unmap of what was left and a map of what was gained. Throws
// std::invalid_argument (one line) for a file that cannot be read or holds nothing to replay.
Trace read_trace(const std::string& path);

}  // namespace faultline
