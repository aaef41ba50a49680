#include "harness/topology/check_placement.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <barrier>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "harness/topology/topology.hpp"

namespace faultline {
namespace {

constexpr usize buffer_pages = 300;

class Buffer {
 public:
  Buffer() : bytes_(buffer_pages * static_cast<usize>(sysconf(_SC_PAGESIZE))) {
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::runtime_error("check-placement: no memory");
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { munmap(memory_, bytes_); }

  void* memory() const { return memory_; }
  usize bytes() const { return bytes_; }
  void* page(usize index) const {
    return static_cast<char*>(memory_) + index * (bytes_ / buffer_pages);
  }
  void touch() { std::memset(memory_, 1, bytes_); }

 private:
  usize bytes_;
  void* memory_;
};

// The CPU on which /proc says that the calling thread ran last: field 39 of its stat.
long cpu_by_proc() {
  std::ifstream file(fmt::format("/proc/self/task/{}/stat", syscall(SYS_gettid)));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  usize at = text.rfind(')');  // ends field 2, the thread's name, which may contain spaces
  for (int field = 2; field < 39 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  return at == std::string::npos ? -1 : std::strtol(text.c_str() + at, nullptr, 10);
}

// get_mempolicy(2) with MPOL_F_NODE | MPOL_F_ADDR: the node of one page.
std::string wrong_by_mempolicy(const Buffer& buffer, u32 node) {
  constexpr int flags = 3;
  for (usize index = 0; index < buffer_pages; ++index) {
    int found = -1;
    if (syscall(SYS_get_mempolicy, &found, nullptr, 0, buffer.page(index), flags) != 0)
      return fmt::format("get_mempolicy cannot say where pages are: {}", std::strerror(errno));
    if (found < 0 || static_cast<u32>(found) != node)
      return fmt::format("get_mempolicy finds page {} on node {}, expected node {}", index, found,
                         node);
  }
  return "";
}

std::string wrong_cpu(const Cpu& cpu) {
  unsigned now = 0;
  unsigned node = 0;
  if (syscall(SYS_getcpu, &now, &node, nullptr) != 0) return "getcpu fails";
  if (now != cpu.os) return fmt::format("getcpu says CPU {}, expected {}", now, cpu.os);
  if (node != cpu.node) return fmt::format("getcpu says node {}, expected {}", node, cpu.node);
  if (cpu_by_proc() != static_cast<long>(cpu.os))
    return fmt::format("/proc says CPU {}, expected {}", cpu_by_proc(), cpu.os);
  return "";
}

std::string wrong_buffer(const Topology& topology, const Buffer& buffer, u32 node) {
  if (const auto error = topology.verify_pages(buffer.memory(), buffer.bytes(), node))
    return *error;
  return topology.nodes().size() > 1 ? wrong_by_mempolicy(buffer, node) : "";
}

struct Outcome {
  std::string error;  // empty if nothing is wrong
  u32 planted = 0;    // pages that were put on a wrong node on purpose and reported as misplaced
};

// Checks that the checks can fail: they must report a page on a wrong node and a wrong CPU. Returns
// what they missed, or an empty text.
std::string blind_spot(const Topology& topology, const Cpu& cpu, u32& planted) {
  if (!verify_cpu(cpu.os + 1)) return "a thread on another CPU goes unnoticed";
  Buffer buffer;
  if (!topology.verify_pages(buffer.memory(), buffer.bytes(), cpu.node))
    return "a page never touched goes unnoticed";
  for (const u32 node : topology.nodes()) {
    if (node == cpu.node) continue;
    const usize bytes = buffer.bytes() / buffer_pages;
    topology.bind_memory(buffer.page(buffer_pages - 1), bytes, node);
    buffer.touch();
    const auto found = topology.verify_pages(buffer.memory(), buffer.bytes(), cpu.node);
    if (!found || !found->starts_with(fmt::format("1 of {} pages", buffer_pages)))
      return fmt::format("a page on node {} passes for one on node {}", node, cpu.node);
    ++planted;
    return "";
  }
  return "";
}

// Pins the calling thread to `cpu` and places its buffers. Returns what is wrong then, or an empty
// text.
std::string check_thread(const Topology& topology, const Cpu& cpu, std::barrier<>& all_pinned) {
  std::string error;
  Buffer touched;
  Buffer bound;
  try {
    topology.bind_self(cpu.os);
    touched.touch();
    topology.bind_memory(bound.memory(), bound.bytes(), cpu.node);
    bound.touch();
  } catch (const std::runtime_error& failure) {
    error = failure.what();
  }
  all_pinned.arrive_and_wait();
  if (error.empty()) error = wrong_cpu(cpu);
  if (error.empty()) error = wrong_buffer(topology, touched, cpu.node);
  if (error.empty()) error = wrong_buffer(topology, bound, cpu.node);
  return error;
}

Outcome check_thread_and_checks(const Topology& topology, const Cpu& cpu,
                                std::barrier<>& all_pinned) {
  Outcome outcome;
  outcome.error = check_thread(topology, cpu, all_pinned);
  if (!outcome.error.empty()) return outcome;
  try {
    outcome.error = blind_spot(topology, cpu, outcome.planted);
  } catch (const std::runtime_error& failure) {
    outcome.error = failure.what();
  }
  return outcome;
}

// Checks all threads at once. Each waits for the others between pinning and checking.
std::vector<Outcome> check_threads(const Topology& topology, const std::vector<u32>& cpus) {
  std::vector<Outcome> outcomes(cpus.size());
  std::barrier<> all_pinned(static_cast<std::ptrdiff_t>(cpus.size()));
  std::vector<std::jthread> running;
  for (usize thread = 0; thread < cpus.size(); ++thread) {
    running.emplace_back([&, thread] {
      outcomes[thread] = check_thread_and_checks(topology, topology.cpu(cpus[thread]), all_pinned);
    });
  }
  running.clear();  // joins them
  return outcomes;
}

}  // namespace

int check_placement(std::string_view placement, u32 threads, std::ostream& out) {
  // A trial disables transparent huge pages too. With them, a huge page that another thread's stack
  // faults in on its node may reach into a buffer that lies beside that stack.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  const Topology topology = Topology::here();
  if (threads == 0) threads = static_cast<u32>(topology.cpus().size());
  const std::vector<u32> cpus = topology.place(placement, threads);
  const std::vector<Outcome> outcomes = check_threads(topology, cpus);
  std::string first;
  u32 planted = 0;
  for (u32 thread = 0; thread < threads; ++thread) {
    const Cpu& cpu = topology.cpu(cpus[thread]);
    const auto& [error, found] = outcomes[thread];
    fmt::print(out, "thread {} on cpu {} (node {}, socket {}, core {}): {}\n", thread, cpu.os,
               cpu.node, cpu.socket, cpu.core, error.empty() ? "ok" : error);
    if (first.empty() && !error.empty()) first = fmt::format("thread {}: {}", thread, error);
    planted += found;
  }
  fmt::print(out, "{} pages planted on wrong nodes were found there\n", planted);
  if (first.empty()) {
    fmt::print(out, "PASS {}\n", placement);
    return 0;
  }
  fmt::print(out, "FAIL {}: {}\n", placement, first);
  return 1;
}

}  // namespace faultline
