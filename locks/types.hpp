// The vocabulary of an address space. Addresses and lengths are bytes; ranges are half-open and
// page-aligned.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

struct Range {
  u64 start = 0;
  u64 end = 0;
  u64 length() const { return end - start; }
  bool contains(u64 address) const { return start <= address && address < end; }
  bool overlaps(const Range& other) const { return start < other.end && other.start < end; }
};

// 47 bits, as x86-64 gives a process. [0, lowest_address) is never mapped.
inline constexpr u64 address_space_end = u64{1} << 47;
inline constexpr u64 lowest_address = 0x10000;
inline constexpr Range whole_address_space{0, address_space_end};

// Errors with the kernel's meaning. segv: no VMA there, or a VMA that forbids the access. nomem: no
// room, or no frame left. inval: an argument that is unaligned, empty, or outside the address
// space.
enum class Error : int { none, segv, nomem, inval };
inline const char* to_string(Error error) {
  constexpr const char* names[] = {"none", "SEGV", "ENOMEM", "EINVAL"};
  return names[static_cast<int>(error)];
}

enum class Access : int { read, write };

// Protection and map flags are bit masks: they live in atomics, which hold integers.
inline constexpr u32 prot_none = 0;
inline constexpr u32 prot_read = 1;
inline constexpr u32 prot_write = 2;

// The accesses that hardware allows to a page of protection `prot`: no modelled hardware can write
// a page that it cannot read.
constexpr u32 hardware_prot(u32 prot) {
  return (prot & prot_write) != 0 ? prot | prot_read : prot;
}
constexpr bool prot_permits(u32 prot, Access access) {
  return (hardware_prot(prot) & (access == Access::write ? prot_write : prot_read)) != 0;
}

inline constexpr u32 map_shared = 1;
inline constexpr u32 map_file = 2;
inline constexpr u32 map_fixed = 4;
inline constexpr u32 map_growsdown = 8;  // a stack: a fault just below it grows it
// Private memory of /dev/zero. It is anonymous, but its VMA merges with no other: every such
// mapping begins at the same offset of its file (vma_merge in the kernel compares vm_file and
// vm_pgoff).
inline constexpr u32 map_zero = 16;

struct MapResult {
  u64 address = 0;
  Error error = Error::none;
};

constexpr u64 page_floor(u64 address) {
  return address & ~(page_size - 1);
}
constexpr u64 page_ceil(u64 address) {
  return page_floor(address + page_size - 1);
}

// Sets `range` to the pages that `start` and `length`, in bytes, name for unmap. EINVAL where
// `start` is unaligned, `length` is zero, or the end lies beyond the address space.
constexpr Error page_range(u64 start, u64 length, Range& range) {
  const bool inside = start < address_space_end && length <= address_space_end - start;
  if (start % page_size != 0 || length == 0 || !inside) return Error::inval;
  range = {start, start + page_ceil(length)};
  return Error::none;
}

// Sets `range` to the pages that `start` and `length`, in bytes, name for protect and discard. A
// length of 0 names no pages. EINVAL where `start` is unaligned. ENOMEM where the end lies beyond
// the address space, since nothing is mapped there; the kernel would first change the part that
// lies within.
constexpr Error mapped_range(u64 start, u64 length, Range& range) {
  if (start % page_size != 0) return Error::inval;
  if (length > address_space_end || start > address_space_end - length) return Error::nomem;
  range = {start, start + page_ceil(length)};
  return Error::none;
}

// Whether `length` bytes from `start` on lie within [lowest_address, address_space_end). `length`
// is at most address_space_end.
constexpr bool can_hold(u64 start, u64 length) {
  return start >= lowest_address && start <= address_space_end - length;
}

// Checks the arguments of a map call and rounds `length` up to pages. EINVAL for a zero length or
// an unaligned fixed address, ENOMEM where the range does not fit into the address space.
constexpr Error map_length(u64 hint, u64& length, bool fixed) {
  if (length == 0 || (fixed && hint % page_size != 0)) return Error::inval;
  if (length > address_space_end - lowest_address) return Error::nomem;
  length = page_ceil(length);
  if (fixed && !can_hold(hint, length)) return Error::nomem;
  return Error::none;
}

// The usual value of RLIMIT_STACK, and the gap that is kept free below a growing stack
// (stack_guard_gap), in bytes.
inline constexpr u64 stack_limit = u64{8} << 20;
inline constexpr u64 stack_guard_gap = u64{1} << 20;

// Where the break begins: far below the mappings that are placed from the top.
inline constexpr u64 break_start = u64{1} << 40;

}  // namespace faultline
