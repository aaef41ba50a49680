// The simulator's platform: every access and every call is an event of the running Simulation. A
// thread that is not simulated (a test that makes a lock, a trial that destroys it) uses the
// platform of a single thread. Accesses then cost nothing, and a wait fails, since no other thread
// could end it.
#pragma once

#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "harness/cells/atomic.hpp"
#include "harness/sim/engine/simulation.hpp"
#include "harness/stub/single_thread.hpp"
#include "locks/random.hpp"

namespace faultline {

struct SimTag {
  static constexpr u32 max_threads = 1024;
};

namespace sim {

using Outside = stub::SingleThread<SimTag>;

inline Simulation& simulation() {
  return *here.simulation;
}

// A value in the form in which the store buffer keeps it.
template <class T>
u64 to_bits(T value) {
  u64 bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
T from_bits(u64 bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// The cell of atomic<T> and data<T>: a word of simulated memory, laid out as the plain T is. Values
// follow x86's TSO whatever the order is. A seq_cst store is an exchange, as x86 makes it one.
template <class T>
class Word {
  using Order = std::memory_order;

 public:
  using Where = cells::Nowhere;

  constexpr Word() : Word(T{}) {}
  constexpr explicit Word(T value) : value_(made(value)) {}

  T load(Where) const {
    if (Cpu* cpu = here.cpu) {
      u64 posted;
      if (simulation().forward(*cpu, this, posted)) [[unlikely]]
        return from_bits<T>(posted);
      T value;
      std::memcpy(&value, simulation().before_load(*cpu, this, sizeof(T)), sizeof(T));
      return value;
    }
    return value_;
  }
  void store(T value, Where) {
    Cpu* cpu = here.cpu;
    if (cpu == nullptr)
      store_outside(value);
    else if (simulation().before_store(*cpu, this, sizeof(T), to_bits(value)))
      value_ = value;
  }
  T load(Order, Where where) const { return load(where); }
  void store(T value, Order order, Where where) {
    const auto replace = [=](T) { return value; };
    if (order == Order::seq_cst)
      modify("exchange", replace, order, where);
    else
      store(value, where);
  }
  // The store buffer keeps the part alone. So a load of the word by this CPU would see the part
  // without the other bytes while the store waits; a read-modify-write waits for the store.
  template <class Part>
  void store_low(Part part, Order, Where) {
    Cpu* cpu = here.cpu;
    if (cpu != nullptr && !simulation().before_store(*cpu, this, sizeof(Part), part)) return;
    T value = value_;
    std::memcpy(&value, &part, sizeof(Part));  // little-endian
    if (cpu == nullptr)
      store_outside(value);
    else
      value_ = value;
  }
  template <class F>
  T modify(const char*, F&& change, Order, Where) {
    Cpu* const cpu = here.cpu;
    if (cpu != nullptr) simulation().before_rmw(*cpu, this, sizeof(T));
    const T before = value_;
    if (cpu == nullptr) {
      store_outside(change(before));
    } else {
      value_ = change(before);
      simulation().after_rmw(*cpu);
    }
    return before;
  }
  // A weak exchange never fails spuriously.
  bool compare_exchange(T& expected, T desired, bool, Order success, Order, Where where) {
    const T wanted = expected;
    const auto replace = [=](T before) { return before == wanted ? desired : before; };
    expected = modify("compare_exchange", replace, success, where);
    return expected == wanted;
  }

 private:
  // This CPU may have posted a store to the object that lay here before: it completes first.
  constexpr T made(T value) {
    if (!std::is_constant_evaluated() && here.cpu != nullptr)
      simulation().before_construction(*here.cpu, Arena::offset(this));
    return value;
  }
  void store_outside(T value) {
    value_ = value;
    if (here.outside != nullptr) here.outside->outside_store(this);
  }

  T value_;
};

}  // namespace sim

struct SimPlatform : cells::StoresParts<sim::Word> {
  using Outside = sim::Outside;
  template <class T>
  using atomic = cells::Atomic<T, sim::Word>;
  template <class T>
  using data = cells::Data<T, sim::Word>;
  static constexpr u32 max_threads = SimTag::max_threads;
  // See Worker::repeat(). Memory that is no cell of this platform costs no simulated time.
  static constexpr bool counts_freely = true;

  struct rcu {
    using Node = sim::RcuNode;
    static void read_lock() {
      if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().rcu().read_lock(*cpu);
    }
    static void read_unlock() {
      if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().rcu().read_unlock(*cpu);
    }
    static void synchronize() {
      if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().rcu().synchronize(*cpu);
    }
    static void retire(Node* node, void (*reclaim)(Node*)) {
      node->reclaim = reclaim;
      if (sim::Cpu* cpu = sim::here.cpu)
        sim::simulation().rcu().retire(*cpu, node);
      else
        reclaim(node);
    }
  };

  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline) {
    sim::Cpu* cpu = sim::here.cpu;
    if (cpu == nullptr) return Outside::wait(word, old, deadline);
    sim::simulation().enter_kernel(*cpu);
    if (word.load(std::memory_order_relaxed) != old) return true;  // relaxed: TSO
    return sim::simulation().sleep(*cpu, &word, deadline);
  }
  static void wake(atomic<u32>& word, u32 n) {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().wake(*cpu, &word, n);
  }
  static void pause(const void* object) {
    if (sim::Cpu* cpu = sim::here.cpu)
      sim::simulation().pause(*cpu);
    else
      Outside::pause(object);
  }
  static void wait_begin(const void* object, const char* what) {
    if (sim::Cpu* cpu = sim::here.cpu)
      sim::simulation().progress().wait_begin(*cpu, object, what);
    else
      Outside::wait_begin(object, what);
  }
  static void wait_end() {
    if (sim::Cpu* cpu = sim::here.cpu)
      sim::simulation().progress().wait_end(*cpu);
    else
      Outside::wait_end();
  }
  static u64 now() {
    sim::Cpu* cpu = sim::here.cpu;
    return cpu != nullptr ? sim::simulation().read_clock(*cpu) : Outside::now();
  }
  static u32 cpu() { return sim::here.cpu != nullptr ? sim::here.cpu->os : 0; }
  static u32 node() { return sim::here.cpu != nullptr ? sim::here.cpu->place.node : 0; }
  static u32 self() { return sim::here.cpu != nullptr ? sim::here.cpu->index : 0; }
  static bool running(u32 thread) {
    sim::Cpu* cpu = sim::here.cpu;
    return cpu != nullptr ? sim::simulation().running(*cpu, thread) : Outside::running(thread);
  }
  static u64 random() {
    return sim::here.cpu == nullptr ? Outside::random() : xorshift64_star(sim::here.cpu->random);
  }
  static void work(u64 ns) {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().work(*cpu, ns);
  }
  // Takes the machine's time for it and writes nothing, since simulated pages have no contents.
  static void clear_page(void* page) {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().clear_page(*cpu, page);
  }
  static void shootdown(const CpuSet& cpus, LazyCpus lazy = LazyCpus::skipped) {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().shootdown(*cpu, cpus, lazy);
  }
  struct tlb {
    static Translation find(const void* space, u64 page) {
      const sim::Cpu* cpu = sim::here.cpu;
      return cpu == nullptr ? Translation{}
                            : sim::simulation().tlbs().find(cpu->index, space, page);
    }
    static void keep(const void* space, u64 page, Translation translation) {
      if (const sim::Cpu* cpu = sim::here.cpu)
        sim::simulation().tlbs().keep(cpu->index, space, page, translation);
    }
    static void flush_all() {
      if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().flush_all_tlbs(*cpu);
    }
  };
  static void kernel_work(KernelWork which) {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().kernel_work(*cpu, which);
  }
  static void prefetch_write(const void* memory) {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().prefetch_write(*cpu, memory);
  }
  // Performs `act` as other CPUs' interrupt handlers would: its accesses cost the caller nothing
  // and move no line. What the handlers take is in the machine's cost of an interrupt.
  template <class F>
  static void in_interrupt(F&& act) {
    sim::Cpu* cpu = std::exchange(sim::here.cpu, nullptr);
    act();
    sim::here.cpu = cpu;
  }
  static void promised(const Promise&, u32) {}
  static void settle() {
    if (sim::Cpu* cpu = sim::here.cpu) sim::simulation().settle(*cpu);
  }
  // Names the object's bytes, or four bytes where its type is unknown.
  template <class T>
  static void label(const T* object, const char* name) {
    usize bytes = 4;
    if constexpr (!std::is_void_v<T>) bytes = sizeof(T);
    if (sim::here.simulation != nullptr) sim::simulation().label(object, bytes, name);
  }
  static void* allocate(usize bytes, usize alignment) {
    if (sim::here.cpu != nullptr || sim::here.in_arena)
      return sim::simulation().allocate(sim::here.cpu, bytes, alignment);
    return Outside::allocate(bytes, alignment);
  }
};

static_assert(Platform<SimPlatform>);
// The layout of every lock is the native one, false sharing included.
static_assert(sizeof(SimPlatform::atomic<u32>) == 4 && alignof(SimPlatform::atomic<u32>) == 4);
static_assert(sizeof(SimPlatform::atomic<u64>) == 8 && sizeof(SimPlatform::atomic<bool>) == 1);
static_assert(sizeof(SimPlatform::data<void*>) == 8);

}  // namespace faultline
