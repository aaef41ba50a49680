// The first steps of every scheme's operations, before the scheme takes a lock.
#pragma once

#include "locks/address_space/interface.hpp"

namespace faultline {

// Each operation first pays the time that other CPUs' shootdowns have charged to this CPU
// (P::settle), then checks its arguments as the kernel does. `Derived` may rely on these
// guarantees:
//
//   bool do_touch(u64 address, Access), Error do_fault(u64 address, Access)
//                                              `address` is below address_space_end
//   MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags)
//                                              `length` is whole pages and fits into the address
//                                              space; with map_fixed, so does the range
//                                              at hint, and hint is page-aligned
//   Error do_unmap(Range), do_protect(Range, u32 prot), do_discard(Range)
//                                              the range is whole pages, not empty
//   MapResult do_brk(i64 delta)
//   bool do_walk(u64 address)
//   u64 do_scan()
//
// A class template instead of virtual functions, so that the compiler joins both halves of an
// operation.
template <class P, class Derived>
class SchemeBase : public AddressSpace {
 public:
  bool touch(u64 address, Access access) final {
    P::settle();
    return address < address_space_end && self().do_touch(address, access, nullptr);
  }
  bool touch_word(u64 address, Access access, u64& word) final {
    return address < address_space_end && self().do_touch(address, access, &word);
  }

  Error fault(u64 address, Access access) final {
    P::settle();
    if (address >= address_space_end) return Error::segv;
    return self().do_fault(address, access);
  }

  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) final {
    P::settle();
    const bool fixed = (flags & map_fixed) != 0;
    if (const Error error = map_length(hint, length, fixed); error != Error::none)
      return {0, error};
    return self().do_map(hint, length, prot, flags);
  }

  Error unmap(u64 start, u64 length) final {
    P::settle();
    Range range;
    if (const Error error = page_range(start, length, range); error != Error::none) return error;
    return self().do_unmap(range);
  }

  Error protect(u64 start, u64 length, u32 prot) final {
    P::settle();
    Range range;
    if (const Error error = mapped_range(start, length, range); error != Error::none) return error;
    return range.length() == 0 ? Error::none : self().do_protect(range, prot);
  }

  MapResult brk(i64 delta) final {
    P::settle();
    return self().do_brk(delta);
  }

  Error discard(u64 start, u64 length) final {
    P::settle();
    Range range;
    if (const Error error = mapped_range(start, length, range); error != Error::none) return error;
    return range.length() == 0 ? Error::none : self().do_discard(range);
  }

  bool walk(u64 address) final {
    P::settle();
    return self().do_walk(address);
  }

  u64 scan() final {
    P::settle();
    return self().do_scan();
  }

 private:
  Derived& self() { return static_cast<Derived&>(*this); }
};

}  // namespace faultline
