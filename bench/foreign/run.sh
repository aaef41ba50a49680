#!/usr/bin/env bash
# Runs build/bench/range with the range locks of a checkout of https://github.com/thuaduc/concurrent-range-locking.
# Each folder src/v0, src/v1, ... of it has one: skip lists with a lock for each node and without locks, the list of
# Kogan and others, and Song's skip list under a mutex. Their code has no licence, so no line of it is here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() {
  echo "bench/foreign/run.sh: $*" >&2
}
usage="usage: bench/foreign/run.sh CHECKOUT [BUILD]: BUILD is the folder in which faultline is built, build if not given"
if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  echo "$usage"
  exit 0
fi
if [[ $# -lt 1 || $# -gt 2 || $1 == -* ]]; then
  echo "$usage" >&2
  exit 2
fi
checkout=$1
build=${2:-$here/../../build}
bench=$build/bench/range
if [[ ! -x $bench ]]; then
  say "$bench: no such program, expected it built: cmake --build $build --target range"
  exit 2
fi
compiler=${CXX:-g++}
if ! command -v "$compiler" >/dev/null; then
  say "$compiler: no such compiler, expected g++, or the one that CXX names"
  exit 2
fi
libraries=$(mktemp -d)
trap 'rm -rf "$libraries"' EXIT

# Prints the type of the lock in the file $1.
type_of() {
  if grep -q MutexRangeAcquire "$1"; then
    echo ListRL
  elif grep -q SongRangeLock "$1"; then
    echo SongRangeLock
  elif grep -q ConcurrentRangeLock "$1"; then
    echo 'ConcurrentRangeLock<std::uint64_t, 4>'
  fi
}

# Builds library $3 with the lock of type $2 in the file $1. Locks of one name in two libraries stay two, as all but the
# functions are hidden. A library that lacks a definition is refused here, not when it is loaded.
compile() {
  LC_ALL=C "$compiler" -std=c++20 -O2 -w -shared -fPIC -fvisibility=hidden -Wl,-z,defs -DSOURCE="\"$1\"" \
    -DLOCK="$2" "$here/library.cpp" -o "$3" 2>"$libraries/log"
}

arguments=()
shopt -s nullglob
for folder in "$checkout"/src/v[0-9]*/; do
  version=$(basename "$folder")
  source=
  for file in "$folder"range_lock.cpp "$folder"range_lock.hpp; do
    if [[ -z $source && -f $file ]]; then source=$(realpath "$file"); fi
  done
  lock=${source:+$(type_of "$source")}
  if [[ -z $lock ]]; then
    say "left out $folder: expected range_lock.cpp or range_lock.hpp with ConcurrentRangeLock, SongRangeLock or" \
      "MutexRangeAcquire"
    continue
  fi
  if ! compile "$source" "$lock" "$libraries/$version.so"; then
    why=$(grep -m1 -E 'error|undefined reference' "$libraries/log" || head -n 1 "$libraries/log")
    say "left out $source: it does not compile: $why"
    continue
  fi
  arguments+=("$version=$libraries/$version.so")
done
if [[ ${#arguments[@]} -eq 0 ]]; then
  say "$checkout: no range lock that can be run, expected a checkout with src/v0, src/v1, ..."
  exit 2
fi
"$bench" "${arguments[@]}"
