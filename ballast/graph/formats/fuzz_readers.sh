#!/bin/sh
# A run of many inputs for each reader of graph files, one after another; prints what each did.
# usage: fuzz_readers.sh BUILD-FOLDER [RUNS]      (a build of the preset "fuzz")
set -eu
program=$1/bin/ballast-graph-format_fuzz
runs=${2:-1000000}
for format in el wel ldbc pairs pairs-f32 pairs-i32 pairs-f64 ligra galois sg wsg dimacs metis mtx gt bgr; do
  printf '%s: ' "$format"
  BALLAST_FUZZ_FORMAT=$format "$program" -runs="$runs" -max_len=512 -verbosity=0 -print_final_stats=1 2>&1 |
    grep -E 'number_of_executed_units|ERROR|SUMMARY' | tr '\n' ' '
  echo
done
