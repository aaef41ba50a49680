#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "harness/stats/stats.hpp"

namespace faultline {

struct CompareOptions {
  double threshold = 0.02;  // a fraction: how much slower the median must be before it counts
  double alpha = 0.05;      // chance of at least one false alarm over all cases together
};

enum class ShiftVerdict { unchanged, faster, slower, blind };

/** One case that both sides measured. */
struct CaseShift {
  std::string name;
  std::vector<double> base;  // operations per second, one value per repetition
  std::vector<double> changed;
  double shift = 0;  // of the median, as a fraction; below 0 is slower
  double p = 1;      // Mann-Whitney, two-sided, Holm-corrected over all compared cases
  double power = 0;  // chance to find a regression of 5 % in this case; only `compare` sets it
  ShiftVerdict verdict = ShiftVerdict::unchanged;
};

/**
 * Decides case by case. `slower` (a regression) means that the corrected p is below alpha **and**
 * the median is down by more than the threshold; `faster` likewise. `blind` means so few
 * repetitions that no outcome of the test could be significant. The threshold is not part of the
 * test: it says which shift is worth an alarm. Set it below the shift that you want to find, since
 * a measured median is as often below the true median as above it. Callers set name, base and
 * changed of each case; `judge` fills in the rest.
 */
void judge(std::vector<CaseShift>& cases, const CompareOptions& options);

/**
 * The chance that `judge` finds `one` slower by `shift` (a fraction) with so many repetitions a
 * side, among `cases` cases of which no other changed: estimated by drawing from the repetitions at
 * hand, each divided by its side's median. It is 0 with one repetition a side.
 */
double power(const CaseShift& one, double shift, std::size_t base_repetitions,
             std::size_t changed_repetitions, std::size_t cases, const CompareOptions& options);

/** The fewest repetitions per side, to within a tenth, with which power exceeds 80 %; 0 if a
 * thousand are too few. */
std::size_t repetitions_to_find(const CaseShift& one, double shift, std::size_t cases,
                                const CompareOptions& options);

/**
 * Compares two final files and prints, per case, the shift with its bootstrap 95 % interval and
 * corrected p; what is on one side only, or measured on neither; which cases are doubtful, and why;
 * whether machine, build or settings differ; the shift of the p99 latency by kind, for information.
 * Returns 3 on a regression, 1 if a case that base measured has no throughput in the other,
 * otherwise 0. Throws std::invalid_argument for what cannot be compared: native against simulated,
 * nothing in common, a file that is no result, options out of range.
 */
int compare(const std::string& base, const std::string& changed, const CompareOptions& options,
            std::ostream& out);

}  // namespace faultline
