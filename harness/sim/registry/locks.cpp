// The locks behind virtual interfaces, in all their combinations of options, and the loops over
// them.
#include "harness/sim/platform.hpp"
#include "workloads/lock_loops.hpp"

namespace faultline {

using P = SimPlatform;

template AnyMutex<P> make_any_mutex<P>(const Chosen& lock, Layout layout);
template AnyShared<P> make_any_shared<P>(const Chosen& lock, Layout layout);
template AnyRange<P> make_any_range<P>(const Chosen& lock, Layout layout);
template std::unique_ptr<Workload<P>> make_lock_loop<P, mutex_family>(const Chosen& workload,
                                                                      const Chosen& lock,
                                                                      Layout layout);
template std::unique_ptr<Workload<P>> make_lock_loop<P, shared_family>(const Chosen& workload,
                                                                       const Chosen& lock,
                                                                       Layout layout);
template std::unique_ptr<Workload<P>> make_lock_loop<P, range_family>(const Chosen& workload,
                                                                      const Chosen& lock,
                                                                      Layout layout);

}  // namespace faultline
