// The operations of a container of VMAs. What a container keeps in each VMA is its own `Links`.
//
// A container comes as a family, a class with two templates:
//
//   template <class P, class V> struct Links         what it keeps in a VMA, `V::links`
//   template <class P, class V> class Container      the container
//
// so that a VMA can hold the links of the container that will hold it (locks/address_space/mm.hpp
// joins the two).
#pragma once

#include <concepts>
#include <string>

#include "locks/types.hpp"

namespace faultline {

// VMAs are disjoint, not empty, and within [lowest_address, address_space_end). During `insert`,
// `erase` and `resize` the caller excludes all other use of the container, except find_rcu and
// reserve. During the other operations it excludes all edits, except during find_rcu and reserve.
//
//   first, last   the VMA of lowest and of highest address, or null
//   find          the first VMA that ends above the address, or null: it contains the address or is
//                 the next one
//   next,         the VMA after and before a VMA that is in the container, or null
//   previous
//   insert        inserts a VMA whose bounds are set and overlap no other VMA's
//   erase         removes a VMA; its fields may be read until the caller frees it
//   resize        moves the edges of a VMA within the holes beside it, and writes its bounds
//   reserve       called before the caller takes a lock: the calling thread's next `n` inserts
//                 should need no memory
//   check         with all threads at rest: answers what is wrong, or an empty string
//
// `searchable_under_rcu`: find_rcu may run under RCU beside one editing thread. It answers the VMA
// that contains the address as far as it can tell. Null may be a miss, and a VMA that it answers
// may have been erased or moved since; the caller checks it again.
//
// A container that also has a class Walk misses nothing: find_rcu answers the VMA that contains the
// address during the whole look-up. Walk(container, address) walks in ascending order, within one
// read section of RCU, and `next` answers the first VMA that ends above the walk's position, or
// null. It does not pass over a VMA that is there during the whole call.
template <class C, class V>
concept VmaContainer = requires(C container, const C& constant, V& vma, u64 n, Range range) {
  { C::searchable_under_rcu } -> std::convertible_to<bool>;
  { constant.first() } -> std::same_as<V*>;
  { constant.last() } -> std::same_as<V*>;
  { constant.find(n) } -> std::same_as<V*>;
  { constant.next(vma) } -> std::same_as<V*>;
  { constant.previous(vma) } -> std::same_as<V*>;
  container.insert(vma);
  container.erase(vma);
  container.resize(vma, range);
  container.reserve(n);
  { constant.check() } -> std::same_as<std::string>;
}
&&(!C::searchable_under_rcu || requires(const C& constant, u64 address) {
  { constant.find_rcu(address) } -> std::same_as<V*>;
});

// find_gap answers the start of the highest hole of `length` bytes, as high in the hole as
// possible, or 0. `length` is a multiple of the page, not 0. The caller excludes all edits.
template <class C>
concept FindsGaps = requires(const C& constant, u64 length) {
  { constant.find_gap(length) } -> std::same_as<u64>;
};

// A container whose readers under RCU miss nothing.
template <class C>
concept MissesNothing = C::searchable_under_rcu && requires(typename C::Walk walk) {
  walk.next();
};

}  // namespace faultline
