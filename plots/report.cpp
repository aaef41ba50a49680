#include "plots/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "results/case_axes.hpp"
#include "results/data_files.hpp"
#include "results/files.hpp"
#include "results/fit.hpp"
#include "results/native_and_simulated.hpp"
#include "results/process.hpp"
#include "results/questions.hpp"
#include "results/reader.hpp"

namespace faultline {
namespace {

// Runs node without a shell, since file names may hold any character.
ChildOutput run_node(const std::vector<std::string>& arguments, const std::string& input,
                     Interrupts& interrupts) {
  if (find_program("node").empty())
    throw std::runtime_error(
        "cannot run node: expected Node.js 18 or later in PATH (apt install nodejs, or from "
        "nodejs.org)");
  return run_process(arguments, {.input = &input, .out = {Output::To::inherited}}, interrupts);
}

void require_modules(const std::filesystem::path& plots) {
  for (const char* module : {"vega", "vega-lite", "vega-embed"}) {
    if (std::filesystem::exists(plots / "node_modules" / module / "package.json")) continue;
    throw std::runtime_error(
        fmt::format("no module {}, {}: expected it installed: npm ci --prefix {}", module,
                    (plots / "node_modules").string(), plots.string()));
  }
}

/** The answers to the questions of these results' suites. Another suite may run some of the cases,
 * and its user did not ask. */
nlohmann::json answers_of_suites(const std::vector<nlohmann::json>& parts) {
  nlohmann::json asked = nlohmann::json::array();
  for (nlohmann::json& answers : all_answers(parts))
    if (std::any_of(parts.begin(), parts.end(), [&](const nlohmann::json& part) {
          return part.value("suite", "") == answers["name"];
        }))
      asked.push_back(std::move(answers));
  return asked;
}

/** The statistics over all files together. */
nlohmann::json compute(const std::vector<std::string>& files) {
  std::vector<nlohmann::json> parts;
  for (const std::string& file : files) parts.push_back(load_results(file)["faultline"]);
  nlohmann::json computed = nlohmann::json::object();
  computed["fits"] = fits_of(parts, published_curves());
  computed["axes"] = axes_of(parts);
  computed["native_and_simulated"] = native_and_simulated(parts);
  computed["answers"] = answers_of_suites(parts);
  computed["results"] = std::move(parts);
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
  // Paths begin with "./", since render.mjs takes arguments that begin with a dash for options.
  for (const std::string& file : files)
    arguments.push_back(std::filesystem::absolute(file).string());
  Interrupts interrupts;
  const ChildOutput node = run_node(arguments, computed.dump(), interrupts);
  if (node.interrupted) return 128 + interrupts.signal();
  const std::string line = node.error.substr(0, node.error.find('\n'));
  if (node.exit_code() == 2) throw std::invalid_argument(line);
  if (node.exit_code() != 0) {
    throw std::runtime_error(
        fmt::format("drawing failed: {}", line.empty() ? "node was ended" : line));
  }
  return 0;
}

}  // namespace faultline
