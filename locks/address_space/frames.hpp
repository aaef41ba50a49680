// Page frames. Each thread keeps a list of free frames on its own node; each node has a pool behind
// these lists.
//
// A frame has a reference count (the kernel's folio reference): 1 for the page table that maps it,
// 1 for every pin of `walk`. It goes back to a pool when the count falls to 0. A pin fails if the
// count is 0. After a pin that succeeds the pinner reads the page-table entry again, as
// get_user_pages_fast does against munmap. A thread puts a freed frame on its own list if the frame
// belongs to that thread's node, else into the pool of the frame's node. A list that has outgrown
// its first size gives batches to its node's pool.
//
// With a delay the page table's reference to a frame outlives the shootdown for that time, as in
// RadixVM, whose Refcache frees a page two epochs after the tick that follows its last use. So a
// thread gets back all frames of an epoch at once, and uses far more of them than with the list
// alone, which hands out the frame that was freed last.
//
// Oracle: a frame is `stale` from the moment its entry is cleared until whoever shoots down says
// that the shootdown has returned, and must not be taken meanwhile. This checks the order of
// clearing, shootdown and reuse, and no more. So natively the oracle misses a shootdown that leaves
// out a CPU which has used the page, and a shootdown that comes too late for an entry that was only
// restricted. A platform that judges what CPUs keep (translation.hpp) is told whose each frame is.
// There each frame also has a word of content, the page that it belongs to, which a walk reads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "locks/address_space/interface.hpp"
#include "locks/address_space/translation.hpp"
#include "locks/address_space/violations.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/per_thread.hpp"
#include "locks/pool.hpp"
#include "locks/types.hpp"

namespace faultline {

// The thread that owns the slice, and the index in the slice plus one. 0 means no frame.
using FrameNumber = u32;
inline constexpr FrameNumber no_frame = 0;

template <class P>
class Frames {
 public:
  static constexpr u32 index_bits = 21;  // at most 8 GiB of frames per thread
  static constexpr u64 max_per_thread = (u64{1} << index_bits) - 1;
  static constexpr u32 max_nodes = 64;

  // `delay`: AddressSpaceOptions::frame_delay. `backed`: each frame has 4 KiB of memory, so
  // that clearing a page is real. `oracle`: the frames check each use
  // (AddressSpaceOptions::oracle).
  Frames(u64 per_thread, AddressSpaceOptions::FrameDelay delay, bool backed, bool oracle,
         Layout layout, Violations<P>& violations)
      : per_thread_(std::min(per_thread + delay.most, max_per_thread)),
        delay_(delay),
        backed_(backed),
        oracle_(oracle),
        distance_(layout == Layout::packed ? sizeof(Frame) : frame_lines * line_size),
        violations_(violations) {}

  // Makes the calling thread's slice, on its node. Each thread calls this once, before its first
  // take().
  void enter() {
    Slice& slice = slices_.here();
    if (slice.frames != nullptr) return;
    slice.node = P::node() % max_nodes;
    slice.frames = static_cast<std::byte*>(P::allocate(per_thread_ * distance_, cache_line));
    if (backed_)
      slice.memory = static_cast<std::byte*>(P::allocate(per_thread_ * page_size, page_size));
    const u32 self = P::self();
    // relaxed: another thread reaches this slice only through a frame's number, which it has from a
    // page-table entry or from under a pool's lock; those order this store before.
    owners_[self].store(&slice, std::memory_order_relaxed);
    for (u64 i = per_thread_; i-- > 0;) {
      new (slice.frames + i * distance_) Frame();
      push(slice.list, (self << index_bits) | static_cast<u32>(i + 1));
    }
  }

  // Answers a frame with a count of 1, or no_frame when every pool is empty.
  FrameNumber take() {
    Slice& slice = slices_.here();
    if (slice.list.count == 0 && !replenish(slice)) return no_frame;
    const FrameNumber number = pop(slice.list);
    Frame& frame = frame_of(number);
    if (oracle_) check_free(frame);
    // release: pairs with the acquire in pin(). A pinner that sees the new use also sees that the
    // old use's entry was cleared. A pinner that does not see it finds the old entry, as if it had
    // looked before the clearing.
    // weakened release survives, release_sequence: in the programs the thread that takes a frame
    // again has also dropped its last reference.
    frame.count.store(1, std::memory_order_release);
    return number;
  }

  // The frame, which the caller has taken, belongs to the page at `address` from now on.
  void assign(FrameNumber number, u64 address) {
    if constexpr (JudgesTlb<P>) {
      frame_of(number).content.page.store(address / page_size);
      P::tlb::give(this, number, address / page_size);
    }
  }
  // A walk reads the frame, which it has pinned, as that of the page at `address`.
  void read(FrameNumber number, u64 address) {
    if constexpr (JudgesTlb<P>)
      if (oracle_ && frame_of(number).content.page.load() != address / page_size)
        violations_.note("a walk read the frame of another page");
  }

  void* memory(FrameNumber number) {
    const Slice& slice = slice_of(number);
    return slice.memory == nullptr ? nullptr
                                   : slice.memory + static_cast<u64>(index_of(number)) * page_size;
  }

  // Reads or writes the first word of the frame's memory, if it has any. So the line moves to this
  // CPU, as in a program whose threads access the same page. The memory is zeroed, and no Word is
  // made in it before, since a simulation would then hold the memory of all frames. `word`, if not
  // null, is what a write stores, and gets what a read finds. relaxed: whoever uses the content is
  // the page's only user.
  void access(FrameNumber number, Access access, u64* word) {
    void* start = memory(number);
    if (start == nullptr) return;
    Word& content = *std::launder(static_cast<Word*>(start));
    P::label(&content, "page");
    if (access == Access::write)
      content.store(word == nullptr ? 0 : *word, std::memory_order_relaxed);
    else if (const u64 found = content.load(std::memory_order_relaxed); word != nullptr)
      *word = found;
  }

  // A chain of the frames whose entries were cleared, kept until the shootdown has returned:
  // mmu_gather in the kernel.
  class Gathered {
   public:
    bool empty() const { return head_ == no_frame; }

   private:
    friend class Frames;
    FrameNumber head_ = no_frame;
    u64 count_ = 0;
  };

  void gather(Gathered& gathered, FrameNumber number) {
    Frame& frame = frame_of(number);
    // relaxed: the pool passes this store on to take() together with the frame.
    if (oracle_) frame.stale.store(1, std::memory_order_relaxed);
    frame.next.store(gathered.head_);
    gathered.head_ = number;
    ++gathered.count_;
  }

  // The caller's shootdown of these frames has returned.
  void note_flushed(const Gathered& gathered) {
    if (!oracle_) return;
    for (FrameNumber number = gathered.head_; number != no_frame;
         number = frame_of(number).next.load())
      // relaxed: see gather().
      frame_of(number).stale.store(0, std::memory_order_relaxed);
  }

  // Drops the page table's reference to each frame, now or after the delay. The shootdown has
  // returned.
  void release(Gathered& gathered) {
    const FrameNumber head = std::exchange(gathered.head_, no_frame);
    const u64 count = std::exchange(gathered.count_, 0);
    if (delay_.ns == 0) return drop(head);
    Slice& slice = slices_.here();
    const u64 now = P::now();
    Delayed* chain = delayed_.take();
    *chain = {next_tick(now) + delay_.ns, head, count};
    (slice.oldest == nullptr ? slice.oldest : slice.newest->next) = chain;
    slice.newest = chain;
    slice.delayed += count;
    drop_due(slice, now);
    while (slice.delayed > delay_.most) drop_oldest(slice);
  }

  // Adds 1 to the frame's count unless the frame is free. The caller must then check again the
  // entry that led to the frame.
  bool pin(FrameNumber number) {
    auto& count = frame_of(number).count;
    u32 seen = count.load(std::memory_order_relaxed);  // relaxed: the exchange below decides
    while (seen != 0)
      // acquire: pairs with the release in take() and in unpin().
      if (count.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return true;
    return false;
  }

  void unpin(FrameNumber number) {
    // acq_rel: the thread that drops the last reference sees all uses of the frame (release by the
    // others) before it hands the frame on.
    if (frame_of(number).count.fetch_sub(1, std::memory_order_acq_rel) == 1) put_back(number);
  }

  // With all threads at rest.
  u64 total() const {
    u64 frames = 0;
    slices_.for_each(
        [&](u32, const Slice& slice) { frames += slice.frames == nullptr ? 0 : per_thread_; });
    return frames;
  }
  u64 free() const {
    u64 frames = 0;
    slices_.for_each([&](u32, const Slice& slice) { frames += slice.list.count; });
    for (const NodePool& pool : pools_) frames += pool.list.count;
    return frames + count_delayed();
  }

 private:
  struct NoContent {};
  struct Content {
    typename P::template data<u64> page;
  };
  // linux-6.18: each frame begins a line, as the kernel's struct page does, whose _refcount this
  // count stands for (64 bytes on x86-64, include/linux/mm_types.h). packed: the frames of a slice
  // lie side by side, so a line holds parts of up to seven, and threads that map and unmap
  // neighbouring frames of one slice share lines falsely.
  struct Frame {
    Frame() { P::label(this, "frame"); }
    typename P::template atomic<u32> count{0};
    typename P::template atomic<u32> stale{0};
    typename P::template data<u32> next;
    [[no_unique_address]] std::conditional_t<JudgesTlb<P>, Content, NoContent> content;
  };
  static_assert(!PlainCells<P> || sizeof(Frame) == 12);
  static constexpr usize frame_lines = (sizeof(Frame) + line_size - 1) / line_size;
  // The first word of a frame's memory.
  using Word = typename P::template atomic<u64>;
  struct List {
    FrameNumber head = no_frame;
    u64 count = 0;
  };
  // A chain of frames whose references are dropped at `due`, by P::now().
  struct Delayed {
    u64 due = 0;
    FrameNumber head = no_frame;
    u64 count = 0;
    Delayed* next = nullptr;
    Delayed* next_free = nullptr;
  };
  struct Slice {
    std::byte* frames = nullptr;
    std::byte* memory = nullptr;
    u32 node = 0;
    List list;
    // The delayed frames, in the order of their times. `newest` means nothing if there are none.
    Delayed* oldest = nullptr;
    Delayed* newest = nullptr;
    u64 delayed = 0;  // how many frames these are
  };
  // The lock shares a line with the list that it guards. In the kernel's struct zone the lock
  // (1672) lies on the line after the free lists (256 to 1663).
  struct alignas(cache_line) NodePool {
    NodePool() {
      if constexpr (PlainCells<P>)
        static_assert(line_of(offsetof(NodePool, list) + sizeof(list) - 1) == 0);
      P::label(this, "frames.pool");
    }
    Ticket<P> lock;
    List list;
  };
  static constexpr u64 batch = 32;

  static u32 index_of(FrameNumber number) { return (number & ((1U << index_bits) - 1)) - 1; }
  Slice& slice_of(FrameNumber number) {
    return *owners_[number >> index_bits].load(std::memory_order_relaxed);  // relaxed: see enter()
  }
  Frame& frame_of(FrameNumber number) {
    std::byte* frame = slice_of(number).frames + index_of(number) * distance_;
    return *std::launder(reinterpret_cast<Frame*>(frame));
  }

  // relaxed, both: this thread alone has the frame; the PTE lock or the pool's lock orders these
  // accesses when the frame is handed over.
  void check_free(const Frame& frame) {
    if (frame.stale.load(std::memory_order_relaxed) != 0)
      violations_.note("a frame was reused before its shootdown returned");
    if (frame.count.load(std::memory_order_relaxed) != 0)
      violations_.note("a frame in use was on a free list");
  }

  void push(List& list, FrameNumber number) {
    frame_of(number).next.store(list.head);
    list.head = number;
    ++list.count;
  }
  FrameNumber pop(List& list) {
    const FrameNumber number = list.head;
    list.head = frame_of(number).next.load();
    --list.count;
    return number;
  }
  void move(List& from, List& to, u64 n) {
    while (n-- > 0 && from.count != 0) push(to, pop(from));
  }

  // The ticks of the threads are spread evenly, however many threads there are (the golden ratio).
  u64 next_tick(u64 now) const {
    if (delay_.tick == 0) return now;
    const u64 phase = delay_.tick / 1000 * (P::self() * u64{618} % 1000);
    return now + delay_.tick - (now + phase) % delay_.tick;
  }

  void drop(FrameNumber head) {
    while (head != no_frame) {
      const FrameNumber number = head;
      head = frame_of(number).next.load();
      unpin(number);
    }
  }

  void drop_due(Slice& slice, u64 now) {
    while (slice.oldest != nullptr && slice.oldest->due <= now) drop_oldest(slice);
  }
  void drop_oldest(Slice& slice) {
    Delayed* chain = slice.oldest;
    slice.oldest = chain->next;
    slice.delayed -= chain->count;
    drop(chain->head);
    delayed_.give(chain);
  }

  // The frames that wait for their time. With all threads at rest.
  u64 count_delayed() const {
    u64 frames = 0;
    slices_.for_each([&](u32, const Slice& slice) { frames += slice.delayed; });
    return frames;
  }

  void put_back(FrameNumber number) {
    if constexpr (JudgesTlb<P>) P::tlb::take_back(this, number);
    Slice& own = slices_.here();
    const u32 home = slice_of(number).node;
    if (home != own.node) {
      locked(pools_[home], [&](List& list) { push(list, number); });
      return;
    }
    push(own.list, number);
    if (own.list.count > per_thread_ + batch)
      locked(pools_[home], [&](List& list) { move(own.list, list, batch); });
  }

  // The thread's list is empty. Where no frame is due and every pool is empty, the oldest delayed
  // frames come early.
  bool replenish(Slice& slice) {
    if (slice.oldest != nullptr) drop_due(slice, P::now());
    if (slice.list.count != 0 || refill(slice)) return true;
    while (slice.list.count == 0 && slice.oldest != nullptr) drop_oldest(slice);
    return slice.list.count != 0 || refill(slice);
  }

  // Takes frames from the pool of the thread's own node first, then from the pools of the other
  // nodes.
  bool refill(Slice& slice) {
    for (u32 i = 0; i < max_nodes && slice.list.count == 0; ++i)
      locked(pools_[(slice.node + i) % max_nodes],
             [&](List& list) { move(list, slice.list, batch); });
    return slice.list.count != 0;
  }

  template <class F>
  void locked(NodePool& pool, F&& edit) {
    typename Ticket<P>::Node node;
    pool.lock.lock(node);
    edit(pool.list);
    pool.lock.unlock(node);
  }

  const u64 per_thread_;
  const AddressSpaceOptions::FrameDelay delay_;
  const bool backed_;
  const bool oracle_;
  const usize distance_;  // bytes from one frame of a slice to the next
  Violations<P>& violations_;
  PerThread<P, Slice> slices_;
  Pool<P, Delayed> delayed_;
  typename P::template atomic<Slice*> owners_[P::max_threads] = {};
  NodePool pools_[max_nodes];
};

}  // namespace faultline
