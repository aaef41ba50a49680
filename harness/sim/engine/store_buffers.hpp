// The CPUs' store buffers: the stores that are under way, the loads that a CPU's own buffer serves,
// and the times when a CPU must wait for its stores.
#pragma once

#include <algorithm>
#include <span>

#include "harness/sim/engine/accounting.hpp"
#include "harness/sim/engine/directory.hpp"
#include "harness/sim/engine/scheduler.hpp"

namespace faultline::sim {

class LineQueues;
struct Request;

class StoreBuffers {
 public:
  StoreBuffers(const Machine& machine, const Directory& directory, LineQueues& queues,
               Scheduler& scheduler, Accounting& accounting);

  // Store-to-load forwarding: the newest value at that place that this CPU has posted and no other
  // CPU can see yet.
  bool forward(const Cpu& cpu, u64 at, u64& value) const {
    return (cpu.posted_filter & filter_bit(at)) != 0 && find(cpu, at, value);
  }
  static bool has_waiting(const Cpu& cpu) { return cpu.posted_filter != 0; }
  // A store to that place may be waiting.
  static bool may_hold(const Cpu& cpu, u64 at) { return (cpu.posted_filter & filter_bit(at)) != 0; }

  // Posts a store that has its line already and is complete at that time.
  static void post_granted(Cpu& cpu, Time complete) {
    StoreBuffer& stores = cpu.stores;
    stores.ring[stores.next].complete = complete;
    stores.advance();
    stores.complete = std::max(stores.complete, complete);
  }
  // Posts a store whose request waits for its line.
  static void post_waiting(Cpu& cpu, u64 at, u32 request) {
    StoreBuffer& stores = cpu.stores;
    stores.ring[stores.next] = {StoreBuffer::not_known, request};
    stores.advance();
    cpu.posted_filter |= filter_bit(at);
    ++stores.waiting;
  }
  // The CPU's oldest waiting store has got its line. The store is complete at `complete`.
  void complete_oldest(Cpu& cpu, const Request& request, Time complete);

  // Blocks until the CPU's stores are complete. An RMW and a system call do this, and whatever else
  // needs other CPUs to see the stores.
  void drain(Cpu& cpu) {
    if (!cpu.stores.is_drained(cpu.clock)) wait_for_all(cpu);
  }
  // Blocks until the buffer has room for one more.
  void make_room(Cpu& cpu) {
    if (last_of(cpu).complete > cpu.clock) wait_for_slot(cpu);
  }

 private:
  static u64 filter_bit(u64 at) { return u64{1} << (at / 4 % 64); }
  // The store whose slot the next store takes, in a buffer of the machine's depth.
  const StoreBuffer::Store& last_of(const Cpu& cpu) const {
    return cpu.stores.ring[cpu.stores.slot(machine_.store_buffer)];
  }
  bool find(const Cpu& cpu, u64 at, u64& value) const;
  void wait_for_all(Cpu& cpu);
  void wait_for_slot(Cpu& cpu);
  void wake_if_possible(Cpu& cpu);

  const Machine& machine_;
  const Directory& directory_;
  LineQueues& queues_;
  Scheduler& scheduler_;
  Accounting& accounting_;
};

}  // namespace faultline::sim
