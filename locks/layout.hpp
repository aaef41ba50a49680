// Which fields share a cache line. This is an axis of a case, since fields that share a line bounce
// together.
//
// `linux-6.18` follows the kernel. `pahole` printed the offsets from the BTF of a 6.18.44 kernel
// for x86-64 (CONFIG_SMP, CONFIG_PER_VMA_LOCK, CONFIG_RWSEM_SPIN_ON_OWNER, CONFIG_NUMA_BALANCING
// and CONFIG_X86_L1_CACHE_SHIFT=6; neither CONFIG_DEBUG_SPINLOCK, CONFIG_DEBUG_RWSEMS nor
// CONFIG_LOCKDEP):
//
//   struct rw_semaphore    count 0, owner 8, osq 16, wait_lock 20, wait_list 24; 40 bytes
//   struct mm_struct       mm_mt 64, map_count 176, page_table_lock 180, mmap_lock 184, mmlist 224,
//                          vma_writer_wait 240, mm_lock_seq 248, cpu_bitmap at the end. So
//                          mmap_lock.count ends the line at 128, and mmap_lock.owner begins the
//                          line at 192, which ends with mm_lock_seq
//   struct vm_area_struct  aligned to 64. Line 0: vm_start 0, vm_end 8, vm_mm 16, vm_page_prot 24,
//                          vm_flags 32, vm_lock_seq 40, anon_vma_chain 48. Line 1: anon_vma 64 and
//                          the description of the mapping. Line 2: vm_refcnt 128, and the links of
//                          the file's interval tree 136
//   struct page            _refcount 52; 64 bytes
//   struct ptdesc          ptl, the lock of a page of the page table, 40; 64 bytes
//   futex_hash_bucket      aligned to 64
//
// `packed` keeps the fields of a lock, those of a VMA, and the frames side by side in the order of
// their declaration. This was the layout of this program before layouts could be chosen.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "locks/platform.hpp"

namespace faultline {

enum class Layout : u32 { linux_6_18, packed };

// The names of the values, in the order of the values. The first is the default.
inline constexpr std::array<std::string_view, 2> layout_names = {"linux-6.18", "packed"};

constexpr std::string_view to_string(Layout layout) {
  return layout_names[static_cast<u32>(layout)];
}
constexpr std::optional<Layout> layout_of(std::string_view name) {
  for (u32 i = 0; i < layout_names.size(); ++i)
    if (layout_names[i] == name) return static_cast<Layout>(i);
  return std::nullopt;
}

// The line of an offset within a structure that is aligned to cache_line.
constexpr usize line_of(usize offset) {
  return offset / line_size;
}

// True for a platform whose atomics and data are as large as the values they hold. Structures
// assert their lines on these platforms. The checker's atomics are larger.
template <class P>
concept PlainCells = sizeof(typename P::template atomic<u32>) == sizeof(u32) &&
                     sizeof(typename P::template atomic<u64>) == sizeof(u64) &&
                     sizeof(typename P::template data<u64>) == sizeof(u64);

}  // namespace faultline
