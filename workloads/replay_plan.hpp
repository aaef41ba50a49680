// From a recorded program to what each thread of a replay does, and what it must wait for.
//
// The order that is kept: operations on the same pages of which at least one changes what is mapped
// there, or how, happen as they were recorded; so do all moves of the break. Hence no fault before
// the map that made its VMA, and none after the unmap that ended it. Everything else runs freely.
#pragma once

#include <vector>

#include "workloads/trace.hpp"

namespace faultline {

// At least `steps` steps of `thread` must be complete.
struct ReplayNeed {
  u32 thread = 0;
  u32 steps = 0;
};

struct ReplayStep {
  TraceKind kind = TraceKind::read_fault;
  bool awaited = false;  // another thread needs that this step is complete
  u32 prot = 0;
  u32 flags = 0;
  u64 address = 0;
  u64 length = 0;
  u32 needs_begin = 0;  // indices into ReplayThread::needs, half-open
  u32 needs_end = 0;
};

struct ReplayThread {
  std::vector<ReplayStep> steps;
  std::vector<ReplayNeed> needs;
  // What this thread mapped last and the recording left mapped: it unmaps these at a round's end.
  // The preamble is thread 0's. The heap is not among them: the break goes back whole.
  std::vector<Range> leftovers;
};

struct ReplayPlan {
  std::vector<ReplayThread> threads;
  std::vector<TraceMapping> preamble;
  Range heap;
  // Upper bounds of what any one thread takes in a round without giving back.
  u64 frames_per_thread = 0;
  u64 vmas_per_thread = 0;
};

// Bytes of address space that relocate() needs for `trace`, its heap left out.
u64 relocated_span(const Trace& trace);

// The same trace with its mappings moved to [base, base + span) and its heap to `heap`; `base` is
// 2 MiB-aligned, `heap` page-aligned. What lies in adjacent 2 MiB blocks stays adjacent, every
// address keeps its offset in its block, so page tables of one level are shared as recorded; wider
// holes shrink to one block. Throws std::invalid_argument when `span` is too small.
Trace relocate(const Trace& trace, u64 base, u64 span, u64 heap);

// Folds the recorded threads onto `threads`, busiest first onto the least busy one; those that
// share a thread keep their recorded order. Throws std::invalid_argument for 0 threads or for more
// than were recorded.
ReplayPlan plan_replay(const Trace& trace, u32 threads);

}  // namespace faultline
