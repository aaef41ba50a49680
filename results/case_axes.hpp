#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace faultline {

/**
 * The axes of the cases in these results: each file's own declarations (see axes_json in
 * harness/case/axes.hpp), then the rows of this program's table that no file declares. So an axis
 * that a later version added and declared counts here too. `parts`: the "faultline" parts of
 * results, which need not declare any.
 */
nlohmann::json axes_of(const std::vector<nlohmann::json>& parts);

/**
 * Fills in the settings that the cases of `part` leave out: the default for an axis that the file
 * declares, and for an axis that it does not know the value that cases had before the axis existed.
 * "axes" of `part` then is axes_of({part}).
 */
void complete_settings(nlohmann::json& part);

/**
 * What makes two cases the same one, wherever and for however long they ran: workload, scheme,
 * placement, number of threads, and every axis of `axes`.
 */
std::string case_key(const nlohmann::json& one, const nlohmann::json& axes);

/** The label of the case's value of an axis; empty for an empty text. */
std::string setting_label(const nlohmann::json& one, const nlohmann::json& axis);

}  // namespace faultline
