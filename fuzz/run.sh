#!/bin/sh
# Builds every fuzz target and runs each for a while, starting from the golden vectors. Stops with an error at the
# first input that breaks a promise, and says where that input is kept.
#
#   fuzz/run.sh SECONDS_PER_TARGET [TARGET...]
#
# It works with the stable toolchain and installs nothing: libFuzzer comes as source with the crate libfuzzer-sys and is
# built by a C++ compiler; the instrumentation is part of every rustc. There is no address sanitizer, which needs a
# nightly toolchain: the code under test is safe Rust, so broken promises show as panics. With a nightly toolchain and
# cargo-fuzz, `cargo +nightly fuzz run TARGET` runs the same targets.
set -eu

usage() {
    sed -n '2,5p' "$0" | cut -c3- >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
seconds=${1:-}
case $seconds in '' | *[!0-9]*) usage ;; esac
shift

missing=''
command -v cargo >/dev/null || missing="$missing cargo (https://rustup.rs)"
command -v "${CXX:-c++}" >/dev/null || missing="$missing ${CXX:-c++} (on Debian: apt-get install g++)"
if [ -n "$missing" ]; then
    echo "fuzz/run.sh: missing:$missing" >&2
    exit 2
fi

cd "$here"
host=$(rustc -vV | sed -n 's/^host: //p')
if [ $# -eq 0 ]; then
    set -- $(ls fuzz_targets | sed 's/\.rs$//')
fi

# The seeds are written by a program without instrumentation; its few crates are built beside the instrumented ones.
cargo run --quiet --no-default-features --features seeds --bin seeds -- ../protocol/vectors corpus

# What cargo-fuzz asks of rustc, but for the sanitizer. With --target the flags stay away from build scripts and macros.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="$coverage --cfg fuzzing" cargo build --quiet --release --target "$host" --bins

for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log=artifacts/$target.log
    echo "fuzz: $target for $seconds s"
    # An input of 1 MiB is what a broker accepts; short ones find more in a short time. 5 s for one input is a hang.
    if ! "target/$host/release/$target" "corpus/$target" \
        -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 \
        -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $target broke; the input is in $here/artifacts/$target" >&2
        exit 1
    fi
    grep -E 'number_of_executed_units|new_units_added' "$log" | sed 's/^stat::/  /'
done
echo "fuzz: no target broke"
