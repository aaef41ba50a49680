// A critical section under a mutex (locks/mutex/concept.hpp), as long as the object lives.
#pragma once

namespace faultline {

template <class Mutex>
class MutexSection {
 public:
  explicit MutexSection(Mutex& mutex) : mutex_(mutex) { mutex_.lock(entry_); }
  ~MutexSection() { mutex_.unlock(entry_); }
  MutexSection(const MutexSection&) = delete;
  MutexSection& operator=(const MutexSection&) = delete;

 private:
  Mutex& mutex_;
  typename Mutex::Node entry_;
};

}  // namespace faultline
