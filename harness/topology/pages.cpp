#include "harness/topology/pages.hpp"

#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>

namespace faultline {
namespace {

constexpr usize batch = 1024;

bool one_node() {
  std::ifstream file("/sys/devices/system/node/has_memory");
  std::string nodes;
  return !std::getline(file, nodes) || nodes.find_first_of(",-") == std::string::npos;
}

// Writes the node of each page, or a negative error, to `where`. Returns -1 with errno set if the
// system call fails.
long query(usize count, void** addresses, int* where) {
  // A kernel that fills in nothing leaves this error, which would otherwise read as node 0.
  std::fill(where, where + count, -ENODATA);
  return syscall(SYS_move_pages, 0, count, addresses, nullptr, where, 0);
}

// For anonymous memory: whether the page exists, even if NUMA balancing has made it inaccessible.
bool is_present(void* address) {
  unsigned char resident = 0;
  return mincore(address, 1, &resident) == 0 && (resident & 1) != 0;
}

// NUMA balancing now and then makes pages inaccessible, to see which CPU uses them. move_pages then
// reports ENOENT, as it does for pages never touched (gup.c, follow_page_pte). A read makes such a
// page accessible again. It must not read a page that was never touched: that would map the shared
// zero page, for which some kernels report a node. NUMA balancing may strike again meanwhile, so
// there are up to ten turns.
long query_present(usize count, void** addresses, int* where) {
  constexpr int turns = 10;
  for (int turn = 1;; ++turn) {
    const long result = query(count, addresses, where);
    if (result < 0 || turn == turns) return result;
    bool again = false;
    for (usize i = 0; i < count; ++i) {
      if (where[i] != -ENOENT || !is_present(addresses[i])) continue;
      static_cast<void>(*static_cast<volatile char*>(addresses[i]));
      again = true;
    }
    if (!again) return result;
  }
}

struct Misplaced {
  usize count = 0;
  usize first = 0;
  int status = 0;
};

std::string describe(const Misplaced& misplaced, usize pages, u32 node) {
  const std::string where =
      misplaced.status >= 0 ? fmt::format("on node {}", misplaced.status)
                            : fmt::format("not in memory ({})", std::strerror(-misplaced.status));
  return fmt::format("{} of {} pages are not on node {}: page {} is {}", misplaced.count, pages,
                     node, misplaced.first, where);
}

}  // namespace

std::optional<std::string> misplaced_pages(const void* memory, usize bytes, u32 node) {
  const auto page_bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(memory) / page_bytes * page_bytes;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
  const usize pages = (end - start + page_bytes - 1) / page_bytes;
  std::array<void*, batch> addresses;
  std::array<int, batch> where;
  Misplaced misplaced;
  for (usize done = 0; done < pages; done += batch) {
    const usize count = std::min(batch, pages - done);
    for (usize i = 0; i < count; ++i)
      addresses[i] = reinterpret_cast<void*>(start + (done + i) * page_bytes);
    if (query_present(count, addresses.data(), where.data()) < 0) {
      const int error = errno;
      // Sandboxes forbid the call and small kernels lack it. With one node every page is on it.
      if ((error == ENOSYS || error == EPERM) && one_node()) return std::nullopt;
      return fmt::format("move_pages cannot say where pages are: {}{}", std::strerror(error),
                         error == EPERM ? " (in a container, allow it CAP_SYS_NICE)" : "");
    }
    for (usize i = 0; i < count; ++i) {
      if (where[i] >= 0 && static_cast<u32>(where[i]) == node) continue;
      if (misplaced.count++ == 0) misplaced = {1, done + i, where[i]};
    }
  }
  if (misplaced.count == 0) return std::nullopt;
  return describe(misplaced, pages, node);
}

void exempt_from_numa_balancing() {
  // task_numa_work skips memory whose policy lacks MPOL_F_MOF, and only the default policy has it.
  syscall(SYS_set_mempolicy, MPOL_LOCAL, nullptr, 0);
}

}  // namespace faultline
