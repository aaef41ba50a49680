#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "results/aggregate.hpp"

namespace faultline {

/** One thread does nearly everything where Jain's index times the number of threads, which is how
 * many threads share the work, is less than this: one thread does about four fifths or more. */
inline constexpr double few_threads = 1.5;
/** From this factor between the fastest and the slowest seed on, a case with too few seeds to tell
 * modes is in doubt. */
inline constexpr double wide_spread = 2;

/**
 * The rates of a simulated case's throughput trials by mode; see modes(). One mode for a measured
 * case: its repetitions differ by the machine's other load, and `compare` tests them.
 */
std::vector<std::vector<double>> modes_of(const CaseTrials& trials);

/**
 * The trials of the mode that most seeds fall into, or of the slower one of two equal modes. All of
 * the case's estimates are over these, since a median over two modes is a rate that no seed has.
 */
CaseTrials main_mode_of(const CaseTrials& trials);

/** The rates of the larger of modes(rates), or of the slower of two equal ones. */
std::vector<double> main_mode(const std::vector<double>& rates);

/**
 * Why a simulated case should not be trusted, as [{"kind", "why"}]; empty if nothing speaks against
 * it, and for a measured case. Kinds:
 *   "unsettled": the warm-up of a trial reached its cap before its throughput had settled
 *   "one_thread": in a trial, one thread of a role did nearly everything
 *   "modes": the seeds fall into two modes
 *   "spread": the seeds are far apart, and too few to tell modes
 * Throws nlohmann::json::exception for a malformed record.
 */
nlohmann::json doubts_of(const CaseTrials& trials);

/** The reasons of a case's "doubtful" as one text; empty for a case without doubt. */
std::string doubts_text(const nlohmann::json& one);

}  // namespace faultline
