// lockhammer's cas_event_mutex: on x86 the algorithm of event_mutex with delays a third as long. On
// Arm its first try is a load-exclusive, which does not write a word that is taken; the name is
// from there.
#pragma once

#include "locks/mutex/event_mutex.hpp"

namespace faultline {

template <class P>
using CasEventMutex = EventMutexOf<P, 200>;

}  // namespace faultline
