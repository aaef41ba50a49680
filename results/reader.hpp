#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace faultline {

/**
 * Loads a final file. Truncated or foreign JSON, another schema version, or a case without what
 * compare, report and summary read throws std::invalid_argument, one line with file, place and what
 * was expected.
 */
nlohmann::json load_results(const std::string& path);

}  // namespace faultline
