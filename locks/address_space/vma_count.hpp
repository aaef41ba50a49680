// How many VMAs an address space has.
#pragma once

#include "locks/layout.hpp"
#include "locks/per_thread.hpp"
#include "locks/types.hpp"

namespace faultline {

// Of an address space that one thread at a time edits: a plain word. It may lie in the lock
// (count_in()), as the kernel's map_count lies beside mmap_lock.
template <class P>
class VmaCount {
 public:
  void count_in(typename P::template data<u64>* word) {
    if (word != nullptr) word_ = word;
  }
  u64 load() const { return word_->load(); }
  bool would_exceed(u64 more, u64 most) const { return load() + more > most; }
  void add(i64 change) { word_->store(word_->load() + static_cast<u64>(change)); }

 private:
  alignas(cache_line) typename P::template data<u64> own_;
  typename P::template data<u64>* word_ = &own_;
};

// Of an address space that many threads edit at a time: each thread counts its own changes, and
// adds them to the sum when they have become `batch`, as the kernel's percpu_counter does. A sum
// that may have reached the limit is looked at thread by thread. With 1024 threads that begins at
// half the kernel's limit. Such a look may miss up to `batch` VMAs of each thread that adds at that
// moment, or count them twice.
template <class P>
class SplitVmaCount {
 public:
  // Racy while threads edit.
  u64 load() const {
    i64 count = sum_.load(std::memory_order_relaxed);  // relaxed, all: counts order nothing
    changes_.for_each([&](u32, const Changes& changes) {
      count += changes.value.load(std::memory_order_relaxed);
    });
    return count < 0 ? 0 : static_cast<u64>(count);
  }
  bool would_exceed(u64 more, u64 most) const {
    const i64 sum = sum_.load(std::memory_order_relaxed);
    const i64 error = i64{P::max_threads} * batch;
    return sum + static_cast<i64>(more) + error > static_cast<i64>(most) && load() + more > most;
  }
  void add(i64 change) {
    auto& value = changes_.here().value;
    const i64 fresh = value.load(std::memory_order_relaxed) + change;
    const bool settles = fresh >= batch || fresh <= -batch;
    if (settles) sum_.fetch_add(fresh, std::memory_order_relaxed);
    value.store(settles ? 0 : fresh, std::memory_order_relaxed);
  }

 private:
  static constexpr i64 batch = 32;
  struct Changes {
    typename P::template atomic<i64> value{0};
  };
  alignas(cache_line) typename P::template atomic<i64> sum_{0};
  PerThread<P, Changes> changes_;
};

}  // namespace faultline
