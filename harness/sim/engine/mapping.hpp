// Zeroed memory of which only what is touched exists: tables over the whole arena are plain arrays.
#pragma once

#include "harness/sim/types.hpp"

namespace faultline::sim {

// Throws std::runtime_error, one line, where there is no such room.
class Mapping {
 public:
  explicit Mapping(usize bytes, u64 at = 0);  // at: at this address and nowhere else; 0: anywhere
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_;
  usize bytes_;
};

// `size` elements, all of whose bytes are 0 at first.
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
