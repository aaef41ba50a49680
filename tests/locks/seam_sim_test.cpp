#include "harness/sim/platform.hpp"
#include "tests/locks/seam.hpp"

namespace faultline {

INSTANTIATE_TYPED_TEST_SUITE_P(Sim, Seam, SimPlatform);

}  // namespace faultline
