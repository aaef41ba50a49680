#!/usr/bin/env bash
# The tree speaks of the program alone. It contains no absolute path into a work folder, no folder beside the
# checkout, no tool or word of the place where it is written, and no host name of a recorded run. The brackets keep
# the patterns from finding themselves.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
git rev-parse --git-dir >/dev/null 2>&1 || exit 77
before='(^|[^[:alnum:]_])'
after='([^[:alnum:]_]|$)'
patterns=(
  # Paths.
  '(^|[^[:alnum:]_.])/(wor[k]|roo[t])/[[:alnum:]]'
  '[.][.]/share[d]/'
  'share[d]/(traces|hooks|cases|reference)'
  "${before}case[s]/[0-9]{2}-"
  # Tools, and people at work. `helper` alone is a word of programming.
  'far[m]-(studio|bench)'
  "${before}(coordinato[r]|workplac[e])"
  "${before}([Aa]|[Aa]n|[Tt]he|[Aa]nother|[Ee]ach|[Ee]very|[Oo]ne) helpe[r]s? (read|wrote|found|reported|noticed|reviewed|measured|checked|session)${after}"
  # The record of the work. A bug of a compiler is a bug, and "a thread issues a store" is no record.
  "${before}[Ii]ssu[e]s? (no[.] ?)?#?[0-9]"
  "${before}([Tt]his|[Oo]pen) issu[e]s?${after}"
  "${before}([Tt]his|[Tt]he (next|last|former)|[Aa]n earlier|[Aa]nother) sessio[n]${after}"
  "${before}[Cc]losing not[e]"
)
status=0
# Prints the lines that PATTERN matches in the files of PATHSPEC..., which must be none.
refuse() {
  local pattern=$1
  shift
  if git grep -nIE -e "$pattern" -- "$@"; then
    echo "words.sh: expected no text like '$pattern' in the tree" >&2
    status=1
  fi
}
for pattern in "${patterns[@]}"; do
  refuse "$pattern" ':!tests/fuzz/corpus'
done
# The hosts of recorded runs are called "vm", in a picture's subtitle and in a result.
refuse 'nativ[e] [^ ]+ ([^v]|v[^m]|vm[^ ])' results/reference
refuse '"hos[t]": *"([^v]|v[^m]|vm[^"])' results/reference
exit $status
