#include "harness/calibrate/calibrate.hpp"

#include "harness/cli/commands.hpp"
#include "harness/cli/parse.hpp"

namespace faultline {

void add_calibrate_command(CLI::App& app, int& exit_code) {
  struct Arguments {
    calibrate::Request request;
    std::string samples = "101";
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* calibrate_app = app.add_subcommand(
      "calibrate", "measures this machine and writes a machine file for `faultline sim --machine`");
  calibrate_app->add_option("-o,--out", arguments->request.out, "the machine file, FILE.json")
      ->required();
  calibrate_app->add_option("--cpus", arguments->request.cpus,
                            "measure only these CPUs, such as 0,2-3; all if not given");
  calibrate_app
      ->add_option("--samples", arguments->samples, "samples of each quantity on each pair of CPUs")
      ->capture_default_str();
  calibrate_app->callback([arguments, &exit_code] {
    arguments->request.effort.samples =
        static_cast<u32>(parse_number("--samples", arguments->samples, 1, 100'000));
    calibrate::calibrate(arguments->request);
    exit_code = 0;
  });
}

}  // namespace faultline
