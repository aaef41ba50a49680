// Hashed wait queues. Threads sleep here for words that have no room for a queue of their own, such
// as the slots of a tree. Linux hashes the waiters of a page-cache entry in the same way (fs/dax.c,
// "exclusive entry locks"). A wake-up wakes all threads that sleep on the bucket; those that wait
// for another word go back to sleep.
#pragma once

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/random.hpp"

namespace faultline {

template <class P>
class WaitTable {
 public:
  // A waiter takes a ticket before it looks at its word for the last time.
  u32 ticket(const void* word) const {
    // acquire: pairs with wake()'s release.
    return bucket(word).turn.load(std::memory_order_acquire);
  }
  // Sleeps unless there has been a wake() since the ticket was taken.
  void wait(const void* word, u32 ticket) { P::wait(bucket(word).turn, ticket, no_deadline); }
  void wake(const void* word) {
    Bucket& at = bucket(word);
    at.turn.fetch_add(1, std::memory_order_release);  // release: pairs with ticket()'s acquire
    P::wake(at.turn, ~u32{0});
  }

 private:
  static constexpr u32 bits = 8;
  // A bucket has a line of its own, as futex_hash_bucket has (kernel/futex/futex.h).
  struct alignas(cache_line) Bucket {
    Bucket() { static_assert(!PlainCells<P> || sizeof(Bucket) == cache_line); }
    typename P::template atomic<u32> turn{0};
  };
  static u64 hash(const void* word) {
    // Fibonacci hashing (Knuth, volume 3, section 6.4).
    return (reinterpret_cast<u64>(word) >> 3) * golden_gamma >> (64 - bits);
  }
  Bucket& bucket(const void* word) { return buckets_[hash(word)]; }
  const Bucket& bucket(const void* word) const { return buckets_[hash(word)]; }

  Bucket buckets_[1U << bits];
};

}  // namespace faultline
