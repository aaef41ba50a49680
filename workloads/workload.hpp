// A workload: what the threads of a case do. Each has a file of its own; workloads/registry.hpp
// lists them.
#pragma once

#include <memory>
#include <string>

#include "workloads/worker.hpp"

namespace faultline {

// One object serves all threads that share an address space. In a `private` case each thread has
// its own, with threads() == 1. Order of calls: demands, then set_up by worker 0 alone, then enter
// by every worker on its own thread, then a barrier, then run by every worker until running() is
// false. Set-up that must not be counted calls worker.space() directly, not the worker's functions.
// If an operation of the workload itself fails unexpectedly, it throws std::runtime_error, which
// fails the case.
template <class P>
class Workload {
 public:
  virtual ~Workload() = default;
  // Sets what the address space needs before the window: frames and VMAs per thread.
  // options.threads is set already.
  virtual void demands(AddressSpaceOptions& options) const = 0;
  virtual void set_up(Worker<P>&) {}
  virtual void enter(Worker<P>&) {}
  virtual void run(Worker<P>& worker) = 0;
  // The events of locks that the workload itself owns (lock_loop), in the form of
  // AddressSpace::append_events.
  virtual void append_events(Events&) const {}
  virtual std::vector<std::string> holders() const { return {}; }
};

}  // namespace faultline
