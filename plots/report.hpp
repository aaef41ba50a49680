#pragma once

#include <string>
#include <vector>

namespace faultline {

/**
 * `faultline report`: draws the results in `files` into one self-contained HTML file and, as SVGs,
 * into a directory; either may be empty, not both. plots/render.mjs draws under Node.js, with
 * the modules that `npm ci` put beside it. Returns 0, or 128 + n when signal n ended it. Throws
 * std::invalid_argument for files that are no results or a place that cannot be written,
 * std::runtime_error (which says what to install) where Node.js or the modules are missing.
 */
int report(const std::vector<std::string>& files, const std::string& out_html,
           const std::string& svg_directory);

}  // namespace faultline
