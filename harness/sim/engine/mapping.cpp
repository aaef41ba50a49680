#include "harness/sim/engine/mapping.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace faultline::sim {

Mapping::Mapping(usize bytes, u64 at) : bytes_(bytes) {
  const int place = at != 0 ? MAP_FIXED_NOREPLACE : 0;
  void* memory = mmap(reinterpret_cast<void*>(at), bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | place, -1, 0);
  if (memory == MAP_FAILED)
    throw std::runtime_error(fmt::format("simulator: mapping {} MiB{}: {}", bytes >> 20,
                                         at != 0 ? fmt::format(" at {:#x}", at) : "",
                                         std::strerror(errno)));
  data_ = static_cast<std::byte*>(memory);
}

Mapping::~Mapping() {
  munmap(data_, bytes_);
}

}  // namespace faultline::sim
