// Scheme `speculative`: speculative page faults with a sequence in each VMA, after Laurent Dufour's
// patches ("Speculative page faults", 2017 to 2019, on ideas of Peter Zijlstra of 2010 and 2014). A
// fault writes nothing in the VMA or the address space. Of all writers, only those of its own VMA
// make it fail. locks/schemes/speculation.hpp has the fault.
//
//   sequence   vm_sequence, a seqcount in each VMA: odd while a writer changes the VMA
//              (vm_write_begin(), vm_write_end()), and here from the moment when the VMA leaves the
//              container until it enters one again. The patches recognise a removed VMA by its node
//              of the tree
//   owner      vm_mm
//
// Memory order: a writer makes the sequence odd, then stores the VMA's fields with release. A fault
// loads the sequence (acquire, pairs with the release that made it even), the owner and the fields
// (acquire), and the sequence again. If one of these came from a later writer, the last load finds
// the odd number or a later one.
//
// The patches up to v5 of 2017 freed VMAs by SRCU, which was given up since it was slow. From v6 on
// each fault counts itself in the VMA (scheme `speculative_counted`). Here a VMA is type-stable,
// and its sequence never turns back to an earlier number. So a fault may still hold a pointer to a
// VMA of an earlier life. If that life has ended since enter(), the sequence tells. If before, the
// owner is another one, or the VMA is back in this address space, and its bounds decide.
//
// Not modelled beside what speculation.hpp names: the look-up under a reader-writer lock of the
// tree (v11), or under RCU with a sequence lock (v12). The containers here answer a look-up under
// RCU themselves, which may miss a VMA.
#pragma once

#include "locks/schemes/speculation.hpp"

namespace faultline {

// The hooks of `speculative`.
template <class P, Layout lines = Layout::linux_6_18>
class VmaSequenceHooks : public NoHooks {
 public:
  // Beside the bounds, which faults read too. The patches have it at the end of vm_area_struct.
  struct State {
    static constexpr Layout layout = lines;
    struct Hot {};
    struct MostlyRead {
      typename P::template atomic<u64> sequence{1};
      typename P::template atomic<const VmaSequenceHooks*> owner{nullptr};
    };
    State(Hot&, MostlyRead& fields) : fields_(fields) {}
    void label() { P::label(&fields_.sequence, "vma.vm_sequence"); }

   private:
    MostlyRead& fields_;
  };

  class Attempt {
   public:
    explicit Attempt(const VmaSequenceHooks& hooks) : hooks_(hooks) {}

    bool begun() const { return true; }
    template <class V>
    bool enter(V& vma) {
      sequence_ = &vma.mostly_read.sequence;
      // acquire: pairs with the release in end_write() and attach().
      seen_ = sequence_->load(std::memory_order_acquire);
      // acquire: pairs with the release in attach(). An owner of a later life brings that life's
      // sequence with it, so that valid() fails.
      // weakened acquire survives, program: in no program do two address spaces use one address.
      return seen_ % 2 == 0 && vma.mostly_read.owner.load(std::memory_order_acquire) == &hooks_;
    }
    // relaxed: the loads of the fields (Vma::copy) and the lock of the table page order it.
    bool valid() const { return sequence_->load(std::memory_order_relaxed) == seen_; }
    template <class V>
    bool leave(V&) {
      return false;
    }

   private:
    const VmaSequenceHooks& hooks_;
    const typename P::template atomic<u64>* sequence_ = nullptr;
    u64 seen_ = 0;
  };

  VmaSequenceHooks() = default;
  VmaSequenceHooks(const VmaSequenceHooks&) = delete;
  VmaSequenceHooks& operator=(const VmaSequenceHooks&) = delete;

  // vm_write_begin() in the patches. The sequence is even: Mm ends an edit of a VMA before it
  // begins the next one.
  template <class V>
  void start_write(V& vma) {
    // relaxed: the stores of the fields publish it.
    vma.mostly_read.sequence.store(number_of(vma) + 1, std::memory_order_relaxed);
  }
  // vm_write_end() in the patches.
  template <class V>
  void end_write(V& vma) {
    // release: pairs with the acquire in Attempt::enter().
    vma.mostly_read.sequence.store(number_of(vma) + 1, std::memory_order_release);
  }
  template <class V>
  void attach(V& vma) {
    // release: pairs with the acquire in Attempt::enter(). The sequence has been odd since the VMA
    // left its former container.
    // weakened release survives, program: in no program do two address spaces use one address.
    vma.mostly_read.owner.store(this, std::memory_order_release);
    end_write(vma);
  }

 private:
  // relaxed: only the thread that may edit the VMA writes it.
  template <class V>
  static u64 number_of(const V& vma) {
    return vma.mostly_read.sequence.load(std::memory_order_relaxed);
  }
};

struct speculative_scheme {
  template <class P, class Vmas, class Lock, Layout layout>
  using Space = Speculation<Mm<P, Vmas, VmaSequenceHooks<P, layout>, layout>, Lock>;
};

}  // namespace faultline
