#include "harness/native/own_memory.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "locks/platform.hpp"

namespace faultline {
namespace {

// MADV_POPULATE_READ and MADV_POPULATE_WRITE of Linux 5.14; some C libraries' headers lack them.
constexpr int populate_read = 22;
constexpr int populate_write = 23;

}  // namespace

void populate_program() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0;
    unsigned long end = 0;
    char readable = 0;
    char writable = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %c%c", &start, &end, &readable, &writable) != 4 ||
        readable != 'r' || line.find("[v") != std::string::npos)  // [vdso], [vvar]: the kernel's
      continue;
    // Only files and the heap. Other mappings are arenas, which first_touch() has populated, and
    // stacks, which populate_stack() does.
    if (line.find('/') == std::string::npos && line.find("[heap]") == std::string::npos) continue;
    madvise(reinterpret_cast<void*>(start), end - start,
            writable == 'w' ? populate_write : populate_read);
  }
}

__attribute__((noinline)) void populate_stack() {
  volatile char stack[usize{128} << 10];
  for (usize offset = 0; offset < sizeof(stack); offset += page_size) stack[offset] = 0;
}

}  // namespace faultline
