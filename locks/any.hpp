// A lock of each kind behind a virtual interface, for the simulator and the checker. A virtual call
// costs no simulated time, so one instantiation of a scheme serves all locks, and the compiler sees
// no product of schemes and locks. Natively locks are types (locks/star.hpp).
#pragma once

#include <concepts>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "locks/address_space/interface.hpp"
#include "locks/catalogue.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/range/concept.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/mm_lock_seq.hpp"

namespace faultline {

template <class P>
class AnyMutex;
template <class P>
class AnyShared;
template <class P>
class AnyRange;

// Makes the chosen lock. Each platform that has virtual locks instantiates these functions in one
// file, from locks/any_make.hpp.
template <class P>
AnyMutex<P> make_any_mutex(const Chosen& lock, Layout layout);
template <class P>
AnyShared<P> make_any_shared(const Chosen& lock, Layout layout);
template <class P>
AnyRange<P> make_any_range(const Chosen& lock, Layout layout);

// Names the memory of a lock, virtual or not. The lock may then give its parts names of their own.
template <class P, class Lock>
void label_lock(Lock& lock, const char* name) {
  if constexpr (requires { lock.label(name); }) {
    lock.label(name);
  } else {
    P::label(&lock, name);
    if constexpr (requires { lock.label(); }) lock.label();
  }
}

// Memory for the node of any lock, which lives from lock to unlock. The node of the chosen lock
// begins at the address of this object, so the simulator charges the line on which the caller put
// it.
class alignas(cache_line) AnyNode {
 public:
  template <class N>
  N& make() {
    static_assert(sizeof(N) <= sizeof(bytes_) && alignof(N) <= cache_line);
    return *new (bytes_) N;
  }
  template <class N>
  N& as() {
    return *std::launder(reinterpret_cast<N*>(bytes_));
  }

 private:
  std::byte bytes_[4 * cache_line];
};

template <class P>
class AnyMutex {
 public:
  using Node = AnyNode;
  // A word right behind the lock, for workload lock_loop. AnyShared and AnyRange have one too.
  using Beside = typename P::template atomic<u64>;

  template <Mutex L>
  static AnyMutex of() {
    return AnyMutex(std::make_unique<Adapter<L>>());
  }
  // Makes the lock that the options name.
  explicit AnyMutex(const AddressSpaceOptions& options)
      : AnyMutex(make_any_mutex<P>(*options.lock, options.layout)) {}

  void lock(Node& node) { verbs_->lock(node); }
  bool try_lock(Node& node) { return verbs_->try_lock(node); }
  void unlock(Node& node) { verbs_->unlock(node); }
  void label(const char* name) { verbs_->label(name); }
  Beside& beside() { return verbs_->beside(); }

 private:
  struct Verbs {
    virtual ~Verbs() = default;
    virtual void lock(Node& node) = 0;
    virtual bool try_lock(Node& node) = 0;
    virtual void unlock(Node& node) = 0;
    virtual void label(const char* name) = 0;
    virtual Beside& beside() = 0;
  };
  template <class L>
  struct Adapter final : Verbs {
    using N = typename L::Node;
    void lock(Node& node) override { own.lock(node.make<N>()); }
    bool try_lock(Node& node) override {
      if (own.try_lock(node.make<N>())) return true;
      node.as<N>().~N();
      return false;
    }
    void unlock(Node& node) override {
      own.unlock(node.as<N>());
      node.as<N>().~N();
    }
    void label(const char* name) override { label_lock<P>(own, name); }
    Beside& beside() override { return word_beside; }
    alignas(cache_line) [[no_unique_address]] L own;
    Beside word_beside{0};
  };

  explicit AnyMutex(std::unique_ptr<Verbs> verbs) : verbs_(std::move(verbs)) {}

  std::unique_ptr<Verbs> verbs_;
};

template <class P>
class AnyShared {
 public:
  // The fields of mm_struct behind mmap_lock, for the schemes that use them. The compiler puts them
  // into the rest of the lock's last line, as it does with the hooks of a scheme whose lock is a
  // member.
  using Behind = BehindMmapLock<P, Layout::linux_6_18>;
  using MapCount = typename P::template data<u64>;
  using Beside = typename P::template atomic<u64>;

  template <SharedLock L>
  static AnyShared of() {
    return AnyShared(std::make_unique<Adapter<L>>(), L::atomic_downgrade);
  }
  explicit AnyShared(const AddressSpaceOptions& options)
      : AnyShared(make_any_shared<P>(*options.lock, options.layout)) {}

  void lock_shared() { verbs_->lock_shared(); }
  bool try_lock_shared() { return verbs_->try_lock_shared(); }
  void unlock_shared() { verbs_->unlock_shared(); }
  void lock() { verbs_->lock(); }
  bool try_lock() { return verbs_->try_lock(); }
  void unlock() { verbs_->unlock(); }
  void downgrade() { verbs_->downgrade(); }
  void append_events(Events& events) const { verbs_->append_events(events); }
  std::string describe() const { return verbs_->describe(); }
  void before_fault() { verbs_->before_fault(); }
  void label(const char* name) { verbs_->label(name); }
  Behind& behind() { return verbs_->behind(); }
  // Null where the chosen lock has no such field (Rwsem::map_count).
  MapCount* map_count() { return verbs_->map_count(); }
  Beside& beside() { return verbs_->beside(); }

 private:
  struct Verbs {
    virtual ~Verbs() = default;
    virtual void lock_shared() = 0;
    virtual bool try_lock_shared() = 0;
    virtual void unlock_shared() = 0;
    virtual void lock() = 0;
    virtual bool try_lock() = 0;
    virtual void unlock() = 0;
    virtual void downgrade() = 0;
    virtual void before_fault() = 0;
    virtual void append_events(Events& events) const = 0;
    virtual std::string describe() const = 0;
    virtual void label(const char* name) = 0;
    virtual Behind& behind() = 0;
    virtual MapCount* map_count() = 0;
    virtual Beside& beside() = 0;
  };
  template <class L>
  struct Adapter final : Verbs {
    void lock_shared() override { own.lock_shared(); }
    bool try_lock_shared() override { return own.try_lock_shared(); }
    void unlock_shared() override { own.unlock_shared(); }
    void lock() override { own.lock(); }
    bool try_lock() override { return own.try_lock(); }
    void unlock() override { own.unlock(); }
    void downgrade() override { own.downgrade(); }
    void before_fault() override {
      if constexpr (requires { own.before_fault(); }) own.before_fault();
    }
    void append_events(Events& events) const override { own.append_events(events); }
    std::string describe() const override { return own.describe(); }
    void label(const char* name) override { label_lock<P>(own, name); }
    Behind& behind() override { return fields_behind; }
    MapCount* map_count() override {
      if constexpr (requires { own.map_count(); })
        return own.map_count();
      else
        return nullptr;
    }
    Beside& beside() override { return word_beside; }

    alignas(cache_line) [[no_unique_address]] L own;
    [[no_unique_address]] Behind fields_behind;
    Beside word_beside{0};
  };

  AnyShared(std::unique_ptr<Verbs> verbs, bool atomic)
      : atomic_downgrade(atomic), verbs_(std::move(verbs)) {}

 public:
  bool atomic_downgrade;

 private:
  std::unique_ptr<Verbs> verbs_;
};

template <class P>
class AnyRange {
 public:
  using Node = AnyNode;
  using Beside = typename P::template atomic<u64>;

  template <RangeLock L>
  static AnyRange of() {
    return AnyRange(std::make_unique<Adapter<L>>());
  }
  explicit AnyRange(const AddressSpaceOptions& options)
      : AnyRange(make_any_range<P>(*options.ranges, options.layout)) {}

  void lock(Node& node, Range range, bool exclusive) { verbs_->lock(node, range, exclusive); }
  bool try_lock(Node& node, Range range, bool exclusive) {
    return verbs_->try_lock(node, range, exclusive);
  }
  void unlock(Node& node) { verbs_->unlock(node); }
  void downgrade(Node& node) { verbs_->downgrade(node); }
  void downgrade_range(Node& node, Range range) { verbs_->downgrade_range(node, range); }
  void append_events(Events& events) const { verbs_->append_events(events); }
  std::vector<std::string> describe() const { return verbs_->describe(); }
  void label(const char* name) { verbs_->label(name); }
  Beside& beside() { return verbs_->beside(); }

 private:
  struct Verbs {
    virtual ~Verbs() = default;
    virtual void lock(Node& node, Range range, bool exclusive) = 0;
    virtual bool try_lock(Node& node, Range range, bool exclusive) = 0;
    virtual void unlock(Node& node) = 0;
    virtual void downgrade(Node& node) = 0;
    virtual void downgrade_range(Node& node, Range range) = 0;
    virtual void append_events(Events& events) const = 0;
    virtual std::vector<std::string> describe() const = 0;
    virtual void label(const char* name) = 0;
    virtual Beside& beside() = 0;
  };
  template <class L>
  struct Adapter final : Verbs {
    using N = typename L::Node;
    void lock(Node& node, Range range, bool exclusive) override {
      own.lock(node.make<N>(), range, exclusive);
    }
    bool try_lock(Node& node, Range range, bool exclusive) override {
      if (own.try_lock(node.make<N>(), range, exclusive)) return true;
      node.as<N>().~N();
      return false;
    }
    void unlock(Node& node) override {
      own.unlock(node.as<N>());
      node.as<N>().~N();
    }
    void downgrade(Node& node) override { own.downgrade(node.as<N>()); }
    void downgrade_range(Node& node, Range range) override {
      own.downgrade_range(node.as<N>(), range);
    }
    void append_events(Events& events) const override { own.append_events(events); }
    std::vector<std::string> describe() const override { return own.describe(); }
    void label(const char* name) override { label_lock<P>(own, name); }
    Beside& beside() override { return word_beside; }
    alignas(cache_line) [[no_unique_address]] L own;
    Beside word_beside{0};
  };

  explicit AnyRange(std::unique_ptr<Verbs> verbs) : verbs_(std::move(verbs)) {}

  std::unique_ptr<Verbs> verbs_;
};

// Whether a lock is made from the options of its scheme: a lock of this file, or a lock over one.
template <class Lock>
concept TakesOptions = std::constructible_from<Lock, const AddressSpaceOptions&>;

// Makes a scheme's own lock: the lock that the options name where the type is one of this file.
template <class Lock>
Lock lock_of(const AddressSpaceOptions& options) {
  if constexpr (TakesOptions<Lock>)
    return Lock(options);
  else
    return Lock();
}

}  // namespace faultline
