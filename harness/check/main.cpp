// The checker's executable: `faultline check` starts it with its own arguments.
#include "harness/check/common/command_line.hpp"

int main(int argc, char** argv) {
  return faultline::check::exit_code_of(faultline::check::check_command, argc, argv);
}
