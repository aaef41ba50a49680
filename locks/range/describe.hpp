// Lists what the mutex of a range lock guards, for reports.
#pragma once

#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// The lines that `list` adds under the mutex. Gives up after some tries to take the mutex, since
// its holder may be the thread that is stuck.
template <class P, class Mutex, class F>
std::vector<std::string> describe_in_section(Mutex& mutex, const F& list) {
  typename Mutex::Node entry;
  for (u32 tries = 0; !mutex.try_lock(entry); ++tries) {
    if (tries == 10'000) return {"range lock: its mutex is held, so its ranges cannot be listed"};
    P::pause(&mutex);
  }
  std::vector<std::string> lines;
  list(lines);
  mutex.unlock(entry);
  return lines;
}

}  // namespace faultline
