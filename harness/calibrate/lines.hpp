// Cache lines that CPUs pass to each other, and the accesses to them that are timed.
#pragma once

#include <array>
#include <atomic>

#include "locks/platform.hpp"

namespace faultline::calibrate {

inline constexpr usize line_bytes = 64;

// Untouched memory of whole pages: each page will come from the node of the thread that touches it
// first. Throws std::bad_alloc.
class Pages {
 public:
  explicit Pages(usize bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }
  usize bytes() const { return bytes_; }

 private:
  std::byte* data_;
  usize bytes_;
};

// 128 lines in random order, four in a page and never two in one 128-byte pair, so that no
// prefetcher guesses the next one. They fit into a first-level cache and its TLB. Loads and RMWs
// form a chain: each one's value is the next one's address, so that no two overlap. Stores do not
// depend on each other, so a fence keeps them from overlapping.
class Lines {
 public:
  static constexpr usize count = 128;

  Lines();
  // Chooses other lines in another random order. Call write() next, which links them.
  void shuffle(u64 seed);

  // Each accesses every line from the calling CPU. write() leaves the lines modified in its cache,
  // flush() leaves them in no cache at all.
  void write();
  void flush();
  void read();
  // Brings the pages' translations into the calling CPU's TLB without touching the lines.
  void translate() const;

  // Each accesses every line once and returns the nanoseconds an access took. It subtracts
  // `clock_ns`, the cost of the clock itself, which time_of_clock() measures.
  double time_loads(double clock_ns);
  double time_stores(double clock_ns);
  double time_rmws(double clock_ns);
  // Times stores without a fence, so that the result leaves out what the store buffer hides.
  double time_posted_stores(double clock_ns);

 private:
  struct alignas(line_bytes) Line {
    std::atomic<Line*> next;
    std::atomic<u64> stored;
  };
  Line* load_all();

  Pages pages_;
  std::array<Line*, count> order_{};
};

// The median difference between two readings of the clock in a row, ns.
double time_of_clock();

}  // namespace faultline::calibrate
