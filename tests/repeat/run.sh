#!/usr/bin/env bash
# Runs the suites several times, some of the runs beside a busy loop on each core, and prints which tests ever differed.
#
#   tests/repeat/run.sh [RUNS [BUSY]]     RUNS: the number of runs (10); BUSY: how many of them are beside busy loops (half)
#   SUITES="rust js php browser"          the suites, in this order
#   ARGS="--package fanwire-core"         the arguments of `cargo test` (--workspace)
#   SUITE_SECONDS_MAX=3600                a suite that takes longer is ended and counts as failed
#
# It builds once, before the first run; do not change the tree until the last run has ended. The results lie in
# build/repeat/TIME: runs.tsv and results.tsv (see report.awk), the report, and the output of each suite in each run.
# It owns the busy loops, and ends each by its process id; a loop also ends by itself when this script is gone.
set -euo pipefail
cd "$(dirname "$0")/../.."
RUNS=${1:-10}
BUSY=${2:-$((RUNS / 2))}
SUITES=${SUITES:-rust js php browser}
ARGS=${ARGS:---workspace}
SUITE_SECONDS_MAX=${SUITE_SECONDS_MAX:-3600}
HERE=$PWD/tests/repeat
LOOPS=()

die() {
  echo "repeat: $*" >&2
  exit 2
}
[[ $RUNS =~ ^[1-9][0-9]*$ ]] || die "RUNS is the number of runs, such as 10, and not '$RUNS'"
[[ $BUSY =~ ^[0-9]+$ ]] && ((BUSY <= RUNS)) || die "BUSY is a number of runs up to $RUNS, and not '$BUSY'"
for suite in $SUITES; do
  [[ $suite =~ ^(rust|js|php|browser)$ ]] || die "there is no suite '$suite': name some of rust, js, php and browser"
done

end_loops() {
  for pid in "${LOOPS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${LOOPS[@]}"; do wait "$pid" 2>/dev/null || true; done
  LOOPS=()
}
trap end_loops EXIT

# Starts one busy loop for each core. A loop looks once in a while whether this script is still there.
start_loops() {
  local core
  for ((core = $(nproc); core > 0; core--)); do
    (trap - EXIT; while kill -0 $$ 2>/dev/null; do for ((turn = 0; turn < 1000000; turn++)); do :; done; done) &
    LOOPS+=("$!")
  done
}

has() { [[ " $SUITES " == *" $1 "* ]]; }

# node_tests FOLDER TESTS: runs the tests of a package, and adds its verdicts to VERDICTS. TESTS is the folder of its tests.
node_tests() {
  local folder=$1
  (cd "$folder" && timeout "$SUITE_SECONDS_MAX" node --test --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter="$HERE/node-reporter.mjs" --test-reporter-destination="$VERDICTS.part" "$2"/*.test.js)
  local status=$?
  sed "s#\t#\t$folder/#" "$VERDICTS.part" >>"$VERDICTS" || true
  return "$status"
}

# Each of these runs one suite, prints what its tools print, and leaves lines "VERDICT<tab>TEST" in VERDICTS.
suite_rust() {
  local status=0
  # shellcheck disable=SC2086
  timeout "$SUITE_SECONDS_MAX" cargo test --no-fail-fast $ARGS 2>&1 | tee "$VERDICTS.part" || status=1
  awk -f "$HERE/rust.awk" "$VERDICTS.part" >"$VERDICTS"
  return "$status"
}
suite_js() {
  local status=0
  node_tests client-sdk/js test || status=1
  node_tests console test || status=1
  return "$status"
}
suite_browser() {
  node_tests tests/browser .
}
suite_php() {
  local status=0
  timeout "$SUITE_SECONDS_MAX" client-sdk/php/test.sh --log-junit "$VERDICTS.part" || status=1
  if [[ -e $VERDICTS.part ]]; then awk -f "$HERE/phpunit.awk" "$VERDICTS.part" >"$VERDICTS"; fi
  timeout "$SUITE_SECONDS_MAX" tests/php/run.sh 2>&1 | tee "$VERDICTS.part" || status=1
  sed -n 's/^ok [0-9]* - /ok\ttests\/php: /p' "$VERDICTS.part" >>"$VERDICTS"
  return "$status"
}

# --- Everything is built once, before the first run.
if has rust || has php || has browser; then cargo build --workspace; fi
# shellcheck disable=SC2086
if has rust; then cargo test --no-run $ARGS; fi
PACKAGES=()
if has js; then PACKAGES+=(client-sdk/js console); fi
if has browser; then PACKAGES+=(tests/browser); fi
for package in "${PACKAGES[@]}"; do
  (cd "$package" && npm ci --no-audit --no-fund && { [[ ! -e tsconfig.json ]] || npx tsc; })
done

FOLDER=build/repeat/$(date +%Y%m%d-%H%M%S)
mkdir -p "$FOLDER"
touch "$FOLDER/runs.tsv" "$FOLDER/results.tsv"
for ((run = 1; run <= RUNS; run++)); do
  # The busy runs are spread over all of them, so that a slow quarter of an hour does not fall into one kind only.
  condition=quiet
  if ((run * BUSY / RUNS > (run - 1) * BUSY / RUNS)); then
    condition=busy
    start_loops
  fi
  for suite in $SUITES; do
    VERDICTS=$PWD/$FOLDER/verdicts
    rm -f "$VERDICTS" "$VERDICTS.part"
    touch "$VERDICTS" "$VERDICTS.part"
    started=$SECONDS
    status=0
    (trap - EXIT; set +e; "suite_$suite") </dev/null >"$FOLDER/$run-$suite.log" 2>&1 || status=$?
    printf '%s\t%s\t%s\t%s\t%s\n' "$run" "$condition" "$suite" "$((SECONDS - started))" "$status" >>"$FOLDER/runs.tsv"
    awk -v run="$run" -v suite="$suite" '{ print run "\t" suite "\t" $0 }' "$VERDICTS" >>"$FOLDER/results.tsv"
    printf 'run %s of %s (%s): %s in %s s, exit code %s\n' "$run" "$RUNS" "$condition" "$suite" "$((SECONDS - started))" "$status"
  done
  end_loops
done
rm -f "$VERDICTS" "$VERDICTS.part"

echo
verdict=0
awk -f "$HERE/report.awk" "$FOLDER/runs.tsv" "$FOLDER/results.tsv" | tee "$FOLDER/report.txt" || verdict=$?
echo
echo "results: $FOLDER"
exit "$verdict"
