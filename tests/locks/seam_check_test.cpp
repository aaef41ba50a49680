#include "harness/check/platform.hpp"
#include "tests/locks/seam.hpp"

namespace faultline {

INSTANTIATE_TYPED_TEST_SUITE_P(Check, Seam, CheckPlatform);

}  // namespace faultline
