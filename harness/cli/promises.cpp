#include "harness/cli/promises.hpp"

#include <stdexcept>
#include <string>

#include "harness/native/platform.hpp"
#include "locks/mutex/list.hpp"
#include "locks/range/list.hpp"
#include "locks/shared/list.hpp"

namespace faultline {

const Promise& promise_of(std::string_view lock) {
  const Promise* promise = nullptr;
  const auto look = [&]<class Line>() {
    if (Line::entry.name == lock) promise = &StarLock<NativePlatform, Line, 0>::Type::promise;
  };
  for_each_mutex(look);
  for_each_shared(look);
  for_each_range(look);
  if (promise == nullptr) throw std::logic_error("no lock is called " + std::string(lock));
  return *promise;
}

}  // namespace faultline
