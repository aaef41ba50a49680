#include "plots/report.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "results/case_axes.hpp"
#include "results/data_files.hpp"
#include "results/files.hpp"
#include "results/fit.hpp"
#include "results/native_and_simulated.hpp"
#include "results/reader.hpp"

extern char** environ;

namespace faultline {
namespace {

struct Finished {
  int status = 0;
  std::string errors;
};

/** A file without a name that holds `text`, at its beginning. */
int open_text(const std::string& text) {
  const int file = memfd_create("faultline", MFD_CLOEXEC);
  std::size_t written = 0;
  while (file >= 0 && written < text.size()) {
    const ssize_t put = write(file, text.data() + written, text.size() - written);
    if (put < 0 && errno != EINTR) break;
    if (put > 0) written += static_cast<std::size_t>(put);
  }
  if (file < 0 || written < text.size()) throw std::runtime_error(std::strerror(errno));
  lseek(file, 0, SEEK_SET);
  return file;
}

/** Runs a program on that standard input with its standard error caught. Not through a shell: file
 * names may hold anything. */
Finished run_program(std::vector<std::string> arguments, const std::string& input) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::strerror(errno));
  const int input_file = open_text(input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input_file, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(input_file);
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

/** What no single file tells, worked out over all of them. */
nlohmann::json compute(const std::vector<std::string>& files) {
  std::vector<nlohmann::json> parts;
  for (const std::string& file : files) parts.push_back(load_results(file)["faultline"]);
  nlohmann::json computed = nlohmann::json::object();
  if (nlohmann::json fit = fit_of(parts, published_curves_path()); !fit["systems"].empty())
    computed["fit"] = std::move(fit);
  computed["axes"] = axes_of(parts);
  computed["native_and_simulated"] = native_and_simulated(parts);
  return computed;
}

}  // namespace

int report(const std::vector<std::string>& files, const std::string& out_html,
           const std::string& svg_directory) {
  if (files.empty()) throw std::invalid_argument("report: no results, expected one file or more");
  if (out_html.empty() && svg_directory.empty()) {
    throw std::invalid_argument("report: nowhere to draw to, expected -o FILE.html or --svg DIR");
  }
  const nlohmann::json computed = compute(files);
  if (!out_html.empty()) require_writable(out_html);
  const std::filesystem::path plots = data_file("plots");
  require_modules(plots);
  std::vector<std::string> arguments = {"node", (plots / "render.mjs").string(), "--computed"};
  if (!out_html.empty()) arguments.insert(arguments.end(), {"--html", out_html});
  if (!svg_directory.empty()) arguments.insert(arguments.end(), {"--svg", svg_directory});
  // A path from "./" on, since render.mjs takes what begins with dashes for an option.
  for (const std::string& file : files)
    arguments.push_back(std::filesystem::absolute(file).string());
  const Finished finished = run_program(arguments, computed.dump());
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
