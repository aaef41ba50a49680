// Charges each operation of an address space its entry into the kernel: a system call, or a page
// fault's exception. Threads call the schemes directly, while published systems are kernels. A case
// that is compared with a published system therefore asks for this charge (--kernel-entry), and for
// the kernel's own work, which the schemes charge under their locks (P::kernel_work).
#pragma once

#include <array>
#include <memory>
#include <utility>

#include "harness/sim/platform.hpp"

namespace faultline::sim {

class KernelEntry : public AddressSpace {
 public:
  explicit KernelEntry(std::unique_ptr<AddressSpace> space) : space_(std::move(space)) {}

  void enter() override { space_->enter(); }
  u64 fixed_base() const override { return space_->fixed_base(); }

  bool touch(u64 address, Access access) override { return space_->touch(address, access); }
  Error fault(u64 address, Access access) override {
    const Part part(simulation().machine().page_fault, spent_[in_fault], sent_);
    return space_->fault(address, access);
  }
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override {
    const Part part(simulation().machine().syscall, spent_[in_map], sent_);
    return space_->map(hint, length, prot, flags);
  }
  Error unmap(u64 start, u64 length) override {
    const Part part(simulation().machine().syscall, spent_[in_unmap], sent_);
    return space_->unmap(start, length);
  }
  Error protect(u64 start, u64 length, u32 prot) override {
    const Part part(simulation().machine().syscall, spent_[in_other], sent_);
    return space_->protect(start, length, prot);
  }
  MapResult brk(i64 delta) override {
    const Part part(simulation().machine().syscall, spent_[in_other], sent_);
    return space_->brk(delta);
  }
  Error discard(u64 start, u64 length) override {
    const Part part(simulation().machine().syscall, spent_[in_other], sent_);
    return space_->discard(start, length);
  }
  bool walk(u64 address) override {
    const Part part(simulation().machine().syscall, spent_[in_other], sent_);
    return space_->walk(address);
  }
  u64 scan() override {
    const Part part(simulation().machine().syscall, spent_[in_other], sent_);
    return space_->scan();
  }

  void append_events(Events& events) const override {
    space_->append_events(events);
    for (usize i = 0; i < parts; ++i) events.push_back({part_names[i], spent_[i] / ps_per_ns});
    events.push_back({"kernel.shootdowns", sent_.count});
    events.push_back({"kernel.shootdown_ns", sent_.elapsed / ps_per_ns});
  }
  std::vector<std::string> holders() const override { return space_->holders(); }
  std::string check() override { return space_->check(); }

 private:
  enum : usize { in_fault, in_map, in_unmap, in_other, parts };
  static constexpr std::array<const char*, parts> part_names = {
      "kernel.fault_ns", "kernel.map_ns", "kernel.unmap_ns", "kernel.other_ns"};

  // The kernel's own part of an operation, and of that its shootdowns. A part lasts from the end of
  // its entry to the operation's end, with the handlers that interrupt it. Published figures of sv6
  // count this time (kstats::timer in kernel/vm.cc). A handler that comes while the CPU enters the
  // kernel is none of it: interrupts are off then, and it runs before the part begins.
  class Part {
   public:
    Part(Time entry, Time& spent, Shootdowns& sent) : cpu_(here.cpu), spent_(spent), sent_(sent) {
      if (cpu_ == nullptr) return;
      simulation().spend_in_kernel(*cpu_, entry);
      simulation().settle(*cpu_);
      since_ = cpu_->clock;
      sent_before_ = cpu_->sent;
    }
    ~Part() {
      if (cpu_ == nullptr) return;
      simulation().settle(*cpu_);
      spent_ += cpu_->clock - since_;
      sent_.count += cpu_->sent.count - sent_before_.count;
      sent_.elapsed += cpu_->sent.elapsed - sent_before_.elapsed;
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

   private:
    Cpu* const cpu_;
    Time& spent_;
    Shootdowns& sent_;
    Time since_ = 0;
    Shootdowns sent_before_;
  };

  std::unique_ptr<AddressSpace> space_;
  // By all threads, without a cost in simulated time.
  std::array<Time, parts> spent_ = {};
  Shootdowns sent_;
};

}  // namespace faultline::sim
