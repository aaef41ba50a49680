// The locks behind virtual interfaces, in all their combinations of options.
#include "harness/check/pct/platform.hpp"
#include "locks/any_make.hpp"

namespace faultline {

template AnyMutex<PctPlatform> make_any_mutex<PctPlatform>(const Chosen& lock, Layout layout);
template AnyShared<PctPlatform> make_any_shared<PctPlatform>(const Chosen& lock, Layout layout);
template AnyRange<PctPlatform> make_any_range<PctPlatform>(const Chosen& lock, Layout layout);

}  // namespace faultline
