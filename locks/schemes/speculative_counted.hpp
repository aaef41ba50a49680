// Scheme `speculative_counted`: `speculative` with one atomic count in each VMA, which a fault
// raises before it begins and lowers when it is done, as Laurent Dufour's patches did from v6 on
// (vm_ref_count, get_vma(), put_vma(); January 2018). It keeps the VMA from being freed. The answer
// does not need the count, since the sequence alone decides. So the difference between this scheme
// and `speculative` is what one atomic in the VMA costs.
//
//   count   vm_ref_count. 0: in the pool; 1: the address space has the VMA; 1+n: n faults too.
//           Whoever takes the last reference returns the VMA to the pool
//
// Not modelled beside what speculative.hpp names: v6 to v11 took the reference inside a
// reader-writer lock of the tree, which costs as much again.
#pragma once

#include "locks/schemes/speculative.hpp"

namespace faultline {

// The hooks of `speculative_counted`.
template <class P, Layout layout = Layout::linux_6_18>
class CountedSequenceHooks : public VmaSequenceHooks<P, layout> {
  using Base = VmaSequenceHooks<P, layout>;

 public:
  struct State : Base::State {
    // linux-6.18: a line of its own, where Linux has vm_refcnt. The patches have vm_ref_count
    // beside vm_sequence.
    struct Hot {
      static constexpr usize apart =
          layout == Layout::packed ? alignof(typename P::template atomic<u32>) : line_size;
      alignas(apart) typename P::template atomic<u32> count{0};
    };
    State(Hot& hot, typename Base::State::MostlyRead& fields)
        : Base::State(none_, fields), hot_(hot) {}
    void label() {
      Base::State::label();
      P::label(&hot_.count, "vma.vm_ref_count");
    }

   private:
    typename Base::State::Hot none_;
    Hot& hot_;
  };

  class Attempt : public Base::Attempt {
   public:
    explicit Attempt(const CountedSequenceHooks& hooks) : Base::Attempt(hooks) {}

    template <class V>
    bool enter(V& vma) {
      u32 seen = vma.hot.count.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      do {
        if (seen == 0) return false;  // in the pool
        // relaxed, both: the sequence orders what the fault reads of the VMA.
      } while (!vma.hot.count.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed,
                                                    std::memory_order_relaxed));
      held_ = true;
      return Base::Attempt::enter(vma);
    }
    template <class V>
    bool leave(V& vma) {
      return held_ && put(vma);
    }

   private:
    bool held_ = false;
  };

  template <class V>
  void attach(V& vma) {
    Base::attach(vma);
    // relaxed: the sequence orders what faults read of the VMA.
    vma.hot.count.store(1, std::memory_order_relaxed);
  }
  template <class V>
  bool drop(V& vma) {
    return put(vma);
  }

 private:
  // Whether this was the last reference.
  template <class V>
  static bool put(V& vma) {
    // release: pairs with the acquire of the thread that takes the last reference. acquire: what
    // the others did with the VMA comes before its next life.
    // weakened acquire survives, program: only the pool's link, which is no shared data of the
    // checker, needs the order.
    // weakened release survives, program: as above.
    return vma.hot.count.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
};

struct speculative_counted_scheme {
  template <class P, class Vmas, class Lock, Layout layout>
  using Space = Speculation<Mm<P, Vmas, CountedSequenceHooks<P, layout>, layout>, Lock>;
};

}  // namespace faultline
