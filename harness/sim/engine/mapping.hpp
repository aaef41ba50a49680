// Zeroed memory that the host provides page by page when it is touched: tables over the whole arena
// can be plain arrays.
#pragma once

#include "harness/sim/types.hpp"

namespace faultline::sim {

// Throws std::runtime_error, one line, when the host refuses.
class Mapping {
 public:
  // At address `at`, or anywhere where that is 0.
  explicit Mapping(usize bytes, u64 at = 0);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_;
  usize bytes_;
};

// `size` elements whose bytes are all 0 at first.
template <class T>
class LazyArray {
 public:
  explicit LazyArray(usize size) : mapping_(size * sizeof(T)) {}
  T& operator[](usize i) { return data()[i]; }
  const T& operator[](usize i) const { return data()[i]; }

 private:
  T* data() const { return reinterpret_cast<T*>(mapping_.data()); }
  Mapping mapping_;
};

}  // namespace faultline::sim
