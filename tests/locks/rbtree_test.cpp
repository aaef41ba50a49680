#include "locks/rbtree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tests/locks/injecting_platform.hpp"

namespace faultline {
namespace {

using P = InjectingPlatform;
constexpr u32 endless = 10'000;  // steps; a descent of a tree at rest takes about ten

struct Item {
  u64 key = 0;
  u64 weight = 0;
  u64 greatest = 0;  // the greatest weight in the subtree
  bool in_tree = false;
  RbLinks<P, Item> links;
};

struct ItemTraits;
using Tree = RbTree<P, Item, ItemTraits>;

struct ItemTraits {
  static RbLinks<P, Item>& links(Item& item) { return item.links; }
  static u64 key(const Item& item) { return item.key; }
  static bool update(Item& item) {
    u64 greatest = item.weight;
    if (Item* child = Tree::left(&item)) greatest = std::max(greatest, child->greatest);
    if (Item* child = Tree::right(&item)) greatest = std::max(greatest, child->greatest);
    const bool changed = greatest != item.greatest;
    item.greatest = greatest;
    return changed;
  }
};

// std::multimap keeps equal keys in the order of insertion, as RbTree promises.
using Model = std::multimap<u64, Item*>;

void expect_same(const Tree& tree, const Model& model) {
  ASSERT_EQ(tree.check(), "");
  Item* node = tree.first();
  u64 greatest = 0;
  for (const auto& [key, item] : model) {
    ASSERT_EQ(node, item);
    greatest = std::max(greatest, item->weight);
    node = Tree::next(node);
  }
  ASSERT_EQ(node, nullptr);
  node = tree.last();
  for (auto it = model.rbegin(); it != model.rend(); ++it, node = Tree::prev(node))
    ASSERT_EQ(node, it->second);
  ASSERT_EQ(node, nullptr);
  if (!model.empty()) {
    ASSERT_EQ(tree.root()->greatest, greatest);
  }
}

void expect_same_bounds(const Tree& tree, const Model& model, u64 key) {
  const auto lower = model.lower_bound(key);
  ASSERT_EQ(tree.lower_bound(key), lower == model.end() ? nullptr : lower->second);
  const auto upper = model.upper_bound(key);
  ASSERT_EQ(tree.floor(key), upper == model.begin() ? nullptr : std::prev(upper)->second);
}

void erase_from(Model& model, Item* item) {
  auto [it, end] = model.equal_range(item->key);
  while (it != end && it->second != item) ++it;
  model.erase(it);
}

class RbTreeRandom : public ::testing::TestWithParam<u64> {};

TEST_P(RbTreeRandom, AgreesWithAMultimapAfterEveryStep) {
  const u64 keys = GetParam();  // few keys give many duplicates
  std::mt19937_64 random(keys);
  std::vector<Item> items(200);
  Tree tree;
  Model model;
  for (int step = 0; step < 4000; ++step) {
    Item& item = items[random() % items.size()];
    if (!item.in_tree) {
      item.key = random() % keys;
      item.weight = random() % 1000;
      tree.insert(&item);
      model.emplace(item.key, &item);
      item.in_tree = true;
    } else if (random() % 4 == 0) {
      item.weight = random() % 1000;
      tree.propagate(&item);
    } else {
      tree.erase(&item);
      erase_from(model, &item);
      item.in_tree = false;
    }
    expect_same(tree, model);
    expect_same_bounds(tree, model, random() % (keys + 2));
    if (HasFatalFailure()) FAIL() << "at step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Keys, RbTreeRandom, ::testing::Values(3, 50, 1'000'000));

TEST(RbTree, StaysBalancedWhenFilledInOrderAndEmptied) {
  std::vector<Item> items(10000);
  Tree tree;
  for (usize i = 0; i < items.size(); ++i) {
    items[i].key = i;
    items[i].weight = i;
    tree.insert(&items[i]);
  }
  ASSERT_EQ(tree.check(), "");
  u32 depth = 0;
  for (Item* node = tree.root(); node != nullptr; node = Tree::right(node)) ++depth;
  EXPECT_LE(depth, 28u);  // 2 log2(n + 1)
  for (usize i = 0; i < items.size(); ++i) {
    ASSERT_EQ(tree.first(), &items[i]);
    tree.erase(&items[i]);
    if (i % 1000 == 0) {
      ASSERT_EQ(tree.check(), "");
    }
  }
  EXPECT_TRUE(tree.empty());
  EXPECT_EQ(tree.check(), "");
}

TEST(RbTree, CheckFindsAForgottenPropagation) {
  std::vector<Item> items(16);
  Tree tree;
  for (usize i = 0; i < items.size(); ++i) {
    items[i].key = i;
    tree.insert(&items[i]);
  }
  items[5].weight = 7;
  EXPECT_EQ(tree.check(), "a node's value is not that of its subtree");
}

TEST(RbTree, CheckFindsKeysOutOfOrder) {
  std::vector<Item> items(16);
  Tree tree;
  for (usize i = 0; i < items.size(); ++i) {
    items[i].key = i;
    tree.insert(&items[i]);
  }
  items[5].key = 9;
  EXPECT_EQ(tree.check(), "keys out of order");
}

TEST(RbTree, HasNoLoopAtAnyMomentOfAnEdit) {
  constexpr u64 count = 16;
  std::vector<Item> items(count);
  Tree tree;
  for (u64 i = 0; i < count; ++i) {
    items[i].key = i;
    tree.insert(&items[i]);
  }
  Injection descents([&] {
    for (u64 key = 0; key < count; ++key) {
      u32 steps = 0;
      for (Item* node = tree.root_rcu(); node != nullptr && ++steps < endless;)
        node = key < node->key ? Tree::left_rcu(node) : Tree::right_rcu(node);
      EXPECT_LT(steps, endless);
    }
  });
  for (Item& item : items) {
    bool more = true;
    for (u32 access = 1; more && !testing::Test::HasFailure(); ++access) {
      more = descents.run(access, [&] { tree.erase(&item); });
      more = descents.run(access, [&] { tree.insert(&item); }) || more;
    }
  }
}

// A reader may miss, but never loops, whether the tree is at rest or changing. Items are never
// freed here and keys never change: the test itself is the reader's grace period.
TEST(RbTree, ReadersDescendWhileAWriterRotates) {
  constexpr u64 count = 512;
  std::vector<Item> items(count);
  Tree tree;
  for (u64 i = 0; i < count; ++i) items[i].key = i;
  std::atomic<bool> stop{false};
  std::atomic<u64> found{0};
  std::thread reader([&] {
    std::mt19937_64 random(1);
    u64 hits = 0;
    while (!stop.load()) {
      const u64 key = random() % count;
      Item* node = tree.root_rcu();
      u32 steps = 0;
      while (node != nullptr && node->key != key && ++steps < endless)
        node = key < node->key ? Tree::left_rcu(node) : Tree::right_rcu(node);
      if (node != nullptr && node->key == key) ++hits;
      ASSERT_LT(steps, endless);
    }
    found.store(hits);
  });
  std::mt19937_64 random(2);
  for (int step = 0; step < 200'000; ++step) {
    Item& item = items[random() % count];
    item.in_tree ? tree.erase(&item) : tree.insert(&item);
    item.in_tree = !item.in_tree;
  }
  stop.store(true);
  reader.join();
  EXPECT_GT(found.load(), 0u);
  EXPECT_EQ(tree.check(), "");
}

}  // namespace
}  // namespace faultline
