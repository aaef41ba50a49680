// Where pages are: move_pages(2) by its number, since libnuma would be a dependency for one call.
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "harness/topology/topology.hpp"

namespace faultline {
namespace {

constexpr usize batch = 1024;

std::string wrong_pages(usize wrong, usize pages, usize first, int status, u32 node) {
  // The kernel says ENOENT for a page never touched, EFAULT for the shared zero page or no mapping.
  const std::string where = status >= 0 ? fmt::format("on node {}", status)
                                        : fmt::format("not in memory ({})", std::strerror(-status));
  return fmt::format("{} of {} pages are not on node {}: page {} is {}", wrong, pages, node, first,
                     where);
}

}  // namespace

std::optional<std::string> Topology::verify_pages(const void* memory, usize bytes, u32 node) const {
  refuse_foreign("asking where pages are");
  const auto page_bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(memory) / page_bytes * page_bytes;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
  const usize pages = (end - start + page_bytes - 1) / page_bytes;
  std::array<void*, batch> addresses;
  std::array<int, batch> where;
  usize wrong = 0;
  usize first = 0;
  int first_status = 0;
  for (usize done = 0; done < pages; done += batch) {
    const usize count = std::min(batch, pages - done);
    for (usize i = 0; i < count; ++i)
      addresses[i] = reinterpret_cast<void*>(start + (done + i) * page_bytes);
    // Without this a kernel that fills in nothing would leave what looks like node 0.
    where.fill(-ENODATA);
    if (syscall(SYS_move_pages, 0, count, addresses.data(), nullptr, where.data(), 0) < 0) {
      // Sandboxes forbid the call and small kernels lack it; one node leaves no choice anyhow.
      if (nodes_.size() == 1 && (errno == ENOSYS || errno == EPERM)) return std::nullopt;
      return fmt::format("move_pages cannot say where pages are: {}{}", std::strerror(errno),
                         errno == EPERM ? " (in a container, allow it CAP_SYS_NICE)" : "");
    }
    for (usize i = 0; i < count; ++i) {
      if (where[i] >= 0 && static_cast<u32>(where[i]) == node) continue;
      if (wrong++ == 0) {
        first = done + i;
        first_status = where[i];
      }
    }
  }
  if (wrong == 0) return std::nullopt;
  return wrong_pages(wrong, pages, first, first_status, node);
}

}  // namespace faultline
