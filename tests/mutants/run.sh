#!/usr/bin/env bash
# Changes the code a little at a time, and fails if the tests let a change pass that survivors.txt does not explain.
# usage: run.sh ENVIRONMENT, in the project's root; work is kept in ENVIRONMENT/work, where mutmut show NAME tells more.
set -euo pipefail

bin="$PWD/$1/bin" work="$1/work"
rm -rf "$work" && mkdir "$work"
# mutmut knows source folders by the name of src alone.
cp -r wrapper "$work/src"
cp -r generated scripts tests pyproject.toml README.md tests/mutants/setup.cfg "$work"
cd "$work"
"$bin/mutmut" run --max-children "$(nproc)"
# What was late may have been so as the machine was busy, or as the run was paused: it gets another chance.
"$bin/mutmut" results | sed -n 's/^ *\(.*\): timeout$/\1/p' | xargs -r "$bin/mutmut" run --max-children "$(nproc)"
"$bin/mutmut" results | sed -n 's/^ *\(.*\): .*/\1/p' > results.txt
unexplained=0
while read -r mutant; do
  changed="$("$bin/mutmut" show "$mutant" | grep -E '^[-+]([^-+]|$)' || true)"
  if ! grep -qxFf <(sed -n 's/^    //p' tests/mutants/survivors.txt) <(sed 's/^\(.\) */\1 /' <<< "$changed"); then
    unexplained=$((unexplained + 1))
    printf '\n%s\n%s\n' "$mutant" "$changed"
  fi
done < results.txt
printf '\n%s survived or timed out, %s of them unexplained\n' "$(wc -l < results.txt)" "$unexplained"
[ "$unexplained" = 0 ]
