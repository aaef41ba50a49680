// The rights that a page's mapping may have at this moment, as far as the calls that have begun and
// returned tell: an upper bound of what a CPU may take from the page table.
//
// A call that maps or protects pages grants its rights from its beginning on. A later call that
// names these pages takes the grant back once it has returned with success, if it began after the
// granting call had returned: then every scheme makes the two edits in this order. A call that
// fails takes nothing back, although it may have changed a part. So a page never has rights that
// no grant gives, unless the scheme is wrong.
#pragma once

#include <array>

#include "harness/check/common/types.hpp"
#include "locks/types.hpp"

namespace faultline::check {

class Grants {
 public:
  // Pages are numbered from the first of a window.
  static constexpr u32 window = 16;
  using Pages = u32;  // a bit for each
  static constexpr Pages all = (u32{1} << window) - 1;

  using Number = u32;  // of a call, for end()
  enum class Outcome {
    refused,   // nothing was done
    partly,    // a part may have been done, or all of it beside other mappings
    replaced,  // each page has these rights now, or those that a call beside this one gives
  };

  // A call begins that may give `rights` to these pages.
  Number begin(Pages pages, u32 rights) {
    if (used_ == calls_.size()) return none;  // then all is granted
    calls_[used_] = {pages, rights, ++moment_, 0, false};
    return used_++;
  }
  // A fault begins. It may grow a stack down to the lowest of these pages, even a stack that a call
  // maps after the fault has begun.
  Number begin_fault(Pages pages) {
    const Number number = begin(pages, prot_read | prot_write);
    if (number != none) calls_[number].needs_stack = true;
    return number;
  }
  void end(Number number, Outcome outcome) {
    if (number == none) return;
    Call& call = calls_[number];
    call.returned = ++moment_;
    if (outcome == Outcome::refused) call.pages = 0;
    if (outcome != Outcome::replaced) return;
    for (u32 i = 0; i < used_; ++i)
      if (calls_[i].returned != 0 && calls_[i].returned < call.began)
        calls_[i].pages &= ~call.pages;
  }

  // A call that maps a stack begins.
  void map_stack() { ++stacks_; }
  // It has returned, and mapped none.
  void refuse_stack() { --stacks_; }

  u32 rights(u32 page) const {
    if (used_ == calls_.size()) return ~u32{0};
    u32 rights = prot_none;
    for (u32 i = 0; i < used_; ++i)
      if ((calls_[i].pages >> page & 1) != 0 && (stacks_ != 0 || !calls_[i].needs_stack))
        rights |= calls_[i].rights;
    return rights;
  }

 private:
  static constexpr Number none = ~u32{0};
  struct Call {
    Pages pages = 0;
    u32 rights = prot_none;
    u32 began = 0, returned = 0;
    bool needs_stack = false;
  };

  std::array<Call, 48> calls_{};
  u32 used_ = 0;
  u32 moment_ = 0;
  u32 stacks_ = 0;  // that calls have mapped, or may map now
};

}  // namespace faultline::check
