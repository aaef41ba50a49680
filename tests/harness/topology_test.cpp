#include "harness/topology/topology.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "harness/topology/check_placement.hpp"

namespace faultline {
namespace {

using List = std::vector<u32>;

// 2 sockets with one node each, of 2 clusters of 2 cores of 2 threads. CPUs 0 to 15 are in this
// order.
constexpr const char* two_sockets = "package:2 [numa] l3:2 core:2 pu:2";

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no std::invalid_argument";
}

TEST(Placement, CompactFillsCoresOfOneClusterAndSocketBeforeAnySibling) {
  const Topology machine = Topology::foreign(two_sockets);
  EXPECT_EQ(machine.place("compact", 16),
            (List{0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15}));
}

TEST(Placement, ScatterGoesRoundSocketsThenNodesThenClusters) {
  const Topology machine = Topology::foreign(two_sockets);
  EXPECT_EQ(machine.place("scatter", 16),
            (List{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15}));
  const Topology two_nodes_a_socket = Topology::foreign("package:2 numa:2 core:2 pu:1");
  EXPECT_EQ(two_nodes_a_socket.place("scatter", 8), (List{0, 4, 2, 6, 1, 5, 3, 7}));
}

TEST(Placement, ScatterOverUnevenSocketsUsesEveryCoreBeforeAnySibling) {
  std::vector<Cpu> cpus;
  for (u32 os = 0; os < 8; ++os)
    cpus.push_back({.os = os, .socket = os < 6 ? 0U : 1U, .core = os / 2, .sibling = os % 2});
  List known{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(placement_order("scatter", cpus, known), (List{0, 6, 2, 4, 1, 7, 3, 5}));
}

TEST(Placement, PerNodeFillsANodeSiblingsIncludedBeforeTheNext) {
  const Topology machine = Topology::foreign(two_sockets);
  EXPECT_EQ(machine.place("per-node", 16),
            (List{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}));
}

TEST(Placement, SmtFirstFillsACoreBeforeTheNext) {
  const Topology machine = Topology::foreign(two_sockets);
  EXPECT_EQ(machine.place("smt-first", 16),
            (List{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
}

TEST(Placement, ListIsTakenInItsOwnOrder) {
  const Topology machine = Topology::foreign(two_sockets);
  EXPECT_EQ(machine.place("9,0,4-7", 6), (List{9, 0, 4, 5, 6, 7}));
}

TEST(Placement, MoreThreadsThanCpusWrapRoundAndAreOversubscribed) {
  const Topology machine = Topology::foreign("core:2 pu:1");
  EXPECT_EQ(machine.place("compact", 5), (List{0, 1, 0, 1, 0}));
  EXPECT_TRUE(machine.oversubscribed("compact", 3));
  EXPECT_FALSE(machine.oversubscribed("compact", 2));
  EXPECT_TRUE(machine.oversubscribed("1", 2));
}

TEST(Placement, RefusesWhatCannotBeInOneLineThatNamesIt) {
  const Topology machine = Topology::foreign("core:4 pu:1");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"dense", "placement 'dense': expected compact, scatter, per-node, smt-first, or a list"},
      {"", "placement ''"},
      {"0,,1", "placement '0,,1'"},
      {"0,", "placement '0,'"},
      {"3-1", "placement '3-1'"},
      {"1-", "placement '1-'"},
      {"0,2x", "placement '0,2x'"},
      {"99999999999", "placement '99999999999'"},
      {"4", "CPU 4 in placement '4': no such CPU on this machine, expected one of 0-3"},
      {"0-4294967295", "CPU 4294967295 in placement"},
      {"1,0-2", "CPU 1 in placement '1,0-2': named twice"}};
  for (const auto& one : cases) {
    const std::string message = message_of([&] { machine.place(one.first, 1); });
    const std::string& expected = one.second;
    EXPECT_TRUE(message.starts_with(expected)) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_EQ(message_of([&] { machine.place("compact", 0); }), "threads 0: expected 1 or more");
}

TEST(Topology, ThreadCountsHaveThePowersOfTwoAndTheEdgesThePlacementMeets) {
  const Topology machine = Topology::foreign("package:2 [numa] l3:3 core:3 pu:2");
  EXPECT_EQ(machine.thread_counts("compact"), (List{1, 2, 3, 4, 8, 9, 16, 18, 32, 36}));
  EXPECT_EQ(machine.thread_counts("smt-first"), (List{1, 2, 4, 6, 8, 16, 18, 32, 36}));
  EXPECT_EQ(machine.thread_counts("scatter"), (List{1, 2, 4, 8, 16, 18, 32, 36}));
  EXPECT_EQ(machine.thread_counts("5"), (List{1}));
}

TEST(Topology, KnowsNodesAndTheirCpus) {
  const Topology machine = Topology::foreign(two_sockets);
  EXPECT_EQ(machine.nodes(), (List{0, 1}));
  EXPECT_EQ(machine.node_cpus(1), (List{8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(machine.node_of(11), 1U);
  EXPECT_EQ(machine.sockets(), 2U);
  EXPECT_TRUE(machine.smt());
  EXPECT_THROW(machine.node_of(16), std::invalid_argument);
}

TEST(Topology, KnowsTheSizesOfACoresOwnCacheAndOfTheLastOne) {
  const Topology machine =
      Topology::foreign("package:1 l3:1(size=16MiB) l2:4(size=1MiB) core:1 pu:2");
  EXPECT_EQ(machine.private_cache_bytes(), 1u << 20);
  EXPECT_EQ(machine.last_cache_bytes(), 16u << 20);
}

TEST(Topology, XmlCarriesTheMachineToAFileAndBack) {
  const Topology machine = Topology::foreign("package:2 [numa] l3:2 core:2 pu:2");
  const auto path = std::filesystem::temp_directory_path() /
                    ("faultline-topology-" + std::to_string(getpid()) + ".xml");
  std::ofstream(path) << machine.xml();
  const Topology read = Topology::foreign(path);
  std::filesystem::remove(path);
  EXPECT_TRUE(read.is_foreign());
  for (const std::string& placement : placement_names())
    EXPECT_EQ(read.place(placement, 16), machine.place(placement, 16)) << placement;
}

TEST(Topology, RefusesTextThatDescribesNoMachine) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("faultline-no-topology-" + std::to_string(getpid()) + ".xml");
  std::ofstream(path) << "{\"not\": \"a topology\"}";
  for (const std::string& text : {std::string(), std::string("no-such-file.xml"), path.string()}) {
    const std::string message = message_of([&] { Topology::foreign(text); });
    EXPECT_TRUE(message.starts_with("topology '" + text + "': expected")) << message;
  }
  std::filesystem::remove(path);
}

TEST(Topology, DescribesWhatWouldBePinned) {
  EXPECT_EQ(describe(Topology::foreign(two_sockets), "scatter", 3),
            "thread 0 -> cpu 0 (node 0, socket 0, core 0)\n"
            "thread 1 -> cpu 8 (node 1, socket 1, core 4)\n"
            "thread 2 -> cpu 4 (node 0, socket 0, core 2)\n");
}

TEST(Topology, ForeignOneRefusesToBindAndToAsk) {
  const Topology machine = Topology::foreign(two_sockets);
  char byte = 0;
  EXPECT_THROW(machine.bind_self(0), std::runtime_error);
  EXPECT_THROW(machine.bind_memory(&byte, 1, 0), std::runtime_error);
  EXPECT_THROW(machine.verify_pages(&byte, 1, 0), std::runtime_error);
}

TEST(Topology, IsForeignWhereTheEnvironmentShowsAnotherMachine) {
  setenv("HWLOC_SYNTHETIC", "core:64 pu:1", 1);
  const Topology shown = Topology::here();
  unsetenv("HWLOC_SYNTHETIC");
  EXPECT_TRUE(shown.is_foreign());
  EXPECT_THROW(shown.bind_self(0), std::runtime_error);
  EXPECT_FALSE(Topology::here().is_foreign());
}

TEST(Topology, PinsToEachUsableCpu) {
  const Topology here = Topology::here();
  for (const Cpu& cpu : here.cpus()) {
    std::jthread([&] {
      here.bind_self(cpu.os);
      EXPECT_EQ(static_cast<u32>(sched_getcpu()), cpu.os);
      EXPECT_EQ(verify_cpu(cpu.os), std::nullopt);
      EXPECT_NE(verify_cpu(cpu.os + 1), std::nullopt);
    });
  }
}

TEST(Topology, StaysInsideTheAffinityItIsGiven) {
  const Topology whole = Topology::here();
  const u32 last = whole.cpus().back().os;
  std::jthread([&] {
    whole.bind_self(last);
    const Topology narrow = Topology::here();
    ASSERT_EQ(narrow.cpus().size(), 1U);
    EXPECT_EQ(narrow.cpus().front().os, last);
    EXPECT_EQ(narrow.place("scatter", 2), (List{last, last}));
    if (whole.cpus().size() == 1) return;
    const std::string other = std::to_string(whole.cpus().front().os);
    EXPECT_EQ(message_of([&] { narrow.place(other, 1); }),
              "CPU " + other + " in placement '" + other +
                  "': not allowed to this process, expected one of " + std::to_string(last));
  });
}

TEST(Topology, FailsToPinToACpuThatDoesNotExist) {
  const Topology here = Topology::here();
  EXPECT_THROW(here.bind_self(100000), std::runtime_error);
}

class Pages : public ::testing::Test {
 protected:
  void SetUp() override {
    void* probe = this;
    int where = 0;
    if (syscall(SYS_move_pages, 0, 1UL, &probe, nullptr, &where, 0) != 0)
      GTEST_SKIP() << "move_pages: " << std::strerror(errno);
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
    madvise(memory_, bytes_, MADV_NOHUGEPAGE);
  }
  void TearDown() override {
    if (memory_ != nullptr) munmap(memory_, bytes_);
  }

  const usize page_ = static_cast<usize>(sysconf(_SC_PAGESIZE));
  const usize bytes_ = 3000 * page_;  // several batches of the query, the last one not full
  void* memory_ = nullptr;
};

TEST_F(Pages, AreFoundOnTheNodeThatTheyWereBoundTo) {
  const Topology here = Topology::here();
  here.bind_memory(memory_, bytes_, here.nodes().front());
  std::memset(memory_, 1, bytes_);
  EXPECT_EQ(here.verify_pages(memory_, bytes_, here.nodes().front()), std::nullopt);
}

TEST_F(Pages, OnAnotherNodeThanExpectedAreReported) {
  const Topology here = Topology::here();
  here.bind_memory(memory_, bytes_, here.nodes().front());
  std::memset(memory_, 1, bytes_);
  const u32 other = here.nodes().back() + 1;
  const auto error = here.verify_pages(memory_, bytes_, other);
  ASSERT_TRUE(error);
  EXPECT_EQ(*error, "3000 of 3000 pages are not on node " + std::to_string(other) +
                        ": page 0 is on node " + std::to_string(here.nodes().front()));
}

TEST_F(Pages, NeverTouchedAreReportedByTheFirst) {
  const Topology here = Topology::here();
  std::memset(memory_, 1, bytes_);
  madvise(static_cast<char*>(memory_) + 2500 * page_, page_, MADV_DONTNEED);
  const auto error = here.verify_pages(memory_, bytes_, here.nodes().front());
  ASSERT_TRUE(error);
  EXPECT_NE(error->find("page 2500 is not in memory"), std::string::npos) << *error;
}

TEST(CheckPlacement, PassesEveryPlacementHere) {
  for (const std::string& placement : placement_names()) {
    std::ostringstream out;
    EXPECT_EQ(check_placement(placement, 0, out), 0) << out.str();
    EXPECT_NE(out.str().find("PASS " + placement), std::string::npos) << out.str();
  }
}

TEST(CpuList, JoinsNeighbours) {
  EXPECT_EQ(cpu_list({7, 0, 5, 2, 4, 6}), "0,2,4-7");
  EXPECT_EQ(cpu_list({}), "");
}

}  // namespace
}  // namespace faultline
