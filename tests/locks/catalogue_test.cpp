// The catalogue's names: parsed, printed in one form, and refused with a list of what exists.
#include "locks/catalogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <stdexcept>

#include "harness/case/names.hpp"
#include "tests/paths.hpp"
#include "workloads/catalogue.hpp"

namespace faultline {
namespace {

std::string canonical(Families families, const std::string& text) {
  try {
    return choose(families, text).text();
  } catch (const std::invalid_argument& error) {
    return std::string("refused: ") + error.what();
  }
}
std::string canonical_workload(const std::string& text) {
  try {
    return workload_named(text).text();
  } catch (const std::invalid_argument& error) {
    return std::string("refused: ") + error.what();
  }
}

TEST(Names, LeaveDefaultsOutAndComeInOneOrder) {
  const std::map<std::string, std::string> names = {
      {"mmap_sem", "mmap_sem"},
      {"mmap_sem:lock=rwsem:vmas=rbtree:osq=on", "mmap_sem"},
      {"mmap_sem:vmas=sorted_array:osq=off", "mmap_sem:osq=off:vmas=sorted_array"},
      {"mmap_sem:handoff=off:osq=off", "mmap_sem:osq=off:handoff=off"},
      {"range_lock:structure=rwsem:writer_steal=off",
       "range_lock:structure=rwsem:writer_steal=off"},
      {"refcount:lock=rwsem_2012", "refcount:lock=rwsem_2012"},
      {"range_lock:narrow=unmap,fault", "range_lock:narrow=fault,unmap"},
      {"range_lock:narrow=scan,fault,map,unmap,protect,brk,discard", "range_lock"},
      {"range_lock:narrow=none:ranges=maple_range_lock",
       "range_lock:ranges=maple_range_lock:narrow=none"}};
  for (const auto& [text, name] : names) EXPECT_EQ(canonical(scheme_family, text), name);
  EXPECT_EQ(canonical(lock_families, "rwsem:reader_steal=on:osq=off"), "rwsem:osq=off");
  EXPECT_EQ(canonical_workload("page_fault1:size=2048K"), "page_fault1");
  EXPECT_EQ(canonical_workload("page_fault1:size=1024K"), "page_fault1:size=1M");
  EXPECT_EQ(canonical_workload("mix:shared=on:faults=01"), "mix:faults=1:shared=on");
}

TEST(Names, AreTheirOwnCanonicalForm) {
  for (const std::string& name : stars_of(scheme_family | lock_families, true))
    EXPECT_EQ(canonical(scheme_family | lock_families, name), name);
}

TEST(Names, ThatAreWrongAreAnsweredWithThoseThatExist) {
  const std::map<std::string, std::string> refused = {
      {"mmap_semaphore", "expected one of none, mmap_sem, range_lock"},
      {"mmap_sem:locks=rwsem", "there is no option locks, expected one of lock, osq"},
      {"mmap_sem:lock=ticket", "lock=ticket: expected rwsem or rwsem_2012 or rwsem_2019"},
      {"mmap_sem:osq=no", "osq=no: expected on or off"},
      {"mmap_sem:osq", "'osq' is not KEY=VALUE"},
      {"mmap_sem:osq=off:osq=on", "osq is given twice"},
      {"mmap_sem:lock=rwsem_2012:osq=off", "there is no option osq, expected one of lock, vmas"},
      {"lock_in_tree:vmas=rbtree", "there is no option vmas, expected one of slots"},
      {"refcount:vmas=sorted_array", "expected vmas=rbtree"},
      {"range_lock:narrow=fault,walk",
       "narrow=fault,walk: expected all, none, or some of fault, map"},
      {"range_lock:narrow=fault,none", "narrow=fault,none: expected all, none"},
      {"range_lock:narrow=", "narrow=: expected all, none"},
      {"", "expected one of none"}};
  for (const auto& [text, part] : refused) {
    const std::string said = canonical(scheme_family, text);
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
}

TEST(Names, OfFilesTakeTheRestOfTheText) {
  EXPECT_EQ(choose_workload("replay:file=/a/b:c=d,e.txt").word("file"), "/a/b:c=d,e.txt");
  EXPECT_EQ(choose_workload("replay:file=a:file=b").text(), "replay:file=a:file=b");
}

TEST(Names, ThatEndInAListTakeTheWordsBehindAComma) {
  EXPECT_TRUE(ends_in_list(scheme_family, "range_lock:narrow=fault"));
  EXPECT_TRUE(ends_in_list(scheme_family, "range_lock:structure=mcs:narrow=fault,unmap"));
  EXPECT_FALSE(ends_in_list(scheme_family, "range_lock:narrow=fault:structure=mcs"));
  EXPECT_FALSE(ends_in_list(scheme_family, "range_lock"));
  EXPECT_FALSE(ends_in_list(lock_families, "range_lock:narrow=fault"));
  // No word of a list is the name of another scheme or lock.
  for (const Entry& scheme : catalogue(scheme_family))
    for (const Option& option : scheme.options)
      if (option.kind == ValueKind::list)
        for (const std::string& word : option_values(option))
          if (word != "none") {
            EXPECT_EQ(find_entry(scheme_family | lock_families, word), nullptr) << word;
          }
}

TEST(Names, OfAListHaveABitForEachWord) {
  const auto bits = [](const char* name) { return choose(scheme_family, name).bits("narrow"); };
  EXPECT_EQ(bits("range_lock"), 0b1111111U);
  EXPECT_EQ(bits("range_lock:narrow=none"), 0U);
  EXPECT_EQ(bits("range_lock:narrow=scan,fault"), 0b1000001U);
  EXPECT_EQ(bits("range_lock:narrow=map,map"), 0b10U);
}

TEST(Names, OfOldAreAnsweredWithTheNewOnes) {
  EXPECT_NE(canonical_workload("mix:1:1,shared").find("'mix:faults=1:shared=on'"),
            std::string::npos);
  EXPECT_NE(canonical_workload("replay:a.txt").find("'replay:file=a.txt'"), std::string::npos);
  try {
    scheme_named("mmap_sem:no-osq");
    ADD_FAILURE() << "accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("'mmap_sem:osq=off'"), std::string::npos);
  }
}

TEST(Profiles, HaveTheirOwnNameAndTheTypeOfTheirComposition) {
  for (const Profile& profile : profiles) {
    const Chosen chosen = choose(scheme_family, profile.name);
    EXPECT_EQ(chosen.text(), profile.name);
    EXPECT_EQ(chosen.composition(), choose(scheme_family, profile.composition).text());
    EXPECT_EQ(find_entry(scheme_family, profile.name), &chosen.entry());
  }
}

TEST(Profiles, AreNativePointsBesideTheStar) {
  for (const Profile& profile : profiles)
    for (const char* name : {profile.name, profile.composition})
      EXPECT_NO_THROW(require_star(choose(scheme_family, name), Layout::linux_6_18)) << name;
  EXPECT_THROW(require_star(choose(scheme_family, "linux-5.1"), Layout::packed),
               std::invalid_argument);
  EXPECT_THROW(
      require_star(choose(scheme_family, "mmap_sem:osq=off:vmas=maple"), Layout::linux_6_18),
      std::invalid_argument);
}

TEST(Profiles, TakeNoOptions) {
  const std::string said = canonical(scheme_family, "linux-6.4:vmas=rbtree");
  EXPECT_NE(said.find("a kernel profile takes no options, expected linux-6.4 alone, or its scheme "
                      "with another option: "
                      "per_vma_lock:prefetchw=on"),
            std::string::npos)
      << said;
}

TEST(Names, OneDepartureFromTheDefaultsIsInTheStar) {
  EXPECT_NO_THROW(require_star(choose(scheme_family, "mmap_sem:osq=off"), Layout::linux_6_18));
  EXPECT_NO_THROW(require_star(choose(scheme_family, "mmap_sem"), Layout::packed));
  EXPECT_THROW(require_star(choose(scheme_family, "mmap_sem:osq=off"), Layout::packed),
               std::invalid_argument);
  EXPECT_THROW(
      require_star(choose(scheme_family, "mmap_sem:osq=off:vmas=sorted_array"), Layout::linux_6_18),
      std::invalid_argument);
}

TEST(Catalogue, NamesAreUniqueAndDefaultsExist) {
  std::set<std::string> names;
  for (const Family family :
       {mutex_family, shared_family, range_family, vmas_family, scheme_family, broken_family})
    for (const Entry& entry : catalogue(family)) {
      EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
      EXPECT_EQ(choose(family, entry.name).departures(), 0U) << entry.name;
    }
}

TEST(Catalogue, SaysHowToGetAPatentedLockThatThisBuildLeavesOut) {
  const bool built = find_entry(range_family, "list_range_lock") != nullptr;
  EXPECT_EQ(left_out("list_range_lock").empty(), built);
  EXPECT_EQ(left_out("tree_range_lock"), "");
  EXPECT_EQ(left_out("no_lock_of_that_name"), "");
  if (built) return;
  for (const char* name :
       {"list_range_lock", "counting_list_range_lock", "full_range:ranges=list_range_lock"})
    try {
      choose(lock_families | scheme_family, name);
      ADD_FAILURE() << name;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("-DFAULTLINE_PATENTED=ON"), std::string::npos)
          << error.what();
    }
}

TEST(Catalogue, ALockForTheLoopAloneIsNoChoiceOfAScheme) {
  EXPECT_NO_THROW(choose(lock_families, "swap_mutex"));
  EXPECT_NO_THROW(choose(scheme_family, "range_lock:structure=qspinlock"));
  EXPECT_THROW(choose(scheme_family, "range_lock:structure=swap_mutex"), std::invalid_argument);
  EXPECT_THROW(choose(scheme_family, "mmap_sem:lock=incdec_refcount"), std::invalid_argument);
}

TEST(Catalogue, ANumberThatIsLeftOutMayBeThatOfAnotherOption) {
  const Chosen both = choose_workload("lock_loop:section=70:read_gap=5");
  EXPECT_EQ(both.number("read_section"), 70U);
  EXPECT_EQ(both.number("read_gap"), 5U);
  EXPECT_EQ(both.text(), "lock_loop:section=70:read_gap=5");
  EXPECT_EQ(choose_workload("lock_loop:section=70:read_section=0").number("read_section"), 0U);
}

TEST(Catalogue, TheStarHasEachWordOfAListByItself) {
  const std::vector<std::string> star = star_of(*find_entry(scheme_family, "range_lock"));
  for (const char* name : {"range_lock:narrow=none", "range_lock:narrow=scan",
                           "range_lock:ranges=maple_range_lock", "range_lock:structure=rwsem"})
    EXPECT_EQ(std::count(star.begin(), star.end(), name), 1) << name;
  EXPECT_NO_THROW(
      require_star(choose(scheme_family, "range_lock:narrow=fault,map"), Layout::linux_6_18));
  EXPECT_THROW(require_star(choose(scheme_family, "range_lock:narrow=fault:structure=mcs"),
                            Layout::linux_6_18),
               std::invalid_argument);
}

TEST(Catalogue, SaysWhatIsTheKernelAndWhatIsNativeAlone) {
  EXPECT_TRUE(choose(scheme_family, "linux").entry().kernel);
  EXPECT_FALSE(choose(scheme_family, "mmap_sem").is_native_only());
  EXPECT_TRUE(choose(scheme_family, "mmap_sem:lock=pthread_rwlock").is_native_only());
  EXPECT_TRUE(choose_workload("page_fault2").entry().needs_files);
  EXPECT_TRUE(choose_workload("lock_loop").entry().needs_lock);
}

// A row of the README's first table: "| `mmap_sem` | one reader-writer semaphore; ... |".
TEST(Catalogue, HasTheSchemesOfTheReadme) {
  std::ifstream readme(FAULTLINE_SOURCE_DIR "/README.md");
  std::set<std::string> table, schemes;
  std::smatch row;
  for (std::string line; std::getline(readme, line);) {
    if (std::regex_search(line, row, std::regex("^\\| `([a-z0-9_]+)` \\|")))
      table.insert(row[1]);
    else if (!table.empty())
      break;
  }
  for (const Entry& entry : catalogue(scheme_family)) schemes.insert(entry.name);
  EXPECT_EQ(table, schemes);
}

}  // namespace
}  // namespace faultline
