// Turns a recorded program into the steps of each thread of a replay, and the steps that each must
// wait for.
//
// The replay keeps this order: if at least one of several operations on the same pages changes what
// is mapped there, or how, these operations happen as they were recorded. The same holds for all
// moves of the break. Hence no fault comes before the map that made its VMA, or after the unmap
// that ended it. All other operations run freely.
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
  bool awaited = false;  // another thread waits for this step
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
  // The ranges that this thread mapped last and the recording left mapped. The thread unmaps them
  // at the end of a round. Thread 0 has the preamble's ranges. The heap is not among them, since
  // the break goes back as a whole.
  std::vector<Range> leftovers;
};

struct ReplayPlan {
  std::vector<ReplayThread> threads;
  std::vector<TraceMapping> preamble;
  Range heap;
  // Upper bounds of what a thread takes in a round without giving it back.
  u64 frames_per_thread = 0;
  u64 vmas_per_thread = 0;
};

// Bytes of address space that relocate() needs for `trace`, without its heap.
u64 relocated_span(const Trace& trace);

// The same trace with its mappings moved to [base, base + span) and its heap to `heap`. `base` is 2
// MiB-aligned, `heap` page-aligned. Adjacent 2 MiB blocks stay adjacent, and every address keeps
// its offset in its block, so threads share page tables of the lowest level as recorded. Wider
// holes shrink to one block. Throws std::invalid_argument when `span` is too small.
Trace relocate(const Trace& trace, u64 base, u64 span, u64 heap);

// Folds the recorded threads onto `threads` threads: each, the busiest first, onto the least busy
// one. Recorded threads that share a thread keep their recorded order. Throws std::invalid_argument
// for 0 threads or for more than were recorded.
ReplayPlan plan_replay(const Trace& trace, u32 threads);

}  // namespace faultline
