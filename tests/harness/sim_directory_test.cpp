// The directory by itself: what GETS, GETX and INV make of a line, and which copy is nearest.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "harness/sim/engine/directory.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using sim::Cpu;
using sim::Directory;
using sim::Kind;
using sim::Line;
using sim::Machine;
using sim::State;

class SimDirectory : public SimTest {};

// Thread i runs on CPU 10 * i of the machine: on e7-8870 a socket each.
struct OnSockets {
  explicit OnSockets(const std::string& name) : machine(Machine::load(name)) {
    for (u32 i = 0; i < cpus.size(); ++i) {
      cpus[i].index = i;
      cpus[i].place = machine.places[10 * i];
    }
  }
  Machine machine;
  std::vector<Cpu> cpus = std::vector<Cpu>(4);
  sim::Arena arena{4, 64 << 10};
  Directory directory{machine, arena, cpus};
  u64 at = sim::Arena::offset(arena.allocate(0, 0, 64, 64));
  Line& line = directory.line_at(at);
};

TEST_F(SimDirectory, AFirstReadTakesTheLineExclusively) {
  OnSockets on("e7-8870");
  on.directory.get_shared(on.cpus[1], on.line, 1);
  EXPECT_EQ(on.line.state, State::exclusive);
  EXPECT_EQ(on.line.owner, 1);
  EXPECT_EQ(on.line.entry, 0U) << "a private line needs no directory entry";
  EXPECT_TRUE(Directory::is_private(on.cpus[1], on.line));
}

TEST_F(SimDirectory, AModifiedLineThatIsReadGoesHomeInMesiAndStaysOwnedInMoesi) {
  for (const auto& [name, state, owner] : {std::tuple("e7-8870", State::shared, sim::no_cpu),
                                           std::tuple("epyc-7742x2", State::owned, sim::u16{0})}) {
    OnSockets on(name);
    on.directory.get_exclusive(on.cpus[0], on.line, 1);
    EXPECT_EQ(on.line.state, State::modified);
    on.directory.get_shared(on.cpus[1], on.line, 1);
    EXPECT_EQ(on.line.state, state) << name;
    EXPECT_EQ(on.line.owner, owner) << name;
    EXPECT_TRUE(on.directory.has_copy(on.cpus[0], on.line));
    EXPECT_TRUE(on.directory.has_copy(on.cpus[1], on.line));
    EXPECT_FALSE(Directory::is_exclusive(on.cpus[0], on.line));
  }
}

TEST_F(SimDirectory, AWriteInvalidatesAllOtherCopies) {
  OnSockets on("e7-8870");
  on.directory.get_exclusive(on.cpus[0], on.line, 1);
  on.directory.get_shared(on.cpus[1], on.line, 1);
  on.directory.get_exclusive(on.cpus[2], on.line, 1);
  EXPECT_EQ(on.line.state, State::modified);
  EXPECT_TRUE(Directory::is_exclusive(on.cpus[2], on.line));
  EXPECT_FALSE(on.directory.has_copy(on.cpus[0], on.line));
  EXPECT_FALSE(on.directory.has_copy(on.cpus[1], on.line));
  EXPECT_EQ(on.line.entry, 0U) << "without sharers the entry is free again";
}

TEST_F(SimDirectory, AReaderIsServedByTheNearestCopyAndAWriterWaitsForTheFarthest) {
  OnSockets on("e7-8870");  // from socket 1: sockets 0 and 2 are one hop away, 3 is two
  on.directory.get_exclusive(on.cpus[3], on.line, 1);
  on.directory.get_shared(on.cpus[0], on.line, 1);
  const sim::DirectoryEntry& entry = on.directory.entry(on.line);
  EXPECT_EQ(on.directory.nearest_copy(on.cpus[1], entry), sim::one_hop);
  EXPECT_EQ(on.directory.source_for(on.cpus[1], on.line, {on.at, 4, Kind::store}).distance,
            sim::one_hop + 1);
}

TEST_F(SimDirectory, SharingIsTrueWhereTheBytesAreTheSame) {
  OnSockets on("e7-8870");
  on.directory.get_exclusive(on.cpus[0], on.line, sim::byte_mask(on.at, 4));
  const auto reason = [&](u64 at) {
    return on.directory.source_for(on.cpus[1], on.line, {at, 4, Kind::load}).reason;
  };
  EXPECT_EQ(reason(on.at), sim::Reason::true_sharing);
  EXPECT_EQ(reason(on.at + 4), sim::Reason::false_sharing);
}

}  // namespace
}  // namespace faultline
