#include "harness/sim/engine/store_buffers.hpp"

#include <cstring>

#include "harness/sim/engine/line_queues.hpp"

namespace faultline::sim {

namespace {
void write_value(u64 at, usize bytes, u64 value) {
  std::memcpy(reinterpret_cast<void*>(Arena::base + at), &value, bytes);  // little-endian
}
}  // namespace

StoreBuffers::StoreBuffers(const Machine& machine, const Directory& directory, LineQueues& queues,
                           Scheduler& scheduler, Accounting& accounting)
    : machine_(machine),
      directory_(directory),
      queues_(queues),
      scheduler_(scheduler),
      accounting_(accounting) {}

void StoreBuffers::complete_oldest(Cpu& cpu, const Request& request, Time complete) {
  write_value(request.address, request.bytes, request.value);
  StoreBuffer& stores = cpu.stores;
  stores.ring[request.slot].complete = complete;
  stores.complete = std::max(stores.complete, complete);
  if (--stores.waiting == 0) cpu.posted_filter = 0;
  wake_if_possible(cpu);
}

void StoreBuffers::wake_if_possible(Cpu& cpu) {
  StoreBuffer& stores = cpu.stores;
  const Time slot_free = last_of(cpu).complete;
  if (stores.awaits == StoreBuffer::Awaits::all && stores.waiting == 0)
    scheduler_.make_ready(cpu, std::max(cpu.clock, stores.complete));
  else if (stores.awaits == StoreBuffer::Awaits::slot && slot_free != StoreBuffer::not_known)
    scheduler_.make_ready(cpu, std::max(cpu.clock, slot_free));
  else
    return;
  stores.awaits = StoreBuffer::Awaits::nothing;
}

bool StoreBuffers::find(const Cpu& cpu, u64 at, u64& value) const {
  for (u32 n = 1; n <= cpu.stores.waiting; ++n) {
    const Request& request = queues_.request(cpu.stores.ring[cpu.stores.slot(n)].request);
    if (request.address != at) continue;
    value = request.value;
    return true;
  }
  return false;
}

void StoreBuffers::wait_for_all(Cpu& cpu) {
  const Time since = cpu.clock;
  StoreBuffer& stores = cpu.stores;
  if (stores.waiting != 0) {
    const u64 at = queues_.request(stores.oldest_waiting().request).address;
    stores.awaits = StoreBuffer::Awaits::all;
    cpu.awaited = at;
    scheduler_.block(cpu, Status::queued);
    accounting_.charge_stall(cpu, directory_.line_at(at), at, since);
  } else {
    cpu.clock = stores.complete;
    accounting_.charge_stall(cpu, Labels::store_buffer, since);
  }
}

void StoreBuffers::wait_for_slot(Cpu& cpu) {
  const Time since = cpu.clock;
  const Time slot_free = last_of(cpu).complete;
  if (slot_free == StoreBuffer::not_known) {
    cpu.stores.awaits = StoreBuffer::Awaits::slot;
    cpu.awaited = 0;
    scheduler_.block(cpu, Status::queued);
  } else {
    cpu.clock = std::max(cpu.clock, slot_free);
  }
  accounting_.charge_stall(cpu, Labels::store_buffer, since);
}

}  // namespace faultline::sim
