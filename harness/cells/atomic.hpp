// Atomics and plain shared data of the platforms that are not this machine. Each platform brings a
// cell, which is one object of its memory. Locks see the interface of this file over it.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace faultline::cells {

// The types that locks/ may share between threads. Other types fit neither into Relacy's atomics,
// nor into the checker's log, nor into the simulator's store buffer.
template <class T>
inline constexpr bool may_be_shared = std::is_integral_v<T> || std::is_pointer_v<T>;

// The `Where` of a cell that does not ask which line of the source accesses it.
struct Nowhere {
  static constexpr Nowhere current() { return {}; }
};

// std::atomic's interface without default orders and operators: code that relies on either does not
// compile. Cell<T> is constructed from a T and has
//
//   Where                the source location of an access (harness/check/common/weakening.hpp), or
//                        Nowhere
//   T load(Order, Where) const
//   void store(T, Order, Where)
//   T modify(const char* name, change, Order, Where)
//       replaces the value by change(value) in one step and returns the old value
//   bool compare_exchange(T& expected, T desired, bool weak, Order success, Order failure, Where)
//       `weak`: may fail although the value is the expected one
template <class T, template <class> class Cell>
class Atomic {
  static_assert(may_be_shared<T>, "only integers, bools and pointers may be shared");
  using Order = std::memory_order;
  using Where = typename Cell<T>::Where;

 public:
  constexpr Atomic() = default;
  constexpr Atomic(T value) : cell_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order order, Where where = Where::current()) const { return cell_.load(order, where); }
  void store(T value, Order order, Where where = Where::current()) {
    cell_.store(value, order, where);
  }
  T exchange(T value, Order order, Where where = Where::current()) {
    return cell_.modify(
        "exchange", [=](T) { return value; }, order, where);
  }
  template <class U>
  T fetch_add(U amount, Order order, Where where = Where::current()) {
    const auto add = [=](T before) { return static_cast<T>(before + amount); };
    return cell_.modify("fetch_add", add, order, where);
  }
  template <class U>
  T fetch_sub(U amount, Order order, Where where = Where::current()) {
    const auto subtract = [=](T before) { return static_cast<T>(before - amount); };
    return cell_.modify("fetch_sub", subtract, order, where);
  }
  T fetch_and(T bits, Order order, Where where = Where::current()) {
    const auto keep = [=](T before) { return static_cast<T>(before & bits); };
    return cell_.modify("fetch_and", keep, order, where);
  }
  T fetch_or(T bits, Order order, Where where = Where::current()) {
    const auto set = [=](T before) { return static_cast<T>(before | bits); };
    return cell_.modify("fetch_or", set, order, where);
  }
  T fetch_xor(T bits, Order order, Where where = Where::current()) {
    const auto flip = [=](T before) { return static_cast<T>(before ^ bits); };
    return cell_.modify("fetch_xor", flip, order, where);
  }
  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure,
                               Where where = Where::current()) {
    return cell_.compare_exchange(expected, desired, false, success, failure, where);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure,
                             Where where = Where::current()) {
    return cell_.compare_exchange(expected, desired, true, success, failure, where);
  }

  // Platform::store_low. A cell without a store of parts changes the word in one step.
  template <class Part>
  void store_low(Part part, Order order, Where where) {
    constexpr T low = static_cast<T>(static_cast<Part>(~Part{0}));
    if constexpr (requires { cell_.store_low(part, order, where); })
      cell_.store_low(part, order, where);
    else
      cell_.modify(
          "store_low", [=](T before) { return (before & ~low) | part; }, order, where);
  }

  // For the platform's wait and wake. A lock that calls it does not compile natively.
  const Cell<T>& cell() const { return cell_; }

 private:
  Cell<T> cell_;
};

// Platform::store_low of a platform whose atomics have this cell.
template <template <class> class Cell>
struct StoresParts {
  template <class Part, class Where = typename Cell<std::uint64_t>::Where>
  static void store_low(Atomic<std::uint64_t, Cell>& word, Part part, std::memory_order order,
                        Where where = Where::current()) {
    word.store_low(part, order, where);
  }
};

// Plain memory. Cell<T> is constructed from a T and has Where, T load(Where) const and void
// store(T, Where).
template <class T, template <class> class Cell>
class Data {
  static_assert(may_be_shared<T>, "only integers, bools and pointers may be shared");
  using Where = typename Cell<T>::Where;

 public:
  Data() = default;
  explicit Data(T value) : cell_(value) {}
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  T load(Where where = Where::current()) const { return cell_.load(where); }
  void store(T value, Where where = Where::current()) { cell_.store(value, where); }

 private:
  Cell<T> cell_;
};

}  // namespace faultline::cells
