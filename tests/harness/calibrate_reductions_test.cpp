// The reductions of calibrate's logs, on made-up logs whose answer is known, and on published
// rates.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "harness/calibrate/reductions.hpp"
#include "locks/random.hpp"
#include "tests/paths.hpp"

namespace faultline::calibrate {
namespace {

using nlohmann::json;
using sim::Distance;
using sim::Machine;

// Logs of an order of ownership in which an addition takes `ns`.
std::vector<AddLog> logs_of(const std::vector<usize>& owners, usize cpus, u64 ns) {
  std::vector<AddLog> logs(cpus);
  for (u32 value = 0; value < owners.size(); ++value) {
    AddLog& log = logs[owners[value]];
    log.values.push_back(value);
    if (log.values.size() % 8 == 1) log.marks.push_back({value, 1000 + value * ns});
  }
  return logs;
}

// CPUs 0 to 3 are in one cluster, 4 to 7 in another one of the same socket.
Distance two_clusters(usize a, usize b) {
  return a / 4 == b / 4 ? sim::same_cluster : sim::same_node;
}

Distance one_cluster(usize, usize) {
  return sim::same_cluster;
}

// An order in which the next owner is, in the share `nearest`, one of the owner's cluster, else any
// of the others.
Order drawn_order(double nearest, usize length) {
  u64 random = 7;
  std::vector<usize> owners = {0};
  while (owners.size() < length) {
    const usize owner = owners.back();
    const bool near = static_cast<double>(xorshift64_star(random) >> 11) * 0x1p-53 < nearest;
    usize next = owner;
    while (next == owner || (near && next / 4 != owner / 4))
      next = xorshift64_star(random) >> 32 & 7;
    owners.push_back(next);
  }
  return merge(logs_of(owners, 8, 20));
}

TEST(OrderOfOwnership, IsMergedFromTheLogsWhileAllCpusAdd) {
  const std::vector<usize> owners = {0, 0, 1, 2, 2, 0, 1, 0, 2, 1, 1};
  const Order order = merge(logs_of(owners, 3, 30));
  // From CPU 2's first addition, of value 3, to CPU 0's last one, of value 7.
  EXPECT_EQ(order.owners, (std::vector<sim::u16>{2, 2, 0, 1, 0}));
}

TEST(OrderOfOwnership, OfACpuThatNeverAddedIsEmpty) {
  EXPECT_TRUE(merge(logs_of({0, 1, 0, 1}, 3, 30)).owners.empty());
}

TEST(OrderOfOwnership, GivesTheTimeOfAnAddition) {
  std::vector<usize> owners(300);
  for (usize i = 0; i < owners.size(); ++i) owners[i] = i % 3;
  EXPECT_DOUBLE_EQ(merge(logs_of(owners, 3, 30)).ns_per_add, 30);
}

TEST(Handovers, AreCountedByDistance) {
  const Order order = {{0, 0, 1, 4, 4, 5, 0}, 10};
  const Handovers handovers = count_handovers(order, two_clusters);
  EXPECT_EQ(handovers.stays, 2);
  EXPECT_EQ(handovers.changes[sim::same_cluster], 2);
  EXPECT_EQ(handovers.changes[sim::same_node], 2);
}

TEST(Handovers, AChangeTakesTheTimeOfItsStays) {
  // Each CPU adds three times: 3 x 10 ns a change.
  Handovers handovers;
  handovers.stays = 200;
  handovers.changes[sim::same_cluster] = 100;
  EXPECT_DOUBLE_EQ(*change_ns(handovers, 10, sim::same_cluster, {}), 30);
}

TEST(Handovers, AFarChangeTakesWhatTheNearOnesLeave) {
  Handovers handovers;
  handovers.changes[sim::same_cluster] = 60;
  handovers.changes[sim::same_node] = 40;
  std::array<double, sim::distances> known = {};
  known[sim::same_cluster] = 20;
  // 60 x 20 ns and 40 x 95 ns are 100 x 50 ns.
  EXPECT_DOUBLE_EQ(*change_ns(handovers, 50, sim::same_node, known), 95);
  EXPECT_FALSE(change_ns(handovers, 50, sim::one_hop, known));
  EXPECT_FALSE(change_ns(handovers, 10, sim::same_node, known));
}

TEST(NearestShare, IsFoundInAnOrderThatWasDrawnWithIt) {
  for (const double share : {0.0, 0.3, 0.9})
    EXPECT_NEAR(*nearest_share(drawn_order(share, 20'000), 8, two_clusters), share, 0.03);
}

TEST(NearestShare, IsNegativeWhereClustersTakeTurns) {
  std::vector<usize> owners(800);
  for (usize i = 0; i < owners.size(); ++i) owners[i] = i % 2 * 4 + i / 2 % 4;
  EXPECT_LT(*nearest_share(merge(logs_of(owners, 8, 20)), 8, two_clusters), -0.5);
}

TEST(NearestShare, CannotBeSeenInOneCluster) {
  EXPECT_FALSE(nearest_share(drawn_order(0.5, 1000), 8, one_cluster));
}

TEST(Residency, IsTheTimeFromTheRequestToTheOwnersLastAddition) {
  // The owner adds every 10 ns. The other CPU asks once in 1000 ns, at any phase of the owner's
  // period. The owner goes on for 60 ns and then lacks the line for 100 ns.
  std::vector<Mark> steady, asking;
  u32 value = 0;
  u64 now = 0;
  for (u64 ask = 1000; ask < 100'000; ask += 1003) {
    for (; now <= ask + 60; now += 10) steady.push_back({value++, now});
    asking.push_back({value++, ask});
    now += 100;
  }
  steady.push_back({value, now});
  EXPECT_NEAR(*kept_ns(steady, asking), 60, 6);
}

TEST(Residency, NeedsAFewRequests) {
  const std::vector<Mark> steady = {{0, 0}, {1, 10}, {3, 120}}, asking = {{2, 15}};
  EXPECT_FALSE(kept_ns(steady, asking));
}

// Readers of values 1 to 1000 that a CPU writes in 50 ns each.
class CopiesOfAValue : public testing::Test {
 protected:
  CopiesOfAValue() {
    for (u32 value = 1; value <= 1000; ++value) written_.push_back({value, value * u64{50}});
  }
  void add_reader(Distance distance, u32 cluster, u32 every, u32 phase = 0) {
    CopyLog log{{}, distance, cluster};
    for (u32 value = 1; value <= 1000; ++value)
      if (value % every == phase) log.values.push_back(value);
    readers_.push_back(log);
  }
  Copies count(double hit_ns = 0) const { return *count_copies(readers_, written_, hit_ns); }

  std::vector<Mark> written_;
  std::vector<CopyLog> readers_;
};

TEST_F(CopiesOfAValue, InOneClusterFollowTheFirst) {
  for (int i = 0; i < 3; ++i) add_reader(sim::same_cluster, 0, 1);
  for (u32 phase = 0; phase < 2; ++phase) add_reader(sim::same_cluster, 0, 2, phase);
  const Copies copies = count();
  EXPECT_NEAR(copies.copies, 4, 0.01);
  EXPECT_NEAR(copies.clusters, 1, 1e-9);
  // 50 ns less 20 ns for the first copy, for three more.
  EXPECT_NEAR(*cluster_copy_ns(copies, 20), 10, 0.05);
}

TEST_F(CopiesOfAValue, ThatAllReadersGetShowNoInterval) {
  for (int i = 0; i < 5; ++i) add_reader(sim::same_cluster, 0, 1);
  EXPECT_FALSE(cluster_copy_ns(count(), 20));
}

TEST_F(CopiesOfAValue, ThatNobodyReadCostTheWriterAHit) {
  for (int i = 0; i < 3; ++i) add_reader(sim::same_cluster, 0, 4);
  // Four values take 200 ns, of which three are hits of 6 ns.
  EXPECT_NEAR(count(6).ns_per_value, 182, 1);
}

TEST_F(CopiesOfAValue, InOtherClustersComeFromTheHome) {
  add_reader(sim::one_hop, 1, 1);
  add_reader(sim::same_cluster, 0, 1);
  const Copies copies = count();
  EXPECT_NEAR(copies.clusters, 2, 1e-9);
  EXPECT_NEAR(copies.farthest[sim::one_hop], 1, 1e-9);
  std::array<double, sim::distances> back = {};
  back[sim::one_hop] = 30;
  EXPECT_NEAR(*home_copy_ns(copies, back), 10, 1e-6);
  back[sim::one_hop] = 60;
  EXPECT_FALSE(home_copy_ns(copies, back));
}

TEST(Interruptions, AreThePausesThatBeginInACall) {
  const std::vector<Call> calls = {{1000, 3000}, {5000, 7000}, {9000, 11'000}};
  // The second call meets two pauses, of which one is a timer's.
  const std::vector<Pause> pauses = {{100, 400},   {2000, 3100}, {5500, 5700},
                                     {6000, 6900}, {8000, 8500}, {10'000, 10'800}};
  const std::vector<Interruption> found = interruptions(calls, pauses);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].arrival, 1000);
  EXPECT_EQ(found[0].taken, 1100);
  EXPECT_EQ(found[1].arrival, 1000);
}

TEST(Slope, IsTheLeastSquaresLines) {
  const std::vector<std::array<double, 2>> points = {{1, 130}, {2, 160}, {4, 220}};
  EXPECT_NEAR(*slope(points), 30, 1e-9);
  EXPECT_FALSE(slope(std::vector<std::array<double, 2>>{{1, 1}, {1, 2}}));
}

// The published rates of an 8-socket machine, without logs: so each addition counts as a change of
// owner, each read as a copy, and the clusters as taking turns. The preset's constants were fitted
// to the same rates by the whole model.
class PublishedRates : public testing::Test {
 protected:
  static json read() {
    std::ifstream file(FAULTLINE_SOURCE_DIR "/results/reference/line-sharing-e7-8870.json");
    return json::parse(file);
  }
  // The time of one access of all cores together.
  double ns(const char* system, u32 cores) const {
    return 1e9 / data_["systems"][system]["rates"][std::to_string(cores)].get<double>();
  }
  Distance between(usize a, usize b) const {
    return machine_.between(machine_.places[a], machine_.places[b]);
  }
  double latency(sim::Kind kind, sim::State state, Distance distance) const {
    return static_cast<double>(
               machine_.latency[static_cast<usize>(kind)][static_cast<usize>(state)][distance]) /
           sim::ps_per_ns;
  }
  // The time of a change of owner.
  double change(u32 cores, Distance distance,
                const std::array<double, sim::distances>& known) const {
    const Handovers even =
        even_handovers(cores, [this](usize a, usize b) { return between(a, b); });
    return *change_ns(even, ns("all_write", cores), distance, known);
  }
  double sigma(double change_ns, Distance distance) const {
    return change_ns / latency(sim::Kind::rmw, sim::State::modified, distance);
  }
  double preset_sigma(Distance distance) const { return machine_.service[distance] / 1024.0; }
  Copies copies(u32 cores) const {
    Copies result;
    result.ns_per_value = ns("writer", cores);
    result.copies = result.ns_per_value / ns("readers", cores);
    result.clusters = 1;
    result.readers = cores - 1;
    const u32 sockets = cores / 10;
    for (u32 socket = 0; socket < sockets; ++socket)
      result.farthest[between(0, socket == 0 ? 1 : 10 * socket)] += 1.0 / sockets;
    return result;
  }

  const Machine machine_ = Machine::load("e7-8870");
  const json data_ = read();
};

TEST_F(PublishedRates, GiveThePresetsServiceWithinATenth) {
  std::array<double, sim::distances> known = {};
  known[sim::same_cluster] = change(10, sim::same_cluster, known);
  known[sim::one_hop] = change(20, sim::one_hop, known);
  const double two_hops = change(80, sim::one_hop + 1, known);
  EXPECT_NEAR(sigma(known[sim::same_cluster], sim::same_cluster) / preset_sigma(sim::same_cluster),
              1, 0.1);
  EXPECT_NEAR(sigma(known[sim::one_hop], sim::one_hop) / preset_sigma(sim::one_hop), 1, 0.1);
  EXPECT_NEAR(sigma(two_hops, sim::one_hop + 1) / preset_sigma(sim::one_hop + 1), 1, 0.1);
}

TEST_F(PublishedRates, GiveThePresetsCopiesInAClusterWithinATenth) {
  const double first = latency(sim::Kind::load, sim::State::modified, sim::same_cluster) *
                       preset_sigma(sim::same_cluster);
  const double preset = static_cast<double>(machine_.cluster_copy) / sim::ps_per_ns;
  EXPECT_NEAR(*cluster_copy_ns(copies(10), first) / preset, 1, 0.1);
}

// On two sockets the published writer is 20 % slower than the model's, and so these rates give a
// home_copy that is 1.4 times the preset's.
TEST_F(PublishedRates, GiveThePresetsCopiesByTheHomeOnFourAndMoreSockets) {
  std::array<double, sim::distances> back = {};
  for (const Distance d : {sim::same_cluster, sim::one_hop, Distance{sim::one_hop + 1}})
    back[d] = latency(sim::Kind::rmw, sim::State::shared, d) * preset_sigma(d);
  const double preset = static_cast<double>(machine_.home_copy) / sim::ps_per_ns;
  for (const u32 cores : {40, 60, 80})
    EXPECT_NEAR(*home_copy_ns(copies(cores), back) / preset, 1, 0.15) << cores;
}

}  // namespace
}  // namespace faultline::calibrate
