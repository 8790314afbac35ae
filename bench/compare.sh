#!/usr/bin/env bash
# Measures fanwire beside its peers: every scenario of docs/benchmarks.md, several times in alternation, medians shown. The
# server has one core and the load another. Tables, JSON and pictures go into target/bench. Takes about twenty-five minutes;
# REPEAT and SECONDS_EACH make that more or less, and names of scenarios as arguments choose some.
#
# Nothing that was started here is left running: each scenario has a time limit, and ends with all its servers.
set -uo pipefail
cd "$(dirname "$0")/.."
program=${FANWIRE:-target/release/fanwire}
peers=target/bench-peers/bin
out=target/bench
repeat=${REPEAT:-3}
seconds=${SECONDS_EACH:-3}
limit=${LIMIT_EACH:-300}
chosen=" $* "
mkdir -p "$out"

programs=()
for name in nats:nats-server nginx:nginx mosquitto:mosquitto; do
    if [ -x "$peers/${name#*:}" ]; then programs+=("--${name%%:*}" "$PWD/$peers/${name#*:}"); fi
done

running=
finish() {
    # timeout leads a process group of its own, which the servers are in as well.
    if [ -n "$running" ]; then kill -TERM -- "-$running" 2>/dev/null; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

# measure NAME ARGUMENTS...: one scenario, into $out/NAME.txt, .json and .svg.
measure() {
    local name=$1
    shift
    if [ "$chosen" != "  " ] && [[ "$chosen" != *" $name "* ]]; then return; fi
    echo "== $name: fanwire bench $*"
    timeout --kill-after=10 "$limit" "$program" bench "$@" --repeat "$repeat" "${programs[@]}" \
        --svg "$out/$name.svg" --json-file "$out/$name.json" >"$out/$name.txt" 2>"$out/$name.log" &
    running=$!
    if wait "$running"; then cat "$out/$name.txt"; else echo "-- $name gave nothing: $(tail -n 1 "$out/$name.log")"; fi
    running=
}

{
    echo "machine: $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(uname -sr)"
    echo "load when it began: $(cut -d ' ' -f 1-3 /proc/loadavg)"
    echo "versions: $("$program" --version), $([ -x $peers/nats-server ] && $peers/nats-server --version)," \
        "$([ -x $peers/nginx ] && $peers/nginx -v 2>&1), $([ -x $peers/mosquitto ] && $peers/mosquitto -h | head -n 1)"
} | tee "$out/machine.txt"

flow=(--seconds "$seconds")
all=--driver=fanwire,nats,nchan,floor
measure fanout-64 fanout "${flow[@]}" --driver=fanwire,nats,nchan,mosquitto,floor
measure fanout-256 fanout "${flow[@]}" --window 256 --frames-per-send 256 $all
measure fanout-1000 fanout "${flow[@]}" --subscribers 1000 $all
measure rate-1000 fanout "${flow[@]}" --rate 1000 $all
measure topics topics "${flow[@]}" --driver fanwire,nats,floor
measure publishers fanout "${flow[@]}" --publishers 100 --window 8 --driver fanwire,nats
measure payload-16 fanout "${flow[@]}" --payload 16 $all
measure payload-1024 fanout "${flow[@]}" --payload 1024 $all
measure payload-65536 fanout "${flow[@]}" --payload 65536 --window 16 --frames-per-send 8 --driver fanwire,nats,nchan,floor
measure tls fanout "${flow[@]}" --payload 1024 --driver fanwire,fanwire-tls
measure tls-idle idle --seconds 2 --driver fanwire,fanwire-tls
measure encodings fanout "${flow[@]}" --driver fanwire,fanwire-msgpack,fanwire-bare,fanwire-sse
measure workers workers "${flow[@]}"
measure workers-1000 workers "${flow[@]}" --subscribers 1000 --publishers 2 --window 256
measure workers-rate workers "${flow[@]}" --subscribers 1000 --rate 100
measure stuck stuck --seconds 16 --rate 50 --payload 8192 --driver fanwire,nats
# Long enough that fanwire cuts off those who do not read while it is measured.
measure stuck-cut-off stuck --seconds 40 --rate 50 --payload 8192 --driver fanwire
measure patterns patterns --driver fanwire,nats
measure storm storm --driver fanwire,nats,nchan,mosquitto
measure churn churn "${flow[@]}" --driver fanwire,nats,mosquitto
measure idle idle --seconds 2 --driver fanwire,nats,nchan
measure retained retained --driver fanwire
measure replay replay --driver fanwire,fanwire-msgpack,fanwire-bare,fanwire-sse
measure replay-disk replay --directory "${TMPDIR:-/tmp}" --driver fanwire
measure durable durable "${flow[@]}" --publishers 10 --window 100 --no-pin
echo "load when it ended: $(cut -d ' ' -f 1-3 /proc/loadavg)" | tee -a "$out/machine.txt"
