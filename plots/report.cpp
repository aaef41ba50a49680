#include "plots/report.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "results/files.hpp"
#include "results/reader.hpp"

extern char** environ;

namespace faultline {
namespace {

constexpr const char* source_directory = FAULTLINE_SOURCE_DIR;

struct Finished {
  int status = 0;
  std::string errors;
};

/** Runs a program with its standard error caught. Not through a shell: file names may hold
 * anything. */
Finished run_program(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    throw std::runtime_error(fmt::format(
        "cannot run {}, {}: expected Node.js 18 or later (apt install nodejs, or from nodejs.org)",
        argv[0], std::strerror(error)));
  }
  Finished finished;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) != 0;) {
    if (got > 0) finished.errors.append(buffer, static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  close(ends[0]);
  while (waitpid(child, &finished.status, 0) < 0 && errno == EINTR) {
  }
  return finished;
}

void require_modules(const std::filesystem::path& plots) {
  for (const char* module : {"vega", "vega-lite", "vega-embed"}) {
    if (std::filesystem::exists(plots / "node_modules" / module / "package.json")) continue;
    throw std::runtime_error(
        fmt::format("no module {}, {}: expected it installed: npm ci --prefix {}", module,
                    (plots / "node_modules").string(), plots.string()));
  }
}

}  // namespace

int report(const std::vector<std::string>& files, const std::string& out_html,
           const std::string& svg_directory) {
  if (files.empty()) throw std::invalid_argument("report: no results, expected one file or more");
  if (out_html.empty() && svg_directory.empty()) {
    throw std::invalid_argument("report: nowhere to draw to, expected -o FILE.html or --svg DIR");
  }
  for (const std::string& file : files) load_results(file);
  if (!out_html.empty()) require_writable(out_html);
  const std::filesystem::path plots = std::filesystem::path(source_directory) / "plots";
  require_modules(plots);
  std::vector<std::string> arguments = {"node", (plots / "render.mjs").string()};
  if (!out_html.empty()) arguments.insert(arguments.end(), {"--html", out_html});
  if (!svg_directory.empty()) arguments.insert(arguments.end(), {"--svg", svg_directory});
  // A path from "./" on, since render.mjs takes what begins with dashes for an option.
  for (const std::string& file : files)
    arguments.push_back(std::filesystem::absolute(file).string());
  const Finished finished = run_program(arguments);
  const std::string line = finished.errors.substr(0, finished.errors.find('\n'));
  if (WIFEXITED(finished.status) && WEXITSTATUS(finished.status) == 2)
    throw std::invalid_argument(line);
  if (!WIFEXITED(finished.status) || WEXITSTATUS(finished.status) != 0) {
    throw std::runtime_error(
        fmt::format("drawing failed: {}", line.empty() ? "node was ended" : line));
  }
  return 0;
}

}  // namespace faultline
