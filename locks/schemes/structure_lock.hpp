// The inner lock of a scheme that protects ranges (range_lock.hpp): it excludes edits of the one
// container of VMAs from each other. It is any mutex or reader-writer semaphore, taken by scopes:
// Write for edits, Read for look-ups.
#pragma once

#include <string>

#include "locks/any.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/mutex/section.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

// The structure lock as a mutex: look-ups exclude one another.
template <class P, Mutex Lock>
class MutexStructure {
 public:
  class Write : MutexSection<Lock> {
   public:
    explicit Write(MutexStructure& structure) : MutexSection<Lock>(structure.lock_) {}
  };
  using Read = Write;

  explicit MutexStructure(const AddressSpaceOptions& options = {})
      : lock_(lock_of<Lock>(options)) {}

  void append_events(Events&) const {}
  std::string describe() const { return "a mutex, holder unknown"; }
  void label(const char* name) { label_lock<P>(lock_, name); }

 private:
  Lock lock_;
};

// The structure lock as a reader-writer semaphore: look-ups share it.
template <class P, SharedLock Lock>
class SharedStructure {
 public:
  class Write {
   public:
    explicit Write(SharedStructure& structure) : lock_(structure.lock_) { lock_.lock(); }
    ~Write() { lock_.unlock(); }
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;

   private:
    Lock& lock_;
  };
  class Read {
   public:
    explicit Read(SharedStructure& structure) : lock_(structure.lock_) { lock_.lock_shared(); }
    ~Read() { lock_.unlock_shared(); }
    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;

   private:
    Lock& lock_;
  };

  explicit SharedStructure(const AddressSpaceOptions& options = {})
      : lock_(lock_of<Lock>(options)) {}

  void append_events(Events& events) const { lock_.append_events(events); }
  void label(const char* name) { label_lock<P>(lock_, name); }
  std::string describe() const { return lock_.describe(); }

 private:
  Lock lock_;
};

// The class that fits `Lock`.
template <class P, class Lock>
struct StructureFor {
  using Type = MutexStructure<P, Lock>;
};
template <class P, SharedLock Lock>
struct StructureFor<P, Lock> {
  using Type = SharedStructure<P, Lock>;
};
template <class P, class Lock>
using StructureOf = typename StructureFor<P, Lock>::Type;

}  // namespace faultline
