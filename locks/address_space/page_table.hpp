// The page table: four levels of 512 entries, as on x86-64, with one lock per page of the lowest
// level (Linux's split PTE locks, mm/memory.c). Upper entries are installed by compare-and-swap and
// never removed: the tables live as long as their address space. Linux frees empty tables at
// munmap; the results here do not contain the cost of that.
//
// A scheme whose own locks exclude other threads for a page needs no lock of the table page
// (`caller_excludes`): then the threads that fault on a page, zap or restrict it hold a lock of
// that page, which orders their accesses to its entry. Different entries of a table page share
// nothing but lines.
//
// An entry is one word: the frame, what the entry permits, and for the `precise` shootdown policy
// the CPUs that have used it. An entry with one user names that CPU itself. When a second CPU uses
// the page, the entry is marked `many`, and the CPUs are recorded in a set: a set of the table page
// under its lock (UsersOfTable), else a set of the page itself (UsersOfPages).
//
// With one table per CPU (RadixVM: Clements, Kaashoek, Zeldovich, EuroSys 2013) this table is the
// record of what is mapped and which CPUs have used it. Each CPU also has its own table, which its
// hardware would walk. So a page that other CPUs have used already still costs this CPU a fault. An
// entry of a CPU's own table changes only where the record's entry may: under the lock of the
// record's table page, or of the page. A CPU clears its own entries in the interrupt of the
// shootdown, as in sv6 (kernel/hwvm.cc, mmu_per_core_page_table): it has their lines, and the
// sender does not fetch them.
#pragma once

#include <functional>
#include <type_traits>
#include <vector>

#include "locks/address_space/frames.hpp"
#include "locks/address_space/interface.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/mutex/section.hpp"
#include "locks/pool.hpp"

namespace faultline {

// A page-table entry by value. 0 is an empty entry.
struct Pte {
  u64 word = 0;

  static constexpr u64 readable_bit = 1, writable_bit = 2, many_bit = 4;
  static constexpr u32 frame_shift = 12, user_shift = 44;

  static Pte make(FrameNumber frame, u32 prot) {
    return Pte{static_cast<u64>(frame) << frame_shift}.with_prot(prot);
  }
  bool present() const { return frame() != no_frame; }
  FrameNumber frame() const { return static_cast<FrameNumber>(word >> frame_shift); }
  u32 prot() const {
    return ((word & readable_bit) != 0 ? prot_read : 0) |
           ((word & writable_bit) != 0 ? prot_write : 0);
  }
  bool permits(Access access) const {
    return (word & (access == Access::write ? writable_bit : readable_bit)) != 0;
  }
  Pte with_prot(u32 prot) const {
    return {(word & ~(readable_bit | writable_bit)) | (prot != prot_none ? readable_bit : 0) |
            ((prot & prot_write) != 0 ? writable_bit : 0)};
  }
  bool many() const { return (word & many_bit) != 0; }
  // The only CPU that has used the entry, plus one. 0 means that no CPU has.
  u32 user() const { return static_cast<u32>(word >> user_shift); }
  Pte with_user(u32 cpu) const { return {word | static_cast<u64>(cpu + 1) << user_shift}; }
  Pte with_many() const { return {word | many_bit}; }
};

// The page that a fault maps where no page is mapped.
//   own     memory of the process's own, which the kernel allocates, accounts, and clears or copies
//   cached  a page of a file
//   zero    the page of zeros, which the kernel maps without allocating or accounting anything
//           (do_anonymous_page of mm/memory.c). The entry has a frame of its own here too, which
//           nothing clears.
enum class NewPage : int { own, cached, zero };

// The page of an access to a mapping of protection `prot`, of a file or of none. `own`:
// Vma::privately_written. The kernel maps the page of zeros at every first read of private
// anonymous memory, and copies it at the first write. Here a page that may be written is `own` from
// the first read on.
constexpr NewPage new_page(Access access, u32 prot, bool file, bool own) {
  if (access == Access::read && own && (prot & prot_write) == 0) return NewPage::zero;
  return own || !file ? NewPage::own : NewPage::cached;
}

// What became of a fault.
//   nomem          no frame is left
//   lacks_frame    the entry is empty, and the thread has brought no frame (only inside PageTable)
//   no_table       the page of the page table does not exist
//   table_locked   another thread holds the lock of that page
//   changed        the VMA has changed meanwhile
enum class FaultIn : int { done, nomem, lacks_frame, no_table, table_locked, changed };

// Who may take entries or rights of a range away at one time. `this_one`: the caller keeps all
// other threads from that, so it meets nobody whose shootdown it would have to wait for.
enum class Zappers : bool { others_too, this_one };

// log2 of a table's entries: x86-64's 9, unless the platform asks for smaller tables.
template <class P>
constexpr u32 table_level_bits() {
  if constexpr (requires { P::table_level_bits; })
    return P::table_level_bits;
  else
    return 9;
}

// Performs what the CPUs of a shootdown do in their interrupts. The platform charges the interrupts
// (P::shootdown). A platform that can tell the CPUs' accesses apart charges the sender nothing for
// these, and leaves the lines with the CPUs (P::in_interrupt). Elsewhere the sender performs them.
template <class P, class F>
void in_interrupt(F&& act) {
  if constexpr (requires { P::in_interrupt(act); })
    P::in_interrupt(act);
  else
    act();
}

// The CPUs that have used entries marked `many`, as one set for a whole table page, whose lock the
// caller holds. The set is emptied when the last of these entries is cleared. So a shootdown may
// reach users of another page in the same 2 MiB, but never misses a user.
template <class P, u32 entries>
class UsersOfTable {
 public:
  // Entry `at` is marked `many` from now on.
  void begin(u32) { many_.store(many_.load() + 1); }
  void add(u32, u32 cpu) {
    auto& word = words_[cpu / 64];
    // relaxed, here and below: under the table page's lock.
    const u64 old = word.load(std::memory_order_relaxed);
    word.store(old | u64{1} << (cpu % 64), std::memory_order_relaxed);
  }
  void collect(u32, CpuSet& users) const {
    for (u32 i = 0; i < max_cpus / 64; ++i)
      users.words[i] |= words_[i].load(std::memory_order_relaxed);
  }
  // The entry has been cleared.
  void end(u32) {
    many_.store(many_.load() - 1);
    if (many_.load() != 0) return;
    for (auto& word : words_) word.store(0, std::memory_order_relaxed);
  }

 private:
  typename P::template atomic<u64> words_[max_cpus / 64] = {};
  // The number of entries that are marked `many`.
  typename P::template data<u32> many_;
};

// The same as a set for each page, whose lock the caller holds. Neighbouring pages share no set, so
// their holders need not exclude one another, and a shootdown reaches the page's users alone. A
// page gets its set when a second CPU first uses it, and keeps it.
template <class P, u32 entries>
class UsersOfPages {
 public:
  void begin(u32 at) {
    if (sets_[at].load() != nullptr) return;
    void* memory = P::allocate(sizeof(Set), cache_line);
    sets_[at].store(new (memory) Set());
  }
  void add(u32 at, u32 cpu) {
    auto& word = sets_[at].load()->words[cpu / 64];
    word.store(word.load() | u64{1} << (cpu % 64));
  }
  void collect(u32 at, CpuSet& users) const {
    const Set& set = *sets_[at].load();
    for (u32 i = 0; i < max_cpus / 64; ++i) users.words[i] |= set.words[i].load();
  }
  void end(u32 at) {
    for (auto& word : sets_[at].load()->words)
      if (word.load() != 0) word.store(0);
  }

 private:
  struct alignas(cache_line) Set {
    Set() { P::label(this, "page.users"); }
    typename P::template data<u64> words[max_cpus / 64];
  };
  typename P::template data<Set*> sets_[entries];
};

// `caller_excludes`: of the threads that call fault_in(), zap() and restrict() for one page, one is
// in at a time. The lock that gives this orders each call before the next (release, acquire).
// `Spinlock`, a mutex (locks/mutex/concept.hpp), guards one page of the lowest level otherwise.
template <class P, bool caller_excludes = false, template <class> class Spinlock = Qspinlock>
class PageTable {
 public:
  static constexpr u32 level_bits = table_level_bits<P>();
  static constexpr u32 entries = 1U << level_bits;
  // Bytes that four levels map. Every fault lies below this address.
  static constexpr u64 reach = page_size << 4 * level_bits;
  static constexpr u64 table_span = page_size * entries;  // bytes that one PTE page maps: 2 MiB
  // Nanoseconds that the sender of a broadcast waits for the answer: a modelled cost, the same for
  // any number of CPUs.
  static constexpr u64 broadcast_ns = 500;

  PageTable(const AddressSpaceOptions& options, Violations<P>& violations)
      : options_(options),
        frames_(options.frames_per_thread, options.frame_delay, options.clear_pages, options.oracle,
                options.layout, violations) {
    P::label(&users_, "mm.cpumask");
    P::label(&flushes_pending_, "mm.tlb_flush_pending");
    if (options.page_table != page_table_per_cpu) return;
    void* memory = P::allocate(sizeof(OwnTables), cache_line);
    own_ = new (memory) OwnTables();
  }

  // Each thread calls this once, before its first operation.
  void enter() {
    frames_.enter();
    const u64 leaves = options_.frames_per_thread / entries + options_.tables_per_thread;
    leaves_.reserve(leaves);
    uppers_.reserve(own_ != nullptr ? 8 : 4);
    if (own_ != nullptr) {
      leaves_.reserve(leaves + 8);
      Upper* expected = nullptr;
      // Threads on one CPU share its table. release: pairs with the acquire loads of `roots`.
      // relaxed on failure: nothing is read.
      // weakened release survives, program: no program puts two threads on one CPU, and a record's
      // lock orders the roots that other CPUs reach.
      own_->roots[P::cpu()].compare_exchange_strong(
          expected, &own_roots_.here(), std::memory_order_release, std::memory_order_relaxed);
    }
    auto& word = users_[P::cpu() / 64];
    // relaxed: shootdowns that come later read it; a CPU too many in the set does no harm.
    word.fetch_or(u64{1} << (P::cpu() % 64), std::memory_order_relaxed);
  }

  // What this CPU's hardware does at an access: looks for the translation in its cache, else walks
  // its table, and accesses the page where the translation permits it. Answers whether it does. A
  // cached translation that does not permit the access is looked up anew, as x86 does at the fault.
  // Natively an access that another thread's zap overtakes may still reach the frame, as a CPU's
  // stale translation does until the shootdown; but no shootdown waits for it, so the frame may
  // have a new owner by then.
  bool touch(u64 address, Access access, u64* word = nullptr) {
    if constexpr (HasTlb<P>) {
      const Translation kept = P::tlb::find(&frames_, address / page_size);
      if (kept.permits(access)) {
        frames_.access(kept.frame, access, word);
        return true;
      }
    }
    const Pte pte = walk_as_hardware(address);
    if (!pte.present() || !pte.permits(access)) return false;
    if constexpr (HasTlb<P>)
      if (may_keep(pte)) P::tlb::keep(&frames_, address / page_size, {pte.frame(), pte.prot()});
    frames_.access(pte.frame(), access, word);
    return true;
  }

  // Serves a fault at `address` in a VMA that permits `access` and has protection `prot`. The
  // caller keeps that VMA from being unmapped or changed meanwhile. False means that no frame is
  // left.
  bool fault_in(u64 address, Access access, u32 prot, NewPage page) {
    Leaf& leaf = leaf_for(root_, address);
    Leaf* own = own_leaf_for(address);
    const FaultIn outcome = serve(leaf, address, page, [&](FrameNumber& fresh) {
      const Guard guard(leaf.lock);
      return install(leaf, own, address, fresh, access, prot);
    });
    return outcome == FaultIn::done;
  }

  // Serves a speculative fault, which does not keep the VMA from changing. `valid()` answers
  // whether the VMA is unchanged, and is asked under the lock of the table page. A zap or
  // restrict() that takes this lock later finds the entry. One that has taken it earlier has made
  // valid() false. The fault does not make the table page, since a zap that finds none takes no
  // lock. It only tries the lock, as in the kernel's patches (pte_map_lock()), which disable
  // interrupts: the lock's holder may wait for this CPU to answer a shootdown.
  template <class Valid>
  FaultIn fault_in_if(u64 address, Access access, u32 prot, NewPage page, const Valid& valid) {
    static_assert(!caller_excludes);
    u64 unused = 0;
    Leaf* leaf = find_leaf(root_, address, unused);
    if (leaf == nullptr) return FaultIn::no_table;
    Leaf* own = own_leaf_for(address);
    return serve(*leaf, address, page, [&](FrameNumber& fresh) {
      const MutexAttempt attempt(leaf->lock);
      if (!attempt) return FaultIn::table_locked;
      if (!valid()) return FaultIn::changed;
      return install(*leaf, own, address, fresh, access, prot);
    });
  }

  // zap_page_range_single() in the kernel. Clears the entries of `range`, shoots down by the policy
  // and gives the frames back. The caller keeps faults out of the range, or accepts (discard) that
  // a page which is faulted in meanwhile stays. When two discards drop one page concurrently, the
  // second finds the entry cleared, although the first may not have shot down yet. So it flushes
  // too (Flushing).
  void zap(Range range, Zappers zappers = Zappers::others_too) {
    const Flushing flushing(*this, zappers);
    typename Frames<P>::Gathered gathered;
    CpuSet users;
    for_each_leaf(root_, range, [&](Leaf& leaf, u32 from, u32 to) {
      const Guard guard(leaf.lock);
      CpuSet here;
      for (u32 i = from; i < to; ++i) {
        // relaxed: under the lock.
        const Pte old{leaf.entries[i].load(std::memory_order_relaxed)};
        if (!old.present()) continue;
        // relaxed: walk() checks its entry again after it has pinned the frame, and the frame's
        // count orders that.
        leaf.entries[i].store(0, std::memory_order_relaxed);
        note_users(leaf, i, old, here);
        if (old.many()) leaf.users.end(i);
        frames_.gather(gathered, old.frame());
      }
      change_own(leaf, from, to, here, [](Pte) { return Pte{}; });
      users.add(here);
    });
    const bool nested = flushing.is_nested();
    if (gathered.empty() && !nested) return;
    shoot_down(users, nested);
    frames_.note_flushed(gathered);
    frames_.release(gathered);
  }

  // change_protection() in the kernel. Takes from the entries of `range` the rights that `prot`
  // does not permit, and shoots down if that took any. Faults grant the rights that `prot` adds.
  void restrict(Range range, u32 prot, Zappers zappers = Zappers::others_too) {
    const u32 kept = hardware_prot(prot);
    const Flushing flushing(*this, zappers);
    CpuSet users;
    bool changed = false;
    for_each_leaf(root_, range, [&](Leaf& leaf, u32 from, u32 to) {
      const Guard guard(leaf.lock);
      CpuSet here;
      for (u32 i = from; i < to; ++i) {
        // relaxed: under the lock.
        const Pte old{leaf.entries[i].load(std::memory_order_relaxed)};
        if (!old.present() || (old.prot() & ~kept) == 0) continue;
        // release: pairs with the acquire in walk(), which may reach the frame through this word.
        // weakened release survives, release_sequence: the thread that installed the frame does
        // this too.
        leaf.entries[i].store(old.with_prot(old.prot() & kept).word, std::memory_order_release);
        note_users(leaf, i, old, here);
        changed = true;
      }
      change_own(leaf, from, to, here, [&](Pte old) { return old.with_prot(old.prot() & kept); });
      users.add(here);
    });
    const bool nested = flushing.is_nested();
    if (changed || nested) shoot_down(users, nested);
  }

  // get_user_pages_fast: pins the page at `address` without a lock, checks the entry again, reads
  // the page and unpins it. Answers whether a readable page was mapped there. `believed` maps what
  // the second look found to what the walk believes. Only tests pass another function.
  template <class Believed = std::identity>
  bool walk(u64 address, const Believed& believed = {}) {
    u64 unused = 0;
    const Leaf* leaf = find_leaf(root_, address, unused);
    if (leaf == nullptr) return false;
    const auto& entry = leaf->entries[index(address, 0)];
    // acquire: pairs with the release in install().
    const Pte seen{entry.load(std::memory_order_acquire)};
    if (!seen.present() || !seen.permits(Access::read) || !frames_.pin(seen.frame())) return false;
    // acquire: pairs with the release in install(), which may have stored the entry again for the
    // same frame. The acquire of the pin keeps this load after the pin: if the entry still holds
    // the frame, the pin was taken before the page table's reference was dropped.
    // weakened acquire survives, program: no program gives a page its old frame back while a walk
    // looks at it.
    const bool same = believed(Pte{entry.load(std::memory_order_acquire)}.frame() == seen.frame());
    if (same) frames_.read(seen.frame(), address);
    frames_.unpin(seen.frame());
    return same;
  }

  // With all threads at rest: calls visit(address, Pte) for every entry that is present.
  template <class F>
  void for_each_entry(F&& visit) {
    for_each_entry(root_, visit);
  }

  // With all threads at rest: the pages that are mapped with some right, by address.
  std::vector<Observation::Page> mapped_pages() {
    std::vector<Observation::Page> pages;
    for_each_entry([&](u64 address, Pte pte) {
      if (pte.prot() != prot_none) pages.push_back({address, pte.prot()});
    });
    return pages;
  }

  // Calls visit(address, Pte) for every entry of the CPUs' own tables.
  template <class F>
  void for_each_own_entry(F&& visit) {
    if (own_ == nullptr) return;
    CpuSet entered;
    // relaxed: threads are at rest.
    for (u32 i = 0; i < max_cpus / 64; ++i)
      entered.words[i] = users_[i].load(std::memory_order_relaxed);
    for_each_own(entered, [&](Upper& root) { for_each_entry(root, visit); });
  }

  // With all threads at rest: answers what is wrong with the accounting of frames or with the CPUs'
  // own tables, or an empty string.
  std::string check() {
    if (std::string wrong = check_own(); !wrong.empty()) return wrong;
    if (std::string wrong = check_kept(); !wrong.empty()) return wrong;
    u64 mapped = 0;
    for_each_entry([&](u64, Pte) { ++mapped; });
    if (mapped + frames_.free() == frames_.total()) return {};
    return "frames: " + std::to_string(frames_.total()) + " in all, but " + std::to_string(mapped) +
           " mapped and " + std::to_string(frames_.free()) + " free";
  }

 private:
  // The lock has a line of its own, apart from the entries: the kernel keeps it in the struct
  // ptdesc of the table page (`ptl`, include/linux/mm_types.h). The set of users is not the
  // kernel's.
  using Users =
      std::conditional_t<caller_excludes, UsersOfPages<P, entries>, UsersOfTable<P, entries>>;
  struct alignas(cache_line) Leaf {
    Leaf() {
      if constexpr (PlainCells<P>)
        static_assert(offsetof(Leaf, users) == cache_line &&
                      offsetof(Leaf, entries) % cache_line == 0);
      P::label(&lock, "pte_page.lock");
      P::label(&users, "pte_page.users");
      P::label(&entries, "pte_page.entries");
    }
    Spinlock<P> lock;
    alignas(cache_line) Users users;
    // The address that entry 0 maps; written before the leaf is published.
    u64 start = 0;
    Leaf* next_free = nullptr;
    alignas(cache_line) typename P::template atomic<u64> entries[PageTable::entries] = {};
  };
  struct alignas(cache_line) Upper {
    Upper() { P::label(&entries, "page_table.upper"); }
    Upper* next_free = nullptr;
    alignas(cache_line) typename P::template atomic<void*> entries[PageTable::entries] = {};
  };
  // Indexed by the kernel's number of the CPU. Null where no thread of this address space has
  // entered.
  struct OwnTables {
    typename P::template atomic<Upper*> roots[max_cpus] = {};
  };

  struct Unlocked {
    explicit Unlocked(const Spinlock<P>&) {}
  };
  using Guard = std::conditional_t<caller_excludes, Unlocked, MutexSection<Spinlock<P>>>;

  // One thread that takes entries or rights away, from before its first look at an entry until its
  // shootdown has returned. The mm counts these threads (tlb_flush_pending of mm_struct, which
  // tlb_gather_mmu and tlb_finish_mmu of mm/mmu_gather.c raise and lower). A thread that meets
  // another one, anywhere in the mm, flushes everything and reaches lazy CPUs too, even where it
  // has found no entry itself (mm_tlb_flush_nested). Where the caller excludes other threads of a
  // page (Zappers::this_one) there is nothing to count, and RadixVM has no such word. With the
  // policy `precise` such a thread reaches all users of the mm, since the other one has taken the
  // entries that name the CPUs, and may not have interrupted them yet.
  class Flushing {
   public:
    Flushing(PageTable& table, Zappers zappers)
        : table_(table), counts_(!caller_excludes && zappers == Zappers::others_too) {
      // relaxed: the lock of the table page comes after it. A thread that finds an entry cleared
      // has taken that lock later, so it sees this addition.
      if (counts_) table_.flushes_pending_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Flushing() {
      // release: pairs with the acquire in is_nested().
      // weakened release survives, program: no program uses a translation after the shootdown.
      if (counts_) table_.flushes_pending_.fetch_sub(1, std::memory_order_release);
    }
    Flushing(const Flushing&) = delete;
    Flushing& operator=(const Flushing&) = delete;

    bool is_nested() const {
      if (!counts_) return false;
      // acquire: pairs with the release above. A thread that no longer sees the other one returns
      // after the other one's shootdown.
      // weakened acquire survives, program: no program uses a translation after the shootdown.
      return table_.flushes_pending_.load(std::memory_order_acquire) > 1;
    }

   private:
    PageTable& table_;
    const bool counts_;
  };

  static u32 index(u64 address, u32 level) {
    return static_cast<u32>(address >> (page_shift + level * level_bits)) & (entries - 1);
  }

  void clear_frame(FrameNumber frame) {
    if (void* memory = frames_.memory(frame))
      P::clear_page(memory);
    else
      P::work(options_.modelled_clear_ns);
  }

  // Takes a frame if the entry is empty, and calls install(frame). `frame` is no_frame where the
  // entry was not empty.
  template <class Install>
  FaultIn serve(Leaf& leaf, u64 address, NewPage page, const Install& install) {
    auto& entry = leaf.entries[index(address, 0)];
    // relaxed: this look only saves clearing a page in vain; install() reads the entry again under
    // the lock.
    FrameNumber fresh = no_frame;
    if (!Pte{entry.load(std::memory_order_relaxed)}.present()) {
      fresh = frames_.take();
      if (fresh == no_frame) return FaultIn::nomem;
      if (page != NewPage::zero && options_.fault_work) P::kernel_work(KernelWork::fault);
      if (page == NewPage::own) clear_frame(fresh);
      frames_.assign(fresh, address);
    }
    const FaultIn outcome = install(fresh);
    if (fresh != no_frame) frames_.unpin(fresh);
    // A discard dropped the entry between the two looks at it. Try again, with a frame.
    return outcome == FaultIn::lacks_frame ? serve(leaf, address, page, install) : outcome;
  }

  // Under the lock of the table page. If the entry is empty, installs `fresh` and sets it to
  // no_frame; else widens the rights of the entry. Does the same in the CPU's own table, if there
  // is one.
  FaultIn install(Leaf& leaf, Leaf* own, u64 address, FrameNumber& fresh, Access access, u32 prot) {
    const u32 at = index(address, 0);
    auto& entry = leaf.entries[at];
    const Pte old{entry.load(std::memory_order_relaxed)};  // relaxed: under the lock
    if (!old.present() && fresh == no_frame) return FaultIn::lacks_frame;
    const u32 granted = hardware_prot(prot) & (access == Access::write ? ~u32{0} : ~prot_write);
    Pte pte = old.present() ? old.with_prot(old.prot() | granted) : Pte::make(fresh, granted);
    if (!old.present()) fresh = no_frame;
    if (knows_users()) pte = record_user(leaf, at, pte);
    // release: pairs with the acquire in walk(): a thread that reaches the frame through this entry
    // sees the frame cleared.
    if (pte.word != old.word) entry.store(pte.word, std::memory_order_release);
    // relaxed: under the lock.
    if (own != nullptr) own->entries[at].store(pte.word, std::memory_order_relaxed);
    return FaultIn::done;
  }

  bool knows_users() const { return options_.shootdown == shootdown_precise || own_ != nullptr; }

  Pte record_user(Leaf& leaf, u32 at, Pte pte) {
    const u32 cpu = P::cpu();
    if (pte.user() == 0) return pte.with_user(cpu);
    if (pte.user() == cpu + 1) return pte;
    if (!pte.many()) {
      leaf.users.begin(at);
      leaf.users.add(at, pte.user() - 1);
    }
    leaf.users.add(at, cpu);
    return pte.with_many();
  }

  void note_users(const Leaf& leaf, u32 at, Pte pte, CpuSet& users) const {
    if (!knows_users()) return;
    if (pte.user() != 0) users.add(pte.user() - 1);
    if (pte.many()) leaf.users.collect(at, users);
  }

  // The entry that this CPU's hardware would find.
  Pte walk_as_hardware(u64 address) {
    u64 unused = 0;
    const Leaf* leaf = find_leaf(own_root(), address, unused);
    if (leaf == nullptr) return {};
    // acquire: pairs with the release in install().
    // weakened acquire survives, program: under the memory model no thread touches a page while
    // others run.
    return Pte{leaf->entries[index(address, 0)].load(std::memory_order_acquire)};
  }

  // Whether this CPU keeps the translation that its hardware has found. No hardware records the
  // CPUs that walk to an entry of a shared table. So with the policy `precise` over a shared table,
  // which is a thought experiment, a CPU keeps only what a fault of its own has brought. A
  // shootdown would miss it otherwise.
  bool may_keep(Pte pte) const {
    return own_ != nullptr || !knows_users() || pte.user() == P::cpu() + 1;
  }

  void shoot_down(CpuSet& users, bool nested) {
    if (options_.shootdown == shootdown_broadcast) {
      if constexpr (HasTlb<P>) P::tlb::flush_all();
      return P::work(broadcast_ns);
    }
    // relaxed: see enter().
    if (options_.shootdown == shootdown_cpumask || nested)
      for (u32 i = 0; i < max_cpus / 64; ++i)
        users.words[i] = users_[i].load(std::memory_order_relaxed);
    P::shootdown(users, nested ? LazyCpus::interrupted : LazyCpus::skipped);
  }

  // Applies `change` to the entries [from, to) of this leaf in the tables of `cpus`. The caller
  // holds the lock of the record's entries.
  template <class F>
  void change_own(const Leaf& leaf, u32 from, u32 to, const CpuSet& cpus, F&& change) {
    if (own_ == nullptr) return;
    const auto change_in = [&](Upper& root) {
      u64 unused = 0;
      Leaf* own = find_leaf(root, leaf.start, unused);
      for (u32 i = from; own != nullptr && i < to; ++i) {
        // relaxed, both: under the lock of the record's entries.
        const Pte old{own->entries[i].load(std::memory_order_relaxed)};
        if (old.present()) own->entries[i].store(change(old).word, std::memory_order_relaxed);
      }
    };
    if (cpus.has(P::cpu())) change_in(own_root());
    CpuSet others = cpus;
    others.remove(P::cpu());
    in_interrupt<P>([&] { for_each_own(others, change_in); });
  }

  template <class F>
  void for_each_own(const CpuSet& cpus, F&& visit) {
    cpus.for_each([&](u32 cpu) {
      // acquire: pairs with the release in enter().
      // weakened acquire survives, ordered_elsewhere: a record names a CPU only after that CPU's
      // thread has entered and then held the lock of the record.
      if (Upper* root = own_->roots[cpu].load(std::memory_order_acquire)) visit(*root);
    });
  }

  // Each entry of a CPU's own table must map the record's frame and grant no rights beyond the
  // record's.
  std::string check_own() {
    std::string wrong;
    for_each_own_entry([&](u64 address, Pte own) {
      u64 unused = 0;
      const Leaf* leaf = find_leaf(root_, address, unused);
      // relaxed: threads are at rest.
      const Pte record{leaf->entries[index(address, 0)].load(std::memory_order_relaxed)};
      if (own.frame() != record.frame() || (own.prot() & ~record.prot()) != 0)
        wrong = "page table: a CPU's own table maps page " + std::to_string(address / page_size) +
                " otherwise than the address space";
    });
    return wrong;
  }

  // With all threads at rest: what the CPUs' caches hold, the table must hold too.
  std::string check_kept() {
    if constexpr (JudgesTlb<P>)
      return P::tlb::check(&frames_, [&](u64 page, Translation kept) {
        u64 unused = 0;
        const u64 address = page * page_size;
        const Leaf* leaf = find_leaf(root_, address, unused);
        if (leaf == nullptr) return false;
        // relaxed: threads are at rest.
        const Pte held{leaf->entries[index(address, 0)].load(std::memory_order_relaxed)};
        return held.frame() == kept.frame && (kept.prot & ~held.prot()) == 0;
      });
    return {};
  }

  template <class F>
  void for_each_entry(Upper& root, F&& visit) {
    for_each_leaf(root, {0, reach}, [&](Leaf& leaf, u32 from, u32 to) {
      for (u32 i = from; i < to; ++i) {
        // relaxed: threads are at rest.
        const Pte entry{leaf.entries[i].load(std::memory_order_relaxed)};
        if (entry.present()) visit(leaf.start + u64{i} * page_size, entry);
      }
    });
  }

  template <class Child, class Table>
  Child& child(Table& parent, u32 at, Pool<P, Child>& pool, u64 start) {
    auto& slot = parent.entries[at];
    // acquire, here and where the exchange fails: pairs with the release of the exchange, so that
    // the child is seen constructed.
    if (void* found = slot.load(std::memory_order_acquire)) return *static_cast<Child*>(found);
    Child* fresh = pool.take();
    if constexpr (requires { fresh->start; }) fresh->start = start;
    void* expected = nullptr;
    if (slot.compare_exchange_strong(expected, fresh, std::memory_order_release,
                                     std::memory_order_acquire))
      return *fresh;
    pool.give(fresh);
    return *static_cast<Child*>(expected);
  }

  Leaf& leaf_for(Upper& root, u64 address) {
    Upper& second = child(root, index(address, 3), uppers_, 0);
    Upper& third = child(second, index(address, 2), uppers_, 0);
    return child(third, index(address, 1), leaves_, address / table_span * table_span);
  }

  // The leaf of this CPU's own table; null where all CPUs share one table.
  Leaf* own_leaf_for(u64 address) {
    return own_ == nullptr ? nullptr : &leaf_for(own_root(), address);
  }
  // The root of the table that this CPU walks.
  Upper& own_root() {
    if (own_ == nullptr) return root_;
    // acquire: pairs with the release in enter().
    // weakened acquire survives, program: no program puts two threads on one CPU.
    return *own_->roots[P::cpu()].load(std::memory_order_acquire);
  }

  // The leaf that maps `address`. Null where an entry above the leaf is missing; `span` is then the
  // number of bytes that the missing entry would map.
  Leaf* find_leaf(Upper& root, u64 address, u64& span) {
    void* table = &root;
    span = table_span;
    for (u32 level = 3; level >= 1; --level) {
      // acquire: pairs with the release in child().
      table = static_cast<Upper*>(table)->entries[index(address, level)].load(
          std::memory_order_acquire);
      if (table == nullptr) {
        span = page_size << (level * level_bits);
        return nullptr;
      }
    }
    return static_cast<Leaf*>(table);
  }

  // Calls visit(leaf, first entry, one past the last) for every table page that exists in `range`.
  template <class F>
  void for_each_leaf(Upper& root, Range range, F&& visit) {
    for (u64 at = range.start; at < range.end;) {
      u64 span = 0;
      Leaf* leaf = find_leaf(root, at, span);
      const u64 next = (at / span + 1) * span;
      if (leaf != nullptr) {
        const u64 last = (next < range.end ? next : range.end) - 1;
        visit(*leaf, index(at, 0), index(last, 0) + 1);
      }
      at = next;
    }
  }

  const AddressSpaceOptions options_;
  Frames<P> frames_;
  Pool<P, Leaf> leaves_;
  Pool<P, Upper> uppers_;
  Upper root_;
  OwnTables* own_ = nullptr;  // null where all CPUs share one table
  PerThread<P, Upper> own_roots_;
  typename P::template atomic<u64> users_[max_cpus / 64] = {};
  alignas(cache_line) typename P::template atomic<u32> flushes_pending_{0};
};

}  // namespace faultline
