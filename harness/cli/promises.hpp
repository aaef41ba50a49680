// What each lock of the catalogue promises its waiters, for `faultline list`.
#pragma once

#include <string_view>

#include "locks/promise.hpp"

namespace faultline {

// `lock` is the name of a mutex, a reader-writer lock or a range lock, without options.
const Promise& promise_of(std::string_view lock);

}  // namespace faultline
