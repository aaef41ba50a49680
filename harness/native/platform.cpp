#include "harness/native/platform.hpp"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <stdexcept>

namespace faultline {
namespace native {
namespace {

constexpr usize arena_chunk = usize{4} << 20;
constexpr ShootdownCost shootdown_cost;

timespec to_timespec(u64 ns) {
  return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

std::byte* map_anonymous(usize bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

// Touches every page now and from this thread, so that the arena lies on the thread's node and no
// later use of it faults.
void first_touch(std::byte* memory, usize bytes) {
  for (usize offset = 0; offset < bytes; offset += page_size)
    *reinterpret_cast<volatile char*>(memory + offset) = 0;
}

}  // namespace

u64 now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

bool futex_wait(std::atomic<u32>& word, u32 old, u64 deadline) {
  ThreadRecord& record = self_record();
  const timespec limit = to_timespec(deadline == no_deadline ? 0 : deadline);
  // relaxed: running() takes it as a hint only.
  record.asleep.store(true, std::memory_order_relaxed);
  // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC deadline, which FUTEX_WAIT does not.
  const long result =
      syscall(SYS_futex, reinterpret_cast<u32*>(&word), FUTEX_WAIT_BITSET_PRIVATE, old,
              deadline == no_deadline ? nullptr : &limit, nullptr, FUTEX_BITSET_MATCH_ANY);
  const bool timed_out = result == -1 && errno == ETIMEDOUT;
  record.asleep.store(false, std::memory_order_relaxed);  // relaxed: a hint for running()
  return !timed_out;
}

void futex_wake(std::atomic<u32>& word, u32 n) {
  syscall(SYS_futex, reinterpret_cast<u32*>(&word), FUTEX_WAKE_PRIVATE,
          n > INT_MAX ? INT_MAX : static_cast<int>(n), nullptr, nullptr, 0);
}

void* allocate(usize bytes, usize alignment) {
  ThreadRecord& record = self_record();
  const usize rounded = (bytes + cache_line - 1) / cache_line * cache_line;
  auto misalignment = [&] { return reinterpret_cast<std::uintptr_t>(record.arena) % alignment; };
  usize padding = record.arena != nullptr && misalignment() != 0 ? alignment - misalignment() : 0;
  if (record.arena == nullptr || record.arena_left < rounded + padding) {
    const usize chunk = rounded + alignment > arena_chunk
                            ? (rounded + alignment + page_size - 1) / page_size * page_size
                            : arena_chunk;
    record.arena = map_anonymous(chunk);
    record.arena_left = chunk;
    first_touch(record.arena, chunk);
    record.chunks.emplace_back(record.arena, chunk);
    padding = misalignment() != 0 ? alignment - misalignment() : 0;
  }
  std::byte* result = record.arena + padding;
  record.arena += padding + rounded;
  record.arena_left -= padding + rounded;
  return result;
}

void shootdown(const CpuSet& cpus) {
  const u32 own = self_record().cpu.load(std::memory_order_relaxed);  // relaxed: own record
  CpuSet interrupted;
  u64 targets = 0;
  // relaxed: a thread that registers meanwhile has no translation yet that could be stale.
  const u32 limit = thread_table.thread_limit.load(std::memory_order_relaxed);
  for (u32 thread = 0; thread < limit; ++thread) {
    ThreadRecord& record = thread_table.records[thread];
    // acquire: pairs with the release in NativeThread, so that `cpu` is the CPU that this record's
    // thread was pinned on.
    if (!record.live.load(std::memory_order_acquire)) continue;
    const u32 cpu = record.cpu.load(std::memory_order_relaxed);  // relaxed: set before `live`
    if (cpu == own || !cpus.has(cpu) || interrupted.has(cpu)) continue;
    interrupted.add(cpu);
    // relaxed: a modelled cost, which passes no data.
    record.charged_ns.fetch_add(shootdown_cost.target_ns, std::memory_order_relaxed);
    ++targets;
  }
  if (targets != 0) spin_for(shootdown_cost.base_ns + targets * shootdown_cost.per_target_ns);
}

void settle() {
  // relaxed: the charge passes no data.
  spin_for(self_record().charged_ns.exchange(0, std::memory_order_relaxed));
}

void spin_for(u64 ns) {
  for (const u64 end = now_ns() + ns; now_ns() < end;) relax();
}

void yield_now_and_then() {
  // 256 pauses spin for some ten microseconds; sched_yield() then costs about half a microsecond.
  constexpr u32 patience = 256;
  if (this_thread != nullptr && ++this_thread->pauses % patience == 0) sched_yield();
}

u64 waited_ns(u32 thread) {
  // relaxed: the reader needs no other data with this word.
  const u64 waited = thread_table.records[thread].waited.load(std::memory_order_relaxed);
  const u64 total = (waited >> 1) + ((waited & 1) != 0 ? now_ns() : 0);
  return total & ~(u64{1} << 63);  // `waited` keeps the time modulo 2^63
}

u64 waiting_since(u32 thread) {
  const ThreadRecord& record = thread_table.records[thread];
  // acquire: pairs with the release in wait_begin, so that `waits_since` is this wait's start.
  if (record.waits_for.load(std::memory_order_acquire) == nullptr) return 0;
  return record.waits_since.load(std::memory_order_relaxed);
}

std::vector<std::string> waiting_threads() {
  std::vector<std::string> lines;
  // relaxed: the report may miss a thread that registers meanwhile.
  const u32 limit = thread_table.thread_limit.load(std::memory_order_relaxed);
  for (u32 thread = 0; thread < limit; ++thread) {
    const ThreadRecord& record = thread_table.records[thread];
    // acquire: pairs with the release in wait_begin, so that name and start belong to `object`.
    const void* object = record.waits_for.load(std::memory_order_acquire);
    if (object == nullptr) continue;
    // relaxed, for name and start: the acquire above orders them. relaxed, for CPU and `asleep`:
    // the report may be stale. The maximum below keeps the difference from wrapping, should a new
    // wait begin meanwhile.
    const u64 since = record.waits_since.load(std::memory_order_relaxed);
    const double seconds = 1e-9 * static_cast<double>(std::max(now_ns(), since) - since);
    lines.push_back(
        fmt::format("thread {} (CPU {}) waits {:.1f} s for {} at {}{}", thread,
                    record.cpu.load(std::memory_order_relaxed), seconds,
                    record.waits_for_name.load(std::memory_order_relaxed), object,
                    record.asleep.load(std::memory_order_relaxed) ? ", asleep" : ", spinning"));
  }
  return lines;
}

}  // namespace native

NativeThread::NativeThread(u32 id, u32 cpu, u32 node, u64 seed) {
  if (id >= native::max_threads)
    throw std::invalid_argument(
        fmt::format("thread number {}: expected less than {}", id, native::max_threads));
  if (cpu >= max_cpus)
    throw std::invalid_argument(fmt::format("CPU {}: expected less than {}", cpu, max_cpus));
  native::ThreadRecord& record = native::thread_table.records[id];
  record.id = id;
  record.cpu.store(cpu, std::memory_order_relaxed);  // relaxed: published by `live`
  record.node = node;
  record.random_state = (seed + 1) * golden_gamma | 1;    // xorshift cannot leave the state zero
  record.charged_ns.store(0, std::memory_order_relaxed);  // relaxed: published by `live`
  native::this_thread = &record;
  urcu_memb_register_thread();
  auto& limit = native::thread_table.thread_limit;
  // relaxed, in load and exchange: threads only raise the limit, and it passes no data.
  u32 seen = limit.load(std::memory_order_relaxed);
  while (seen <= id && !limit.compare_exchange_weak(seen, id + 1, std::memory_order_relaxed)) {
  }
  // release: pairs with the acquires in shootdown() and in other threads' loop below.
  record.live.store(true, std::memory_order_release);
  // seq_cst: orders the store of `live` before the loads in the loop, so that of two threads that
  // register at once at least one sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // relaxed: the fence orders it.
  const u32 end = limit.load(std::memory_order_relaxed);
  for (u32 other = 0; other < end; ++other) {
    const native::ThreadRecord& neighbour = native::thread_table.records[other];
    // acquire: pairs with the neighbour's release of `live`, so that `cpu` is where it was pinned.
    // relaxed, for `cpu`: the acquire orders it. relaxed, for `crowded`: the flag passes no data.
    if (other != id && neighbour.live.load(std::memory_order_acquire) &&
        neighbour.cpu.load(std::memory_order_relaxed) == cpu)
      native::thread_table.crowded.store(true, std::memory_order_relaxed);
  }
}

NativeThread::~NativeThread() {
  urcu_memb_unregister_thread();
  // relaxed: whoever reads `live` of a thread that ends takes it as a hint.
  native::self_record().live.store(false, std::memory_order_relaxed);
  native::this_thread = nullptr;
}

void NativePlatform::wait_begin(const void* object, const char* what) {
  native::ThreadRecord& record = native::self_record();
  if (record.wait_depth++ != 0) return;  // only the outermost wait counts
  // relaxed, for name and start: the release store of `waits_for` publishes them. It pairs with the
  // acquires in waiting_since() and waiting_threads().
  record.waits_for_name.store(what, std::memory_order_relaxed);
  const u64 now = native::now_ns();
  record.waits_since.store(now, std::memory_order_relaxed);
  record.waits_for.store(object, std::memory_order_release);
  // relaxed, for load and store: no other thread writes it, and readers need no other data with it.
  const u64 waited = record.waited.load(std::memory_order_relaxed);
  record.waited.store(((waited >> 1) - now) << 1 | 1, std::memory_order_relaxed);
}

void NativePlatform::wait_end() {
  native::ThreadRecord& record = native::self_record();
  if (--record.wait_depth != 0) return;
  // relaxed: the end of a wait publishes nothing.
  record.waits_for.store(nullptr, std::memory_order_relaxed);
  // relaxed, for load and store: no other thread writes it, and readers need no other data with it.
  const u64 waited = record.waited.load(std::memory_order_relaxed);
  record.waited.store(((waited >> 1) + native::now_ns()) << 1, std::memory_order_relaxed);
}

}  // namespace faultline
