// RadixVM's mapbench (Clements, Kaashoek, Zeldovich, EuroSys 2013, section 5.3), after its source:
// bin/mapbench.cc of sv6 (github.com/aclements/sv6, commit a0aa9f7f). It reports page writes a
// second: the operation `write`. A write takes a fault where the page is not mapped for the CPU.
//
// local: each thread maps, writes and unmaps a page of its own. The places are 1 MiB apart, so two
// threads share a page of the page table. With `spacing=2M` each thread has one of its own.
//
// pipeline: each thread maps a page in the next of its own places, writes it, and publishes the
// number of its round. When its neighbour has published the same round, it writes and unmaps the
// neighbour's page of that round. No barrier holds the other threads back.
//
// global: each thread maps its 64 KiB of a common region anew, which unmaps those of the round
// before. Between two barriers all threads then write random pages of the whole region. A thread
// draws as many pages as the region has, and leaves out those that it has already written in this
// round, so it writes about 63 % of them.
#pragma once

#include <algorithm>
#include <bit>
#include <memory>
#include <stdexcept>
#include <vector>

#include "locks/random.hpp"
#include "workloads/barrier.hpp"
#include "workloads/catalogue.hpp"
#include "workloads/workload.hpp"

namespace faultline {

inline void expect_none(Error error, const char* what) {
  if (error != Error::none)
    throw std::runtime_error(std::string(what) + " gave " + to_string(error));
}

template <class P>
class Local final : public Workload<P> {
 public:
  explicit Local(const Chosen& chosen) : spacing_(chosen.number("spacing")) {}

  void demands(AddressSpaceOptions& options) const override { options.frames_per_thread = 64; }

  void run(Worker<P>& worker) override {
    const u64 place = worker.space().fixed_base() + worker.index() * spacing_;
    P::work(u64{100} * worker.index());  // threads start out of step
    while (worker.running()) {
      expect_none(worker.map(place, page_size, prot_read | prot_write, map_fixed).error,
                  "local: map");
      expect_none(worker.write(place), "local: write");
      expect_none(worker.unmap(place, page_size), "local: unmap");
    }
  }

 private:
  const u64 spacing_;  // bytes
};

template <class P>
class Pipeline final : public Workload<P> {
 public:
  Pipeline(const Chosen&, u32 threads) : published_(std::make_unique<Published[]>(threads)) {}

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = 64;
    // A thread's own table of a CPU maps the places of its neighbour too.
    options.tables_per_thread =
        2 * (places_of(options.threads) * place_size_of(options.threads) / (u64{2} << 20) + 1);
  }

  void run(Worker<P>& worker) override {
    const u32 own = worker.index();
    const u32 neighbour = (own + 1) % worker.threads();
    worker.begin_rounds();
    for (u64 round = 0; worker.running(); ++round) {
      const u64 page = place(worker, own, round);
      expect_none(worker.map(page, page_size, prot_read | prot_write, map_fixed).error,
                  "pipeline: map");
      expect_none(worker.write(page), "pipeline: write");
      // release: pairs with the acquire in has_published(), so that the neighbour finds the page
      // mapped.
      published_[own].rounds.store(round + 1, std::memory_order_release);
      if (!await(worker, published_[neighbour], round)) return;
      const u64 other = place(worker, neighbour, round);
      expect_none(worker.write(other), "pipeline: write to the neighbour's page");
      expect_none(worker.unmap(other, page_size), "pipeline: unmap");
      if (!worker.end_round(worker.phase())) return;
    }
  }

 private:
  static constexpr u64 fewest_places = 80;  // NCPU of sv6 on the machine of the published curves
  static constexpr u64 most_place_size = u64{1} << 20;
  // From one thread's first place to the next thread's. In sv6 it is 20 GiB. Threads whose places
  // lie 1 GiB apart or more share only the two upper levels of the page table, as in sv6.
  static constexpr u64 most_apart = u64{16} << 30;

  // The rounds whose pages the thread has published.
  struct alignas(cache_line) Published {
    typename P::template atomic<u64> rounds{0};
  };

  // A thread can be threads - 1 rounds ahead of the thread that unmaps its pages.
  static u64 places_of(u32 threads) { return std::max<u64>(fewest_places, threads); }
  static u64 apart_of(u32 threads) {
    return std::min(most_apart, std::bit_floor(fixed_span / threads));
  }
  static u64 place_size_of(u32 threads) {
    return std::min(most_place_size, std::bit_floor(apart_of(threads) / places_of(threads)));
  }
  static_assert(std::bit_floor(fixed_span / P::max_threads) / P::max_threads >= page_size);

  static u64 place(Worker<P>& worker, u32 thread, u64 round) {
    const u32 threads = worker.threads();
    return worker.space().fixed_base() + thread * apart_of(threads) +
           round % places_of(threads) * place_size_of(threads);
  }

  // Spins until the thread has published `round`. False when the window closes before.
  static bool await(Worker<P>& worker, const Published& published, u64 round) {
    worker.about_to_wait();
    // acquire: pairs with the release in run().
    while (published.rounds.load(std::memory_order_acquire) <= round) {
      if (!worker.running()) return false;
      P::pause(&published);
    }
    worker.done_waiting();
    return true;
  }

  std::unique_ptr<Published[]> published_;
};

template <class P>
class Global final : public Workload<P> {
 public:
  explicit Global(const Chosen& chosen) : same_order_(chosen.word("order") == "same") {}

  void demands(AddressSpaceOptions& options) const override {
    options.frames_per_thread = slice_pages * options.threads + 64;
  }

  void set_up(Worker<P>&) override { seed_ = P::random(); }

  void run(Worker<P>& worker) override {
    constexpr u64 slice = slice_pages * page_size;
    const u64 base = worker.space().fixed_base();
    u64 random = same_order_ ? seed_ : P::random();
    std::vector<bool> written(slice_pages * worker.threads());
    worker.begin_rounds();
    do {
      expect_none(
          worker.map(base + worker.index() * slice, slice, prot_read | prot_write, map_fixed).error,
          "global: map");
      if (!barrier_.wait(worker)) return;
      write_pages(worker, random, written);
      if (!barrier_.wait(worker, [&] { agree(worker.phase()); })) return;
      // relaxed: the barrier orders it after the store.
    } while (worker.end_round(agreed_.load(std::memory_order_relaxed)));
  }

 private:
  static constexpr u64 slice_pages = 16;

  static void write_pages(Worker<P>& worker, u64& random, std::vector<bool>& written) {
    written.assign(written.size(), false);
    for (u64 draw = 0; draw < written.size(); ++draw) {
      const u64 page = xorshift64_star(random) % written.size();
      if (written[page]) continue;
      written[page] = true;
      expect_none(worker.write(worker.space().fixed_base() + page * page_size), "global: write");
    }
  }

  // The last thread at a round's end chooses for all whether the window opens or closes here, so
  // that no thread waits for one that has left. A window holds one whole round at least.
  void agree(u32 phase) {
    // relaxed, both: the barrier orders them.
    const bool too_short =
        phase == phase_stop && agreed_.load(std::memory_order_relaxed) == phase_warm_up;
    agreed_.store(too_short ? phase_measure : phase, std::memory_order_relaxed);
  }

  const bool same_order_;
  u64 seed_ = 1;  // written before the threads run
  Barrier<P> barrier_;
  typename P::template atomic<u32> agreed_{phase_warm_up};
};

}  // namespace faultline
