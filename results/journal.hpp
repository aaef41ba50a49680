#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace faultline {

/**
 * The journal of a run: JSON lines, appended as trials end, so that a killed run loses the trial in
 * flight and nothing else. Its first line is the header, which the final file needs besides the
 * trials:
 *   {"faultline_journal": 1, "context": {Google Benchmark's context}, "mode", "date", "suite",
 *    "seed", "command", "machine", "build", "counters", "planned_trials",
 *    "left_out": [{"what", "why"}]}
 *
 * Every other line is a trial's record, or {"left_out": [{"what", "why"}]} for entries that are
 * known only later (a signal ended the run). The last line is {"ended": true}.
 */
class Journal {
 public:
  /** Creates the journal, over a former one of the same name. Throws std::invalid_argument if that
   * fails. */
  Journal(const std::string& path, const nlohmann::json& header);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  /**
   * Appends one line and waits until it is on the disk. A line that cannot be written whole (disk
   * full) is taken back and std::invalid_argument thrown: what was appended before stays readable.
   */
  void append(const nlohmann::json& record);

 private:
  std::string path_;
  int file_ = -1;
};

struct JournalContent {
  nlohmann::json header;               // with "left_out" of all lines
  std::vector<nlohmann::json> trials;  // in the order in which they ended
  bool killed = false;                 // no line says that the run ended
};

/**
 * Reads a journal, complete or of a killed run: one last line without its end is dropped. Anything
 * else that is no journal throws std::invalid_argument with file, line and what was expected.
 */
JournalContent read_journal(const std::string& path);

}  // namespace faultline
