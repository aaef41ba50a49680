// What ThreadSanitizer is told about locks of libraries: it sees none of the orders of code that is
// not built for it, or is written in assembly.
#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace faultline {

inline void tell_tsan_acquired([[maybe_unused]] void* lock) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(lock);
#endif
}
inline void tell_tsan_released([[maybe_unused]] void* lock) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(lock);
#endif
}

}  // namespace faultline
