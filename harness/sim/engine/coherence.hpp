// The caches: what an access costs its CPU, and how a line moves from one CPU to another.
//
// Order. When a second CPU has touched a line, an access to it happens only when its CPU's clock is
// the earliest of all. So all such accesses happen in one order, that of simulated time. A load
// that waits for its copy has its place in that order when the copy is sent, and a posted store
// when it gets its line. So values follow x86's TSO: a CPU's later loads may come before its
// store, and nothing else changes places. An access to a private line needs no such care and only
// advances the CPU's own clock. It does not wait for the CPU's posted stores, so the first other
// CPU that touches such a line may see its last store before older ones.
//
// A line makes one transfer after another. While one is under way (Line::busy_until), further
// requests queue (LineQueues).
#pragma once

#include <cstring>

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

  // Answers where the caller finds the value: in the line itself, or in the copy that the CPU was
  // sent, which a write may have overtaken on its way.
  const void* before_load(Cpu& cpu, const void* address, usize bytes) {
    ++cpu.accesses;
    const u64 at = Arena::place_of(address);
    Line& line = directory_.line_at(at);
    cpu.note_read(at);
    if (!stays_private(cpu, line))
      return load_shared(cpu, line, at, bytes) ? cpu.copy + at % sizeof(cpu.copy) : address;
    refill_if_dropped(cpu, line, at);
    line.used |= byte_mask(at, bytes);
    cpu.clock += hit_[static_cast<usize>(Kind::load)];
    return address;
  }
  // Called before the caller writes the value. False: the store has been posted, and the caller
  // does not write.
  bool before_store(Cpu& cpu, void* address, usize bytes, u64 value) {
    begin_access(cpu);
    cpu.note_write();
    const u64 at = Arena::place_of(address);
    Line& line = directory_.line_at(at);
    // TSO: a store to a private line also comes after the CPU's older stores.
    if (!Directory::is_private(cpu, line) || StoreBuffers::has_waiting(cpu))
      return store_shared(cpu, line, at, bytes, value);
    write_hit(cpu, line, at, byte_mask(at, bytes));
    cpu.clock += hit_[static_cast<usize>(Kind::store)];
    return true;
  }
  // Called before the caller reads and writes the value in one step, and after it.
  void before_rmw(Cpu& cpu, const void* address, usize bytes);
  void after_rmw(Cpu& cpu) {
    if (cpu.releases_queue != 0) pass_on(cpu);
  }
  // A load that the CPU's own store buffer serves. False: the buffer has no store for it.
  bool forward(Cpu& cpu, const void* address, u64& value) {
    const u64 at = Arena::offset(address);
    if (!stores_.forward(cpu, at, value)) return false;
    begin_access(cpu);
    cpu.cannot_park = true;  // the store is not visible yet, so a spin on it must not stop time
    cpu.clock += hit_[static_cast<usize>(Kind::load)];
    return true;
  }
  // Called before an object is made at arena offset `at`. A waiting store to the memory's former
  // object must not come later.
  void before_construction(Cpu& cpu, u64 at) {
    if (StoreBuffers::may_hold(cpu, at)) [[unlikely]]
      stores_.drain(cpu);
  }
  // Asks for the line for writing. The CPU goes on, and waits for the line only when it accesses
  // it. A CPU has one such request under way at most, and drops others meanwhile.
  void prefetch_write(Cpu& cpu, const void* address);
  // An RMW by a handler on the CPU. It costs the CPU's thread no time.
  void move_to_handler(Cpu& cpu, const void* address);
  // A store from outside every CPU.
  void outside_store(const void* address);

  // Both start a transfer of the line to the CPU, which asked for it at `asked`. The line's state,
  // sharers and counts change at once. Both answer the time at which the CPU has the line.
  // lone_transfer(): the line is free. queued_transfer(): other CPUs had the line until `start`.
  Time lone_transfer(Cpu& cpu, Line& line, LineAccess access, Time asked);
  Time queued_transfer(Cpu& cpu, Line& line, LineAccess access, Time asked, Time start);
  // Gives the CPU a copy that a cache with the line sends at `sent`. Answers the time at which the
  // CPU has the copy.
  Time give_copy(Cpu& cpu, Line& line, LineAccess access, Time asked, Time sent);
  // The same where several caches have the line, and one of them is in the CPU's cluster.
  [[gnu::always_inline]] inline Time give_cluster_copy(Cpu& cpu, Line& line, LineAccess access,
                                                       Time asked, Time sent);
  // Like give_copy(), for a copy that a cache of the CPU's own cluster sends while a writer takes
  // the line away. The CPU reads the copy once and does not keep it.
  Time give_passing_copy(Cpu& cpu, const Line& line, LineAccess access, Time asked, Time sent);
  // How long the owner still uses the line after the transfer to a queued load or RMW has begun
  // (contention.queued_residency): the snoop has not arrived yet. So a CAS loop can repeat a failed
  // exchange at once. A queued store takes the line away at once, as a lone store does.
  Time kept_by_owner(const Cpu& cpu, const Line& line, LineAccess access) const;
  // How long the line is busy with a copy for a CPU of that cluster. The home sends it if the
  // cluster has none. Otherwise the cluster does. Its first copy after a write is a transfer from
  // the owner.
  Time copy_interval(u32 cluster, const Line& line) const {
    if (!directory_.cluster_has_copy(cluster, line)) return home_copy_;
    return Directory::has_copies(line) ? cluster_copy_ : owner_copy_;
  }
  // When a request made at `asked` has travelled so far that it can be served without a wait for
  // its way.
  Time arrival(const Cpu& cpu, const Line& line, LineAccess access, Time asked) const {
    if (!interconnect_.hides_ways()) return asked;
    const Directory::Source source = directory_.source_for(cpu, line, access);
    return asked +
           interconnect_.way(interconnect_.latency(access.kind, source.state, source.distance),
                             source.distance);
  }

 private:
  void begin_access(Cpu& cpu) {
    ++cpu.accesses;
    scheduler_.bound_lookahead(cpu);
  }
  // Bounds the lookahead of a load of a private line. False: the line is not private, or another
  // CPU has asked for it meanwhile. Then the load takes a turn, which is a stricter bound.
  bool stays_private(Cpu& cpu, const Line& line) {
    if (!Directory::is_private(cpu, line)) return false;
    scheduler_.bound_lookahead(cpu);
    return Directory::is_private(cpu, line);
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
  // The five functions answer whether the value is that of Cpu::copy. load_shared() calls the rare
  // paths in its last step only, so the compiler saves no registers on the frequent path.
  bool load_shared(Cpu& cpu, Line& line, u64 at, usize bytes);
  [[gnu::noinline]] bool load_after_wait(Cpu& cpu, Line& line, u64 at, usize bytes);
  bool load_in_turn(Cpu& cpu, Line& line, u64 at, usize bytes);
  [[gnu::noinline]] bool load_missing(Cpu& cpu, Line& line, u64 at, usize bytes);
  [[gnu::noinline]] bool load_owned(Cpu& cpu, Line& line, u64 at, usize bytes);
  bool store_shared(Cpu& cpu, Line& line, u64 at, usize bytes, u64 value);
  void obtain(Cpu& cpu, Line& line, LineAccess access);
  bool is_taken(const Line& line, Time now) const {
    return line.busy_until > now || queues_.is_queued(line);
  }
  void pass_on(Cpu& cpu);
  static bool awaits_prefetch(const Cpu& cpu, u64 at) {
    return cpu.prefetched > cpu.clock &&
           cpu.prefetched_at / Arena::line_bytes == at / Arena::line_bytes;
  }
  void await_prefetch(Cpu& cpu, const Line& line, u64 at) {
    if (awaits_prefetch(cpu, at)) [[unlikely]]
      stall_for_prefetch(cpu, line, at);
  }
  void stall_for_prefetch(Cpu& cpu, const Line& line, u64 at);
  void leave_to_owner(Cpu& cpu, const Line& line, LineAccess access);
  Time give_first_copy(Cpu& cpu, Line& line, LineAccess access, Time asked, Time sent);
  static void take_copy(Cpu& cpu, LineAccess access) {
    const u64 word = access.at - access.at % sizeof(cpu.copy);
    std::memcpy(cpu.copy, reinterpret_cast<const void*>(Arena::base + word), sizeof(cpu.copy));
    cpu.has_copy = true;
  }
  void count_copy(const Line& line, LineAccess access, Distance distance) {
    const bool is_true = (line.used & access.mask()) != 0;
    accounting_.count_transfer(line, access, distance,
                               is_true ? Reason::true_sharing : Reason::false_sharing);
  }
  void change_state(Cpu& cpu, Line& line, LineAccess access, Time complete);
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
  // Copies of the machine's values, at hand for every access.
  const std::array<Time, kinds> hit_;
  const bool prefetch_pairs_;
  const u32 residency_share_;
  const u32 queued_share_;
  const Time cluster_copy_, home_copy_, owner_copy_;
};

Time Coherence::give_cluster_copy(Cpu& cpu, Line& line, LineAccess access, Time asked, Time sent) {
  const Time complete = interconnect_.copied(cpu, access, line.state, same_cluster, asked, sent);
  take_copy(cpu, access);
  count_copy(line, access, same_cluster);
  DirectoryEntry& entry = directory_.entry(line);
  entry.read |= access.mask();
  entry.add(cpu.index);
  Residency::take_in(cpu);
  if (prefetch_pairs_) [[unlikely]]
    prefetch_adjacent(cpu, access.at, complete);
  return complete;
}

}  // namespace faultline::sim
