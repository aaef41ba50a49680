// The excuses that headers of locks give for weakened orders: how they are read, and which are
// wrong.
#include "harness/check/common/excuses.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "harness/check/common/sources.hpp"

namespace faultline::check {
namespace {

// A source that the program contains, so that a Site can name it.
constexpr const char* file = "locks/mutex/mcs.hpp";

std::string error_of(std::string_view text) {
  try {
    excuses_of(file, text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

Tried tried(u32 line, SiteKind kind, Order order, Order weaker, bool caught) {
  return {{{file, line, 20, kind, order}, weaker}, caught};
}

Tried weakened_store(u32 line, bool caught) {
  return tried(line, SiteKind::store, Order::release, Order::relaxed, caught);
}

constexpr std::string_view excused_store =
    "// release: pairs with the load.\n"
    "// weakened release survives, store_order: the other store to the word\n"
    "// comes later.\n"
    "word.store(\n"
    "    1, std::memory_order_release);\n"
    "word.store(2, std::memory_order_release);\n";

TEST(Excuses, AreReadWithTheStatementBelow) {
  const std::vector<Excuse> excuses = excuses_of(file, excused_store);
  ASSERT_EQ(excuses.size(), 1u);
  EXPECT_EQ(excuses[0].line, 2u);
  EXPECT_EQ(excuses[0].first_line, 4u);
  EXPECT_EQ(excuses[0].last_line, 5u);
  EXPECT_EQ(excuses[0].loss, Loss::release);
  EXPECT_EQ(excuses[0].reason, Reason::store_order);
  EXPECT_EQ(excuses[0].sentence, "the other store to the word comes later.");
}

TEST(Excuses, OfBothHalvesOfAnOrderStandInOneComment) {
  const std::vector<Excuse> excuses = excuses_of(file,
                                                 "  // weakened acquire survives, hint: one.\n"
                                                 "  // weakened release survives, program: two.\n"
                                                 "  f();\n");
  ASSERT_EQ(excuses.size(), 2u);
  EXPECT_EQ(excuses[0].sentence, "one.");
  EXPECT_EQ(excuses[1].sentence, "two.");
  EXPECT_EQ(excuses[0].first_line, 3u);
}

u32 last_line_of(std::string_view statement) {
  const std::string text = "// weakened wake survives, hint: none.\n" + std::string(statement);
  return excuses_of(file, text).front().last_line - 1;
}

TEST(Excuses, EndWithTheirStatement) {
  EXPECT_EQ(last_line_of("f();\ng();\n"), 1u);
  EXPECT_EQ(last_line_of("const Pte seen{\n    entry.load()};\ng();\n"), 2u);
  EXPECT_EQ(last_line_of("while (seen != 0 &&\n       !word.load()) {\n  g();\n}\n"), 2u);
  EXPECT_EQ(
      last_line_of("if (a)\n  if (T* b = c.exchange([&] { return 1; }))\n    return b;\ng();"), 3u);
  EXPECT_EQ(last_line_of("f(\"; // \", ';', 1'000,  // one;\n  2);\ng();\n"), 2u);
}

TEST(Excuses, ThatAreMalformedAreToldWithTheirLine) {
  EXPECT_EQ(error_of("\n// weakened order survives, hint: one.\nf();\n"),
            std::string(file) +
                ":2: an excuse of 'order': expected one of acquire, release, seq_cst, acquire on "
                "failure, seq_cst on failure, wake");
  EXPECT_NE(error_of("// weakened wake survives, luck: one.\nf();\n")
                .find(":1: an excuse for "
                      "'luck': expected one "
                      "of load_buffering, "),
            std::string::npos);
  EXPECT_NE(error_of("// so it survives being weakened.\nf();\n").find(":1: "), std::string::npos);
  EXPECT_NE(error_of("// weakened wake survives: one.\nf();\n").find("without ' survives, '"),
            std::string::npos);
  EXPECT_NE(error_of("// weakened wake survives, hint: one. Two.\nf();\n").find("one sentence"),
            std::string::npos);
  EXPECT_NE(error_of("// weakened wake survives, hint: one\nf();\n").find("one sentence"),
            std::string::npos);
  EXPECT_NE(error_of("// weakened wake survives, hint: one.\n\nf();\n").find("no statement"),
            std::string::npos);
  EXPECT_NE(error_of("// weakened wake survives, hint: one.\n"
                     "// weakened wake survives, hint: two.\nf();\n")
                .find(":2: a second excuse of wake"),
            std::string::npos);
}

TEST(Excuses, ExcuseWhatSurvives) {
  const std::vector<Excuse> excuses = excuses_of(file, excused_store);
  const Judgement judgement =
      judge(excuses, {weakened_store(5, false), weakened_store(6, false)}, true);
  ASSERT_EQ(judgement.excuse_of.size(), 2u);
  EXPECT_EQ(judgement.excuse_of[0], &excuses[0]);
  EXPECT_EQ(judgement.excuse_of[1], nullptr);
  EXPECT_TRUE(judgement.errors.empty());
}

TEST(Excuses, OfAnOrderThatIsCaughtAreWrong) {
  const Judgement judgement =
      judge(excuses_of(file, excused_store), {weakened_store(4, true)}, false);
  ASSERT_EQ(judgement.errors.size(), 1u);
  EXPECT_EQ(judgement.errors[0], std::string(file) +
                                     ":2: excuses release, but the checker notices '" + file +
                                     ":4:20 store release -> relaxed': take the excuse away");
}

TEST(Excuses, ThatNothingUsesAreWrong) {
  const std::vector<Excuse> excuses = excuses_of(file, excused_store);
  const Tried load = tried(4, SiteKind::load, Order::acquire, Order::relaxed, true);
  EXPECT_EQ(judge(excuses, {load}, false).errors.size(), 1u);
  // A search of other locks does not reach the statement. A search of all locks should reach it.
  EXPECT_EQ(judge(excuses, {}, false).errors.size(), 0u);
  EXPECT_EQ(judge(excuses, {}, true).errors.size(), 1u);
}

TEST(Excuses, TellTheTwoOrdersOfACompareExchangeApart) {
  const std::vector<Excuse> excuses =
      excuses_of(file, "// weakened acquire on failure survives, hint: one.\nf();\n");
  const auto success = tried(2, SiteKind::exchange, Order::acquire, Order::relaxed, false);
  const auto failure = tried(2, SiteKind::failure, Order::acquire, Order::relaxed, false);
  EXPECT_FALSE(excuses[0].covers(success.weakening));
  EXPECT_TRUE(excuses[0].covers(failure.weakening));
}

TEST(Weakenings, TakeOneHalfOfAnOrderAway) {
  const auto losses = [](SiteKind kind, Order order) {
    std::vector<Loss> all;
    for (const Weakening& weakening : weakenings_of({file, 1, 1, kind, order}))
      all.push_back(loss_of(weakening));
    return all;
  };
  using Losses = std::vector<Loss>;
  EXPECT_EQ(losses(SiteKind::exchange, Order::acq_rel), (Losses{Loss::release, Loss::acquire}));
  EXPECT_EQ(losses(SiteKind::exchange, Order::seq_cst), Losses{Loss::seq_cst});
  EXPECT_EQ(losses(SiteKind::load, Order::acquire), Losses{Loss::acquire});
  EXPECT_EQ(losses(SiteKind::failure, Order::acquire), Losses{Loss::acquire_on_failure});
  EXPECT_EQ(losses(SiteKind::wake, Order::relaxed), Losses{Loss::wake});
  EXPECT_EQ(losses(SiteKind::load, Order::relaxed), Losses{});
}

TEST(Excuses, InTheHeadersOfLocksAreWellFormed) {
  EXPECT_FALSE(source_text("locks/mutex/osq.hpp").empty());
  EXPECT_FALSE(excuses_in_locks().empty());
}

TEST(Sources, AreNamedByTheEndOfTheirPath) {
  EXPECT_EQ(short_name("/home/locks/harness/check/main.cpp"), "harness/check/main.cpp");
  EXPECT_EQ(short_name("../locks/mutex/mcs.hpp"), "locks/mutex/mcs.hpp");
  EXPECT_EQ(short_name("/elsewhere/other.hpp"), "/elsewhere/other.hpp");
}

}  // namespace
}  // namespace faultline::check
