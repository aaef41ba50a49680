// A workload: what the threads of a case do. One file each; the list is workloads/registry.hpp.
#pragma once

#include <memory>
#include <string>

#include "workloads/worker.hpp"

namespace faultline {

// One object serves all threads that share an address space; in a `private` case each thread has
// its own, with threads() == 1. Order of calls: demands, then set_up by worker 0 alone, then enter
// by every worker on its own thread, then a barrier, then run by every worker until running() is
// false. Unaccounted set-up goes straight to worker.space(), not through the worker's verbs.
// Failures of a workload's own operations that it does not expect throw std::runtime_error, which
// fails the case.
template <class P>
class Workload {
 public:
  virtual ~Workload() = default;
  // Says what the address space needs before the window: frames and VMAs a thread (options.threads
  // is set).
  virtual void demands(AddressSpaceOptions& options) const = 0;
  virtual void set_up(Worker<P>&) {}
  virtual void enter(Worker<P>&) {}
  virtual void run(Worker<P>& worker) = 0;
  // Of locks that the workload itself owns (lock_loop), as AddressSpace has them for its own.
  virtual void append_events(Events&) const {}
  virtual std::vector<std::string> holders() const { return {}; }
};

}  // namespace faultline
