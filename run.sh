#!/usr/bin/env bash
# Runs faultline with one command: installs missing packages, builds, measures, draws the report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'END'
Usage: ./run.sh                                     build, measure suite quick, simulate suite
                                                    sim-quick on modelled machines, draw the report
       ./run.sh OPTION...                           build, run faultline run OPTION..., draw the report
       ./run.sh sim [OPTION...]                     build, simulate, draw the report
       ./run.sh test [--sanitize thread|address]    build and run every test
       ./run.sh --help

An OPTION is one of `faultline run` or `faultline sim`: --suite full, --budget 5m or --out FILE,
for example. Results go to results/runs/TIME-HOST/: results.json, report.html and SVGs.
run.sh installs missing packages with apt, as root or through sudo.
END
}

# Each line names a package and its purpose.
build_packages() {
  cat <<'END'
libc6-dev          the C library's headers
libabsl-dev        Abseil, one of the locks that are compared
libck-dev          Concurrency Kit, two of the locks that are compared
libbenchmark-dev   Google Benchmark, the front of every run
libhwloc-dev       hwloc, the machine's topology and binding
libpfm4-dev        libpfm4, names of hardware events
nlohmann-json3-dev JSON
libcli11-dev       CLI11, the command line
libfmt-dev         fmt, text
liburcu-dev        liburcu, RCU
libboost-context-dev Boost.Context, the simulator's fibers
libgtest-dev       GoogleTest; CMake asks for it in every build
liblzma-dev        liblzma, compressed recordings
relacy-dev         Relacy, the memory model and the fibers of the checker
END
}

test_packages() {
  cat <<'END'
libbenchmark-tools compare.py reads our results
python3-jsonschema tests check results against their schema
python3-scipy      compare.py's tests
END
}

# Each line names a command, the package that has it, and its purpose. A package is missing only if
# its command is, so a command that was installed in another way counts.
build_commands() {
  cat <<'END'
g++        g++             the compiler, 12 or later
cmake      cmake           the build
ninja      ninja-build     the build
pkg-config pkg-config      the build
npm        npm             the modules that draw the report
END
}

test_commands() {
  cat <<'END'
chromium           chromium         the report opens without errors
qemu-system-x86_64 qemu-system-x86  a guest of four memory nodes
cpio               cpio             the guest's files
xz                 xz-utils         compressed recordings
clang++            clang            the recipes' copy is built with it
python3            python3          the script that follows the recipes
END
}

has_package() {
  [[ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" == *" installed" ]]
}

has_node() {
  command -v node >/dev/null &&
    node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null
}

# Prints "PACKAGE  PURPOSE" for each missing package; $1 is "test" when tests will run.
missing() {
  local package command why
  { build_packages; if [[ $1 == test ]]; then test_packages; fi; } |
    while read -r package why; do
      has_package "$package" || printf '%-20s %s\n' "$package" "$why"
    done
  { build_commands; if [[ $1 == test ]]; then test_commands; fi; } |
    while read -r command package why; do
      command -v "$command" >/dev/null || printf '%-20s %s\n' "$package" "$why"
    done
  has_node || printf '%-20s %s\n' nodejs "Node.js 18 or later, which draws the report"
}

# Sets `become_root` to the prefix that runs a command as root; fails if there is none.
find_root() {
  if [[ $(id -u) -eq 0 ]]; then
    become_root=()
  elif command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
    become_root=(sudo)
  else
    return 1
  fi
}

install_missing() {
  local list packages
  list=$(missing "$1")
  [[ -n $list ]] || return 0
  printf 'Missing packages:\n%s\n' "$list" >&2
  mapfile -t packages < <(awk '{ print $1 }' <<<"$list" | sort -u)
  if ! command -v apt-get >/dev/null; then
    echo "run.sh: no apt-get here: install the packages above, which have Debian's names" >&2
    exit 2
  fi
  if ! find_root; then
    echo "run.sh: neither root nor sudo: run the next line as root, then ./run.sh again:" >&2
    echo "apt-get update && apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 2
  fi
  "${become_root[@]}" apt-get update -qq
  "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >&2
}

# Installs the report's modules, unless they are there and the lock file has not changed.
install_modules() {
  local taken=plots/node_modules/.package-lock.taken
  cmp -s plots/package-lock.json "$taken" && return 0
  npm ci --prefix plots --no-audit --no-fund --loglevel=error >&2
  cp plots/package-lock.json "$taken"
}

# Builds the targets $2... (all if there are none) in folder $1. Shows CMake's output only when it
# fails. CMake writes build.ninja last, so an interrupted configuration runs again.
build() {
  local folder=$1 log
  shift
  if [[ ! -f $folder/build.ninja ]]; then
    mkdir -p "$folder"
    log=$folder/configure.log
    cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DFAULTLINE_SANITIZE="${sanitize:-}" -DFAULTLINE_PATENTED="${FAULTLINE_PATENTED:-OFF}" \
      >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  elif [[ -n ${FAULTLINE_PATENTED:-} ]]; then
    cmake -S . -B "$folder" -DFAULTLINE_PATENTED="$FAULTLINE_PATENTED" >/dev/null
  fi
  cmake --build "$folder" ${1:+--target "$@"} >&2
}

run_tests() {
  sanitize=
  if [[ ${1:-} == --sanitize ]]; then
    sanitize=${2:-}
    shift $(($# < 2 ? $# : 2))
    if [[ $sanitize != thread && $sanitize != address ]]; then
      echo "run.sh: --sanitize '$sanitize': expected thread or address" >&2
      exit 2
    fi
  fi
  if [[ $# -gt 0 ]]; then
    echo "run.sh: test '$1': expected --sanitize thread, --sanitize address, or nothing" >&2
    exit 2
  fi
  local folder=build${sanitize:+-$sanitize} jobs
  install_missing test
  install_modules
  build "$folder"
  jobs=$(nproc)
  exec ctest --test-dir "$folder" --output-on-failure --parallel $((jobs < 4 ? jobs : 4)) </dev/null
}

# Prints the value of -o, --out or --benchmark_out among the arguments; empty without one.
asked_out() {
  local out=
  while [[ $# -gt 0 ]]; do
    case $1 in
      --out=* | --benchmark_out=*) out=${1#*=} ;;
      -o | --out | --benchmark_out) out=${2:-} ;;
      -o*) out=${1#-o} ;;
    esac
    shift
  done
  printf '%s' "$out"
}

# Draws the results in the files $1.. together, into the folder of $1.
draw() {
  local folder
  folder=$(dirname "$1")
  build/faultline report "$@" -o "$folder/report.html" --svg "$folder/svg"
  echo "report: $folder/report.html"
}

# Runs `faultline $1` with the options $2.., then simulates suite $models unless that is empty, then
# draws the report.
measure() {
  local verb=$1 out made='' status=0 before
  shift
  out=$(asked_out "$@")
  if [[ -z $out ]]; then
    made=results/runs/$(date +%Y%m%d-%H%M%S)-$(uname -n)
    mkdir -p "$made"
    out=$made/results.json
    set -- "$@" --out "$out"
  fi
  before=$(stat -c %Y.%i "$out" 2>/dev/null) || before=
  build/faultline "$verb" "$@" || status=$?
  # Without results (bad input, --benchmark_list_tests), the folder goes too.
  if [[ -n $made ]]; then rmdir --ignore-fail-on-non-empty "$made"; fi
  # An interrupted run leaves a result too. A run that measured nothing leaves an older one as it was.
  if [[ ! -f $out || $(stat -c %Y.%i "$out") == "$before" ]]; then return "$status"; fi
  local results=("$out")
  if [[ -n $models && $status -lt 128 ]]; then
    local simulated=${out%/*}/simulated.json
    build/faultline sim --suite "$models" --out "$simulated" || status=$?
    if [[ -f $simulated ]]; then results+=("$simulated"); fi
  fi
  draw "${results[@]}" || status=$?
  return "$status"
}

main() {
  case ${1:-} in
    -h | --help)
      usage
      if [[ -x build/faultline ]]; then build/faultline run --help; build/faultline sim --help; fi
      ;;
    test)
      shift
      run_tests "$@"
      ;;
    *)
      local verb=run models=''
      if [[ $# -eq 0 ]]; then models=sim-quick; fi
      if [[ ${1:-} == sim ]]; then verb=sim && shift; fi
      install_missing run
      install_modules
      build build faultline
      measure "$verb" "$@"
      ;;
  esac
}

main "$@"
