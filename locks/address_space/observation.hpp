// What can be seen of an address space with all threads at rest, for tests.
#pragma once

#include <vector>

#include "locks/types.hpp"

namespace faultline {

struct Observation {
  struct Mapping {
    Range range;
    u32 prot = prot_none;
    u32 flags = 0;
    // Which mappings belong together. VMAs: the anon_vma, 0 before the first private write. Runs:
    // the number of the map call.
    u64 identity = 0;
    bool written = false;  // runs: the pages have their anon_vma

    bool operator==(const Mapping& other) const {
      return range.start == other.range.start && range.end == other.range.end &&
             prot == other.prot && flags == other.flags && identity == other.identity &&
             written == other.written;
    }
  };
  // A page that the page table maps with some right.
  struct Page {
    u64 address = 0;
    u32 prot = prot_none;
    bool operator==(const Page&) const = default;
  };

  // The scheme keeps no VMAs. Its mappings here are the longest runs of pages that are alike.
  bool runs = false;
  std::vector<Mapping> mappings;  // by address
  std::vector<Page> pages;        // by address
  u64 program_break = 0;
};

}  // namespace faultline
