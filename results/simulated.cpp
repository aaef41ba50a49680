#include "results/simulated.hpp"

#include <map>
#include <string>

namespace faultline {
namespace {

using nlohmann::json;

double sum_of(const json& numbers) {
  double sum = 0;
  for (const json& number : numbers) sum += number.get<double>();
  return sum;
}

/** Adds every number of `more` to the one at the same place of `total`. */
void add_tree(json& total, const json& more) {
  if (more.is_number()) {
    total = (total.is_number() ? total.get<double>() : 0.0) + more.get<double>();
    return;
  }
  for (const auto& [key, value] : more.items()) add_tree(total[key], value);
}

double total_of(const json& tree) {
  if (tree.is_number()) return tree.get<double>();
  double sum = 0;
  for (const json& value : tree) sum += total_of(value);
  return sum;
}

void divide_tree(json& tree, double divisor) {
  if (tree.is_number())
    tree = tree.get<double>() / divisor;
  else
    for (json& value : tree) divide_tree(value, divisor);
}

json transfers_of(const std::vector<const json*>& records, double operations) {
  json trees = json::object();
  for (const json* record : records) add_tree(trees, (*record)["sim"].at("transfers"));
  json transfers = json::object();
  for (auto& [label, tree] : trees.items()) {
    divide_tree(tree, operations);
    transfers[label] = {{"per_operation", total_of(tree)}, {"by", tree}};
  }
  return transfers;
}

/** The CPUs' time by kind; stalls by label. */
json times_of(const std::vector<const json*>& records) {
  json sums = json::object();
  for (const json* record : records) {
    const json& time = (*record)["sim"].at("time");
    for (const char* kind : {"work", "spinning", "sleeping", "shootdown"})
      add_tree(sums[kind], sum_of(time.at(kind)));
    for (const auto& [label, stalls] : time.at("stall").items())
      add_tree(sums["stall"][label], sum_of(stalls));
  }
  if (const double all = total_of(sums); all > 0) divide_tree(sums, all);
  if (!sums.contains("stall")) sums["stall"] = json::object();
  return sums;
}

}  // namespace

json simulated_of(const std::vector<const json*>& records) {
  std::vector<const json*> counted;
  double operations = 0;
  double milliseconds = 0;
  json seeds = json::array();
  for (const json* record : records) {
    if (!record->contains("sim")) continue;
    counted.push_back(record);
    operations += record->value("operations", 0.0);
    milliseconds += (*record)["sim"].at("simulated_ms").get<double>();
    seeds.push_back((*record)["sim"].at("seed"));
  }
  if (counted.empty() || operations <= 0) return nullptr;
  return {{"machine", (*counted.front())["sim"].at("machine")},
          {"seeds", seeds},
          {"simulated_ms", milliseconds},
          {"transfers", transfers_of(counted, operations)},
          {"time", times_of(counted)}};
}

}  // namespace faultline
