#include "workloads/trace_builder.hpp"

#include <linux/mman.h>

#include <algorithm>

#include "workloads/trace_areas.hpp"

namespace faultline {
namespace {

// The recording system's flags. They have the same values on x86-64 and aarch64.
constexpr u64 recorded_prot_write = 2;
constexpr u64 recorded_shared = MAP_SHARED;
constexpr u64 recorded_fixed = 0x10 | MAP_FIXED_NOREPLACE;
constexpr u64 recorded_anonymous = 0x20;
constexpr u64 recorded_growsdown = 0x100;
constexpr u64 advice_dontneed = 4;
constexpr u64 preamble_gap = u64{1} << 20;

// x86-64 cannot write or execute a page without reading it.
u32 to_prot(u64 recorded) {
  return recorded == 0 ? prot_none
                       : prot_read | ((recorded & recorded_prot_write) != 0 ? prot_write : 0);
}

u32 to_flags(u64 recorded) {
  return ((recorded & recorded_shared) != 0 ? map_shared : 0) |
         ((recorded & recorded_anonymous) != 0 ? 0 : map_file) |
         ((recorded & recorded_fixed) != 0 ? map_fixed : 0) |
         ((recorded & recorded_growsdown) != 0 ? map_growsdown : 0);
}

bool failed(const RecordedCall& call) {
  if (call.call == TraceCall::brk)
    return call.arguments[0] != 0 && call.result != call.arguments[0];
  return static_cast<i64>(call.result) < 0 && static_cast<i64>(call.result) >= -4095;
}

bool in_user_space(Range range) {
  return range.start >= lowest_address && range.start < range.end &&
         range.end <= address_space_end && range.start % page_size == 0;
}

// Plays the recording once. Given a preamble, it writes the operations. Without one it only finds
// what the preamble must hold: the pages that the program uses though nothing is known of them.
class Player {
 public:
  Player(const RecordedProcess& process, Trace& trace) : process_(process), trace_(trace) {}

  // The pages that the program uses before a recorded call maps them.
  std::vector<Range> found() && { return std::move(found_); }
  // All pages that recorded calls mapped, at any time.
  const TraceAreas& made() const { return made_; }

  void discover() {
    discovers_ = true;
    play();
  }
  void write() {
    for (const TraceMapping& mapping : trace_.preamble)
      areas_.set(mapping.range, true, mapping.prot, mapping.flags);
    play();
    trace_.heap = heap_;
  }

 private:
  using Kind = TraceKind;
  // The effects of a call so far.
  struct Outcome {
    usize operations = 0;
    const char* reason = "call that changed nothing";
    TraceArea moved{};  // of mremap, between its begin and its end
  };

  void play() {
    outcomes_.assign(process_.calls.size(), {});
    for (const RecordedStep& step : process_.steps) {
      tid_ = step.tid;
      if (step.kind == RecordedStep::Kind::fault)
        fault(step);
      else
        call(step);
    }
  }

  void fault(const RecordedStep& step) {
    const Range page{page_floor(step.address), page_floor(step.address) + page_size};
    if (!in_user_space(page)) return unused("fault outside the addresses of user space", 1);
    if (discovers_) require(page);
    const TraceArea* area = areas_.find(page.start);
    if (area == nullptr || !area->mapped) return unused("fault where nothing is mapped", 1);
    if ((area->prot & (step.write ? prot_write : prot_read)) == 0)
      return unused("fault against the protection", 1);
    emit({step.write ? Kind::write_fault : Kind::read_fault, 0, 0, 0, step.address, 0});
    if (!discovers_) ++trace_.used_lines;
  }

  void call(const RecordedStep& step) {
    const RecordedCall& call = process_.calls[step.call];
    const bool begins = step.kind == RecordedStep::Kind::begin;
    if (!call.complete) return unused("enter without exit", 1);
    outcome_ = &outcomes_[step.call];
    if (failed(call))
      outcome_->reason = "failed call";
    else
      dispatch(call, begins);
    if (begins || discovers_) return;
    if (outcome_->operations != 0)
      trace_.used_lines += 2;
    else
      unused(outcome_->reason, 2);
  }

  void dispatch(const RecordedCall& call, bool begins) {
    const auto& arguments = call.arguments;
    switch (call.call) {
      case TraceCall::mmap:
        if (!begins)
          map({call.result, call.result + page_ceil(arguments[1])}, to_prot(arguments[2]),
              to_flags(arguments[3]));
        break;
      case TraceCall::munmap:
        if (begins) unmap({arguments[0], arguments[0] + page_ceil(arguments[1])});
        break;
      case TraceCall::mprotect:
        if (!begins)
          protect({arguments[0], arguments[0] + page_ceil(arguments[1])}, to_prot(arguments[2]));
        break;
      case TraceCall::madvise:
        if (!begins) advise({arguments[0], arguments[0] + page_ceil(arguments[1])}, arguments[2]);
        break;
      case TraceCall::brk:
        move_break(call, begins);
        break;
      case TraceCall::mremap:
        remap(call, begins);
        break;
    }
  }

  void map(Range range, u32 prot, u32 flags) {
    if (!in_user_space(range)) return reject("call outside the addresses of user space");
    // A recording that lost events may show a map of a range that is still mapped.
    if (areas_.any_mapped(range)) flags |= map_fixed;
    areas_.set(range, true, prot, flags & ~map_fixed);
    if (discovers_) made_.set(range, true, 0, 0);
    call_emits({Kind::map, 0, prot, flags, range.start, range.length()});
  }

  void unmap(Range range) {
    if (!in_user_space(range)) return reject("call outside the addresses of user space");
    areas_.set(range, false, 0, 0);
    call_emits({Kind::unmap, 0, 0, 0, range.start, range.length()});
  }

  void protect(Range range, u32 prot) {
    if (!in_user_space(range)) return reject("call outside the addresses of user space");
    if (discovers_) require(range);
    if (!areas_.covers(range)) return reject("call on a range that is not mapped");
    areas_.protect(range, prot);
    call_emits({Kind::protect, 0, prot, 0, range.start, range.length()});
  }

  void advise(Range range, u64 advice) {
    if (advice != advice_dontneed) return reject("madvise other than MADV_DONTNEED");
    if (!in_user_space(range)) return reject("call outside the addresses of user space");
    if (discovers_) require(range);
    if (!areas_.covers(range)) return reject("call on a range that is not mapped");
    call_emits({Kind::discard, 0, 0, 0, range.start, range.length()});
  }

  // Lowering the break takes effect at the call's begin, raising it at the end.
  void move_break(const RecordedCall& call, bool begins) {
    const u64 fresh = page_ceil(call.result);
    if (break_ == 0 && (call.arguments[0] == 0 || !begins)) {
      if (call.arguments[0] != 0) reject("brk before the break is known");
      heap_ = {fresh, fresh};
      break_ = fresh;
      return;
    }
    if (break_ == 0 || fresh == break_) return;
    const bool grows = fresh > break_;
    const Range range{std::min(fresh, break_), std::max(fresh, break_)};
    if (grows == begins) return;
    if (!in_user_space(range) || range.start < heap_.start)
      return reject("call outside the addresses of user space");
    break_ = fresh;
    heap_.end = std::max(heap_.end, fresh);
    areas_.set(range, grows, grows ? prot_read | prot_write : 0, 0);
    if (discovers_ && grows) made_.set(range, true, 0, 0);
    call_emits({grows ? Kind::grow : Kind::shrink, 0, prot_read | prot_write, 0, range.start,
                range.length()});
  }

  // An mremap that moves is an unmap of the old range at the begin and a map of the new range at
  // the end. An mremap in place unmaps or maps the tail. The pages that mremap moves along are
  // dropped, since no fault of the recording needs them.
  void remap(const RecordedCall& call, bool begins) {
    const u64 to = call.result;
    const Range old{call.arguments[0], call.arguments[0] + page_ceil(call.arguments[1])};
    const Range fresh{to, to + page_ceil(call.arguments[2])};
    const bool moves = to != old.start;
    const bool keeps_old = old.length() == 0 || (call.arguments[3] & u64{MREMAP_DONTUNMAP}) != 0;
    if (begins) {
      const Range first{old.start, old.start + page_size};
      if (discovers_ && in_user_space(first)) require(old.length() == 0 ? first : old);
      if (const TraceArea* area = areas_.find(old.start)) outcome_->moved = *area;
      if (!outcome_->moved.mapped) return reject("call on a range that is not mapped");
      if (moves && !keeps_old) unmap(old);
      if (!moves && fresh.end < old.end) unmap({fresh.end, old.end});
      return;
    }
    const TraceArea& moved = outcome_->moved;
    if (!moved.mapped) return;
    const u32 fixed = (call.arguments[3] & u64{MREMAP_FIXED}) != 0 ? map_fixed : 0;
    if (moves) map(fresh, moved.prot, moved.flags | fixed);
    if (!moves && fresh.end > old.end) map({old.end, fresh.end}, moved.prot, moved.flags);
  }

  // While discovering: the program used `range`, so the parts that nothing is known of were mapped
  // from the start.
  void require(Range range) {
    for (const Range& part : areas_.unknown(range)) {
      found_.push_back(part);
      areas_.set(part, true, prot_read | prot_write, 0);
    }
  }

  void reject(const char* reason) { outcome_->reason = reason; }

  void call_emits(TraceOperation operation) {
    ++outcome_->operations;
    emit(operation);
  }

  void emit(TraceOperation operation) {
    if (discovers_) return;
    const auto [entry, fresh] = thread_of_.try_emplace(tid_, trace_.threads.size());
    if (fresh) trace_.threads.push_back(tid_);
    operation.thread = static_cast<u32>(entry->second);
    trace_.operations.push_back(operation);
  }

  void unused(const char* reason, u64 lines) {
    if (!discovers_) trace_.unused[reason] += lines;
  }

  const RecordedProcess& process_;
  Trace& trace_;
  bool discovers_ = false;
  u32 tid_ = 0;
  TraceAreas areas_;
  TraceAreas made_;
  std::vector<Range> found_;
  std::vector<Outcome> outcomes_;
  Outcome* outcome_ = nullptr;
  std::map<u32, usize> thread_of_;
  u64 break_ = 0;  // 0: not known yet
  Range heap_;
};

// Joins ranges that lie close together, unless recorded calls mapped something in between.
std::vector<TraceMapping> to_preamble(std::vector<Range> found, const TraceAreas& made) {
  std::sort(found.begin(), found.end(),
            [](const Range& a, const Range& b) { return a.start < b.start; });
  std::vector<TraceMapping> preamble;
  for (const Range& range : found) {
    if (!preamble.empty()) {
      Range& last = preamble.back().range;
      const bool close = range.start - last.end < preamble_gap;
      if (close && (range.start == last.end || !made.any_mapped({last.end, range.start}))) {
        last.end = std::max(last.end, range.end);
        continue;
      }
    }
    preamble.push_back({range, prot_read | prot_write, 0});
  }
  return preamble;
}

// Whether all operations within the heap are moves of the break.
bool heap_is_the_breaks(const Trace& trace) {
  for (const TraceMapping& mapping : trace.preamble)
    if (mapping.range.overlaps(trace.heap)) return false;
  for (const TraceOperation& operation : trace.operations) {
    const Range range = operation.range();
    if (operation.moves_break() || !range.overlaps(trace.heap)) continue;
    const bool layout = operation.kind == TraceKind::map || operation.kind == TraceKind::unmap;
    if (layout || range.start < trace.heap.start || range.end > trace.heap.end) return false;
  }
  return true;
}

void replace_break_moves(Trace& trace) {
  for (TraceOperation& operation : trace.operations) {
    if (!operation.moves_break()) continue;
    const bool grows = operation.kind == TraceKind::grow;
    operation.kind = grows ? TraceKind::map : TraceKind::unmap;
    operation.flags = grows ? map_fixed : 0;
  }
  trace.heap = {};
}

}  // namespace

void build_trace(const RecordedProcess& process, Trace& trace) {
  Player discoverer(process, trace);
  discoverer.discover();
  const TraceAreas made = discoverer.made();
  trace.preamble = to_preamble(std::move(discoverer).found(), made);
  Player(process, trace).write();
  if (trace.heap.length() == 0 || !heap_is_the_breaks(trace)) replace_break_moves(trace);
}

}  // namespace faultline
