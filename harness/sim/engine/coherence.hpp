// The caches: what an access costs its CPU, and how a line moves from one CPU to the next.
//
// Order. An access to a line that a second CPU has ever touched happens when its CPU is the
// earliest of all, so all such accesses happen in one order, that of simulated time: values are
// sequentially consistent. A posted store has its place in that order when it is posted: whoever
// asks for the line later waits until the store has it. An access to a private line needs no such
// care and only moves the CPU's own clock.
//
// A line moves by one transfer after another. While one is under way (Line::busy_until), further
// requests queue (LineQueues).
#pragma once

#include "harness/sim/engine/accounting.hpp"
#include "harness/sim/engine/directory.hpp"
#include "harness/sim/engine/interconnect.hpp"
#include "harness/sim/engine/line_queues.hpp"
#include "harness/sim/engine/residency.hpp"
#include "harness/sim/engine/scheduler.hpp"
#include "harness/sim/engine/store_buffers.hpp"

namespace faultline::sim {

class SpinParking;

class Coherence {
 public:
  Coherence(const Machine& machine, const Arena& arena, std::span<Cpu> cpus, Directory& directory,
            LineQueues& queues, StoreBuffers& stores, SpinParking& spinning, Scheduler& scheduler,
            Accounting& accounting);

  // Before the caller reads the value.
  void before_load(Cpu& cpu, const void* address, usize bytes) {
    begin_access(cpu);
    const u64 at = Arena::place_of(address);
    Line& line = directory_.line_at(at);
    cpu.note_read(at);
    if (!Directory::is_private(cpu, line)) return load_shared(cpu, line, at, bytes);
    refill_if_dropped(cpu, line, at);
    line.used |= byte_mask(at, bytes);
    cpu.clock += hit_[static_cast<usize>(Kind::load)];
  }
  // Before the caller writes the value. False: it has been posted, and the caller does not write.
  bool before_store(Cpu& cpu, void* address, usize bytes, u64 value) {
    begin_access(cpu);
    cpu.note_write();
    const u64 at = Arena::place_of(address);
    Line& line = directory_.line_at(at);
    if (!Directory::is_private(cpu, line)) return store_shared(cpu, line, at, bytes, value);
    write_hit(cpu, line, at, byte_mask(at, bytes));
    cpu.clock += hit_[static_cast<usize>(Kind::store)];
    return true;
  }
  // Before the caller reads and writes the value at once.
  void before_rmw(Cpu& cpu, const void* address, usize bytes);
  // A load that the CPU's own store buffer serves; false: none is there that does.
  bool forward(Cpu& cpu, const void* address, u64& value) {
    const u64 at = Arena::offset(address);
    if (!stores_.forward(cpu, at, value)) return false;
    begin_access(cpu);
    cpu.cannot_park = true;  // the store has yet to become visible: a spin on it must not stop time
    cpu.clock += hit_[static_cast<usize>(Kind::load)];
    return true;
  }
  // Before an object is made at arena offset `at`: a waiting store to what was there before must
  // not come later.
  void before_construction(Cpu& cpu, u64 at) {
    if (StoreBuffers::may_hold(cpu, at)) [[unlikely]]
      stores_.drain(cpu);
  }
  // A store from outside of every CPU.
  void outside_store(const void* address);

  // Starts the transfer of the line to the CPU at `now`, while `requesters` CPUs ask for it. State,
  // sharers and counts change at once; the answer is when the CPU has the line.
  Time transfer(Cpu& cpu, Line& line, LineAccess access, Time now, u32 requesters);
  // transfer() for a load of a clean line, whose entry that is.
  [[gnu::always_inline]] inline Time read_clean(Cpu& cpu, Line& line, DirectoryEntry& entry,
                                                LineAccess access, Time now);

 private:
  void begin_access(Cpu& cpu) {
    ++cpu.accesses;
    scheduler_.bound_lookahead(cpu);
  }
  void refill_if_dropped(Cpu& cpu, Line& line, u64 at) {
    if (residency_.has_dropped(cpu, line)) [[unlikely]]
      refill(cpu, line, at);
  }
  void write_hit(Cpu& cpu, Line& line, u64 at, u64 mask) {
    refill_if_dropped(cpu, line, at);
    line.state = State::modified;
    line.used |= mask;
  }
  void refill(Cpu& cpu, Line& line, u64 at);
  void load_shared(Cpu& cpu, Line& line, u64 at, usize bytes);
  bool store_shared(Cpu& cpu, Line& line, u64 at, usize bytes, u64 value);
  void obtain(Cpu& cpu, Line& line, LineAccess access);
  void prefetch_adjacent(Cpu& cpu, u64 at, Time complete);

  const std::span<Cpu> cpus_;
  Directory& directory_;
  LineQueues& queues_;
  StoreBuffers& stores_;
  SpinParking& spinning_;
  Scheduler& scheduler_;
  Accounting& accounting_;
  Interconnect interconnect_;
  const Residency residency_;
  // Copies of the machine's, at hand for every access.
  const std::array<Time, kinds> hit_;
  const bool prefetch_pairs_;
};

// The line goes on after the directory's response.
Time Coherence::read_clean(Cpu& cpu, Line& line, DirectoryEntry& entry, LineAccess access,
                           Time now) {
  const u64 mask = access.mask();
  const Distance distance = directory_.nearest_copy(cpu, entry);
  const Interconnect::Timing timing = interconnect_.copy_clean(cpu, access.at, distance, now);
  accounting_.count_transfer(
      line, access, distance,
      (line.used & mask) != 0 ? Reason::true_sharing : Reason::false_sharing);
  Residency::take_in(cpu);
  entry.read |= mask;
  line.busy_until = timing.released;
  if (prefetch_pairs_) prefetch_adjacent(cpu, access.at, timing.complete);
  entry.add(cpu.index, cpu.place);
  return timing.complete;
}

}  // namespace faultline::sim
