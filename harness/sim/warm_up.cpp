#include "harness/sim/warm_up.hpp"

#include <cmath>

namespace faultline {

bool WarmUp::end_window(u64 operations) {
  const double rate = static_cast<double>(operations) / static_cast<double>(length_ns_);
  drift_.reset();
  if (rate_ > 0) drift_ = std::abs(rate / rate_ - 1);
  rate_ = rate;
  spent_ns_ += length_ns_;
  settled_ = ++windows_ >= fewest_windows && drift_ && *drift_ < most_drift &&
             operations >= enough_operations_;
  // The next window lasts as long as all before it, and so does the measured window after it.
  const bool over = settled_ || 2 * spent_ns_ > cap * asked_ns_ || 3 * spent_ns_ > latest_ns;
  if (!over) length_ns_ = spent_ns_;
  return over;
}

}  // namespace faultline
