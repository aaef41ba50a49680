// Cache lines to be passed between CPUs, and the accesses that are timed.
#pragma once

#include <array>
#include <atomic>

#include "locks/platform.hpp"

namespace faultline::calibrate {

inline constexpr usize line_bytes = 64;

// Memory of whole pages, not yet touched: its pages come from the node of the thread that touches
// it first. Throws std::bad_alloc.
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

// Some lines in random order over some pages, never two of one 128-byte pair, so that no prefetcher
// guesses the next: few enough for a first-level cache and its TLB. Loads and RMWs form a chain,
// each one's address being the value of the one before, so that none overlaps the next; stores are
// fenced, or they would.
class Lines {
 public:
  static constexpr usize count = 128;

  Lines();
  // Another order; to be followed by write().
  void shuffle(u64 seed);

  // Each does so to every line, from the calling CPU: write() leaves them modified there, flush()
  // in no cache at all.
  void write();
  void flush();
  void read();
  // Makes the pages' translations the calling CPU's, without touching the lines.
  void translate() const;

  // Nanoseconds an access, of all lines once, the clock's own cost (time_of_clock()) taken off.
  double time_loads(double clock_ns);
  double time_stores(double clock_ns);
  double time_rmws(double clock_ns);
  // The same without a fence: what the store buffer hides is not seen.
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

// What two readings of the clock in a row are apart; ns.
double time_of_clock();

}  // namespace faultline::calibrate
