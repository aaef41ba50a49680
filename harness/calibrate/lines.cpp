#include "harness/calibrate/lines.hpp"

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <new>
#include <random>

#include "harness/native/platform.hpp"
#include "harness/stats/stats.hpp"

namespace faultline::calibrate {

namespace {

// All orders here are relaxed: only one CPU at a time accesses a line, and the crew's meetings
// order its accesses before those of the next CPU.
constexpr auto relaxed = std::memory_order_relaxed;

// Each quarter of a page holds one of the lines. The last pair of lines in a quarter stays unused.
constexpr usize part = page_size / 4;
constexpr usize places = part / line_bytes - 2;

// Evicts the line from every cache.
void flush_line(void* line) {
#if defined(__x86_64__)
  _mm_clflush(line);
#elif defined(__aarch64__)
  asm volatile("dc civac, %0" : : "r"(line) : "memory");
#endif
}

// Waits until all earlier stores are complete before any later access begins. A fence of C++ would
// not do: the CPU may still fetch the line of the next store early.
void complete_stores() {
#if defined(__x86_64__)
  _mm_mfence();
  _mm_lfence();
#elif defined(__aarch64__)
  asm volatile("dsb ish\n\tisb" ::: "memory");
#endif
}

template <class F>
double time_each(double clock_ns, F&& accesses) {
  native::now_ns();  // brings the clock's code and data into the cache
  const u64 begin = native::now_ns();
  accesses();
  const double ns = static_cast<double>(native::now_ns() - begin) - clock_ns;
  return std::max(ns, 0.0) / static_cast<double>(Lines::count);
}

}  // namespace

Pages::Pages(usize bytes) : bytes_(bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
}

Pages::~Pages() {
  munmap(data_, bytes_);
}

Lines::Lines() : pages_(count * part) {}

void Lines::shuffle(u64 seed) {
  std::mt19937_64 random(seed);
  for (usize i = 0; i < count; ++i)
    order_[i] = reinterpret_cast<Line*>(pages_.data() + i * part + random() % places * line_bytes);
  std::shuffle(order_.begin(), order_.end(), random);
}

void Lines::write() {
  for (usize i = 0; i < count; ++i) order_[i]->next.store(order_[(i + 1) % count], relaxed);
  complete_stores();
}

void Lines::flush() {
  for (Line* line : order_) flush_line(line);
  complete_stores();  // the fence orders flushes too
}

Lines::Line* Lines::load_all() {
  Line* at = order_[0];
  for (usize i = 0; i < count; ++i) at = at->next.load(relaxed);
  return at;
}

void Lines::read() {
  benchmark::DoNotOptimize(load_all());
}

void Lines::translate() const {
  for (usize at = page_size - line_bytes; at < pages_.bytes(); at += page_size)
    benchmark::DoNotOptimize(std::to_integer<int>(pages_.data()[at]));
}

double Lines::time_loads(double clock_ns) {
  return time_each(clock_ns, [&] { benchmark::DoNotOptimize(load_all()); });
}

double Lines::time_stores(double clock_ns) {
  // A copy brings the addresses into the cache before the clock runs.
  const std::array order = order_;
  return time_each(clock_ns, [&] {
    for (Line* line : order) {
      line->stored.store(1, relaxed);
      complete_stores();
    }
  });
}

double Lines::time_rmws(double clock_ns) {
  std::ptrdiff_t zero = 0;
  benchmark::DoNotOptimize(zero);  // keeps the compiler from turning an addition of 0 into a load
  return time_each(clock_ns, [&] {
    Line* at = order_[0];
    for (usize i = 0; i < count; ++i) at = at->next.fetch_add(zero, relaxed);
    benchmark::DoNotOptimize(at);
  });
}

double Lines::time_posted_stores(double clock_ns) {
  const std::array order = order_;
  return time_each(clock_ns, [&] {
    for (Line* line : order) line->stored.store(1, relaxed);
  });
}

double time_of_clock() {
  std::vector<double> times;
  for (int i = 0; i < 1001; ++i) {
    const u64 begin = native::now_ns();
    times.push_back(static_cast<double>(native::now_ns() - begin));
  }
  return median(times);
}

}  // namespace faultline::calibrate
