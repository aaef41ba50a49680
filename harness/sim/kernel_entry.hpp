// Charges each operation of an address space its entry into the kernel: a system call, or a page
// fault's exception. Threads call the schemes directly, while published systems are kernels. A case
// that is compared with a published system therefore asks for this charge (--kernel-entry), and for
// the kernel's own work, which the schemes charge under their locks (P::kernel_work).
#pragma once

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
    charge(simulation().machine().page_fault);
    return space_->fault(address, access);
  }
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override {
    charge_call();
    return space_->map(hint, length, prot, flags);
  }
  Error unmap(u64 start, u64 length) override {
    charge_call();
    return space_->unmap(start, length);
  }
  Error protect(u64 start, u64 length, u32 prot) override {
    charge_call();
    return space_->protect(start, length, prot);
  }
  MapResult brk(i64 delta) override {
    charge_call();
    return space_->brk(delta);
  }
  Error discard(u64 start, u64 length) override {
    charge_call();
    return space_->discard(start, length);
  }
  bool walk(u64 address) override {
    charge_call();
    return space_->walk(address);
  }
  u64 scan() override {
    charge_call();
    return space_->scan();
  }

  void append_events(Events& events) const override { space_->append_events(events); }
  std::vector<std::string> holders() const override { return space_->holders(); }
  std::string check() override { return space_->check(); }

 private:
  static void charge_call() { charge(simulation().machine().syscall); }
  static void charge(Time time) {
    if (here.cpu != nullptr) simulation().spend_in_kernel(*here.cpu, time);
  }

  std::unique_ptr<AddressSpace> space_;
};

}  // namespace faultline::sim
