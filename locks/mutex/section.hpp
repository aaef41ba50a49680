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

// A critical section under a mutex that the thread only tries to lock. Converts to false where
// another thread holds the mutex; then there is no section.
template <class Mutex>
class MutexAttempt {
 public:
  explicit MutexAttempt(Mutex& mutex) : mutex_(mutex), taken_(mutex.try_lock(entry_)) {}
  ~MutexAttempt() {
    if (taken_) mutex_.unlock(entry_);
  }
  MutexAttempt(const MutexAttempt&) = delete;
  MutexAttempt& operator=(const MutexAttempt&) = delete;
  explicit operator bool() const { return taken_; }

 private:
  Mutex& mutex_;
  typename Mutex::Node entry_;
  const bool taken_;
};

}  // namespace faultline
