// The operations of a mutual-exclusion lock. The caller owns the Node, which lives from lock to
// unlock and is empty where a lock needs none.
#pragma once

#include <concepts>

namespace faultline {

template <class L>
concept Mutex = requires(L lock, typename L::Node& node) {
  lock.lock(node);
  { lock.try_lock(node) } -> std::same_as<bool>;
  lock.unlock(node);
};

}  // namespace faultline
