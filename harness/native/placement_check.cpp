#include "harness/native/placement_check.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace faultline {
namespace {

#ifndef MADV_POPULATE_READ
constexpr int MADV_POPULATE_READ =
    22;  // Linux 5.14; absent from Debian 12's glibc headers of some architectures
#endif

}  // namespace

u32 pin_self(u32 cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0)
    throw std::runtime_error(
        fmt::format("cannot pin a thread on CPU {}: {}", cpu, std::strerror(errno)));
  unsigned where = 0;
  unsigned node = 0;
  if (syscall(SYS_getcpu, &where, &node, nullptr) != 0 || where != cpu)
    throw std::runtime_error(fmt::format("a thread pinned on CPU {} runs on CPU {}", cpu, where));
  return node;
}

void verify_pages(const void* memory, usize bytes, u32 node) {
  constexpr usize batch = 4096;
  const auto first = reinterpret_cast<std::uintptr_t>(memory) & ~(page_size - 1);
  const auto end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
  std::vector<void*> pages;
  std::vector<int> nodes(batch);
  for (std::uintptr_t at = first; at < end;) {
    pages.clear();
    for (; at < end && pages.size() < batch; at += page_size)
      pages.push_back(reinterpret_cast<void*>(at));
    if (syscall(SYS_move_pages, 0, pages.size(), pages.data(), nullptr, nodes.data(), 0) != 0) {
      if (errno == ENOSYS) return;  // a kernel without NUMA has one node
      throw std::runtime_error(
          fmt::format("cannot ask where pages are: move_pages: {}", std::strerror(errno)));
    }
    for (usize i = 0; i < pages.size(); ++i) {
      if (nodes[i] == static_cast<int>(node)) continue;
      const std::string where =
          nodes[i] < 0 ? std::strerror(-nodes[i]) : fmt::format("node {}", nodes[i]);
      throw std::runtime_error(
          fmt::format("a page of node {}'s memory, {}, is not there: {}", node, pages[i], where));
    }
  }
}

void populate_own_pages() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0;
    unsigned long end = 0;
    char readable = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %c", &start, &end, &readable) != 3 || readable != 'r')
      continue;
    if (line.find("[v") != std::string::npos) continue;  // vdso, vvar, vsyscall: the kernel's own
    madvise(reinterpret_cast<void*>(start), end - start, MADV_POPULATE_READ);
  }
}

}  // namespace faultline
