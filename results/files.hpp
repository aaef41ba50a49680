#pragma once

#include <string>
#include <string_view>

namespace faultline {

/**
 * Throws std::invalid_argument unless `path` can become a regular file. A run asks this before
 * it measures for minutes. Leaves nothing behind.
 */
void require_writable(const std::string& path);

/**
 * Writes `text` to a temporary file beside `path`, syncs it and renames it over `path`, so that
 * the final name holds either the former file or all of the new one. Throws std::invalid_argument
 * (one line) when that fails, a full disk included, and removes the temporary file.
 */
void write_atomically(const std::string& path, std::string_view text);

/** The whole file. Throws std::invalid_argument if it cannot be read; `expected` ends the message.
 */
std::string read_text(const std::string& path, const std::string& expected);

}  // namespace faultline
