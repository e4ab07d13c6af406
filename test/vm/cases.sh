#!/bin/bash
# cases.sh DIRECTORY: runs DIRECTORY/*/script one after another in the test VM. Prints for each a line
# "index status stdout-size stderr-size", then that many bytes of each stream.
work=$(mktemp -d /run/cases.XXXXXX)
index=0
for own in "$1"/*/; do
  timeout --signal=INT --kill-after=5 "$(cat "$own/seconds")" bash "$own/script" >"$work/out" 2>"$work/err" </dev/null
  status=$?
  printf '%d %d %d %d\n' "$index" "$status" "$(stat -c %s "$work/out")" "$(stat -c %s "$work/err")"
  cat "$work/out" "$work/err"
  # A process that a case left behind may still write to the old files; the next case gets new ones.
  rm -f "$work/out" "$work/err"
  index=$((index + 1))
done
