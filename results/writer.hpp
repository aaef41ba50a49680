#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "results/journal.hpp"

namespace faultline {

/**
 * The final file of a run: Google Benchmark's "context" and "benchmarks", and "faultline" as
 * results/schema.json has it. Throws std::invalid_argument for records that lack what a trial must
 * have; `where` names their file.
 */
nlohmann::json build_results(const JournalContent& journal, const std::string& where);

/** Writes `results` as text, whole or not at all; see write_atomically. */
void write_results(const nlohmann::json& results, const std::string& path);

/** `faultline recover`, and the end of every run: the final file from a journal. Returns what it
 * wrote. */
nlohmann::json recover(const std::string& journal, const std::string& out);

}  // namespace faultline
