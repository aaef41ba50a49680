#!/usr/bin/env bash
# bench/foreign/run.sh runs each lock of a checkout that it can in turn with ours, and says which it leaves out and why.
# The checkout is a stand-in with the interfaces of the real one.
#     foreign_range_locks.sh BUILD
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$1
text=$(bench/foreign/run.sh tests/bench/checkout "$build" 2>&1) || {
  printf 'exit code %s:\n%s\n' $? "$text" >&2
  exit 1
}
expect() {
  if ! grep -qE "$1" <<<"$text"; then
    printf 'expected a line like %s in\n%s\n' "$1" "$text" >&2
    exit 1
  fi
}
for name in pthread_rwlock tree_range_lock v0 v1 v2 v3; do expect "^ +$name +[0-9.]+ ns +ratio [0-9.]+ \["; done
expect 'left out .*src/v4/range_lock.hpp: it does not compile: .*no_such_header'
expect 'left out .*src/v6/range_lock.hpp: it does not compile: .*undefined reference'
expect 'left out .*src/v5/: expected range_lock.cpp'
if grep -qE '^ +v[456] ' <<<"$text"; then
  printf 'expected no row of v4, v5 and v6 in\n%s\n' "$text" >&2
  exit 1
fi
# Bad input: exit code 2 and one line.
refuse() {
  local code=0 line
  line=$("$@" 2>&1) || code=$?
  if [[ $code -ne 2 || $(wc -l <<<"$line") -ne 1 ]]; then
    printf '%s: exit code %s, expected 2 and one line:\n%s\n' "$*" "$code" "$line" >&2
    exit 1
  fi
}
refuse bench/foreign/run.sh
refuse bench/foreign/run.sh tests/bench "$build"
refuse bench/foreign/run.sh tests/bench/checkout /nonexistent
refuse env CXX=/nonexistent bench/foreign/run.sh tests/bench/checkout "$build"
refuse "$build/bench/range" v1=/nonexistent.so
refuse "$build/bench/range" /nonexistent.so
