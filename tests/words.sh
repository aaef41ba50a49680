#!/usr/bin/env bash
# The tree names nothing of the places where it is written: no absolute path into a work folder, and no
# folder beside the checkout. Brackets keep the patterns from finding themselves.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
git rev-parse --git-dir >/dev/null 2>&1 || exit 77
patterns=('(^|[^[:alnum:]_.])/(wor[k]|roo[t])/[[:alnum:]]' '[.][.]/share[d]/' 'share[d]/(traces|hooks|cases|reference)')
status=0
for pattern in "${patterns[@]}"; do
  if git grep -nIE "$pattern" -- ':!tests/fuzz/corpus'; then
    echo "words.sh: expected no text like '$pattern' in the tree" >&2
    status=1
  fi
done
exit $status
