#!/usr/bin/env bash
# Tests the container image: it contains only the binary; the binary starts, passes its own health check, and drains when it
# is stopped.
#
# The Docker engine of this machine builds and runs the image; as root, the test starts an engine and stops it afterwards.
# Where no engine can run, the binary runs in an empty root directory instead.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
context="$root/build/image"
binary="$context/fanwire"
work=$(mktemp -d)
image=fanwire:test-$$
container=fanwire-test-$$
# The engine filters events by the beginning of a name, so neither name may begin with the other.
refused=fanwire-refused-$$
engine=""

finish() {
    docker rm -f "$container" "$refused" >/dev/null 2>&1 || true
    docker rmi -f "$image" >/dev/null 2>&1 || true
    if [ -n "$engine" ]; then
        kill "$engine" 2>/dev/null || true
        wait "$engine" || true
    fi
    rm -rf "$work"
}
trap finish EXIT

fail() {
    printf 'FAILED: image: %s\n' "$*" >&2
    exit 1
}

ok() { printf 'ok: image: %s\n' "$*"; }

# Starts a separate engine that does not use the machine's network, sockets and images.
start_engine() {
    local line
    exec {output}< <(exec dockerd --host "unix://$work/docker.sock" --pidfile "$work/docker.pid" \
        --data-root "$work/data" --exec-root "$work/exec" --storage-driver vfs \
        --bridge none --iptables=false --ip6tables=false 2>&1)
    engine=$!
    while IFS= read -r -t 60 line <&"$output"; do
        printf '%s\n' "$line" >>"$work/engine.log"
        if [[ $line == *"API listen on"* ]]; then
            cat <&"$output" >>"$work/engine.log" &
            export DOCKER_HOST="unix://$work/docker.sock"
            return 0
        fi
    done
    printf 'no Docker engine can run here: %s\n' "$(tail -n 3 "$work/engine.log")"
    engine=""
    return 1
}

have_engine() {
    command -v docker >/dev/null || return 1
    if docker info >/dev/null 2>&1; then return 0; fi
    [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null && start_engine
}

# Waits until the engine reports that the container is healthy.
await_health() {
    local status="" watcher
    exec {events}< <(exec timeout 60 docker events --since "$1" --format '{{.Status}}' \
        --filter "container=$container" --filter event=health_status --filter event=die)
    watcher=$!
    IFS= read -r status <&"$events" || true
    kill "$watcher" 2>/dev/null || true
    [ "$status" = "health_status: healthy" ] ||
        fail "it did not become healthy ($status): $(docker logs "$container" 2>&1 | tail -n 5)"
}

test_with_engine() {
    local started
    docker build --quiet --tag "$image" --file Containerfile "$context" >"$work/build.log" 2>&1 ||
        fail "it cannot be built: $(cat "$work/build.log")"
    [ "$(docker inspect --format '{{len .RootFS.Layers}}' "$image")" = 1 ] || fail "it has more than the layer of the binary"
    [ "$(docker inspect --format '{{.Config.User}}' "$image")" = 65532:65532 ] || fail "it does not run as user 65532"
    docker create --name "$container" "$image" >/dev/null
    docker export "$container" | tar -t | grep -vE '^(dev|etc|proc|sys|\.dockerenv)' >"$work/files"
    docker rm "$container" >/dev/null
    [ "$(cat "$work/files")" = fanwire ] || fail "it holds more than the binary: $(cat "$work/files")"
    ok "built from nothing but the binary, for a user without rights"

    if timeout 30 docker run --rm --name "$refused" --network none "$image" >"$work/refused" 2>&1; then
        fail "it serves everyone without being told --open"
    fi
    grep -q -- --open "$work/refused" || fail "the refusal does not name --open: $(cat "$work/refused")"
    ok "refuses to serve everyone unless it is told --open"

    started=$(date +%s)
    docker run --detach --name "$container" --network none --read-only --cap-drop ALL \
        --security-opt no-new-privileges --health-interval 1s "$image" --open >/dev/null
    await_health "$started"
    ok "starts on a read-only base without capabilities and passes its own health check"

    docker stop --time 20 "$container" >/dev/null
    [ "$(docker inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || fail "it did not drain and exit with 0"
    ok "drains and exits with 0 when it is stopped"
}

test_without_engine() {
    local base="$work/base" broker line="" as_root=()
    mkdir "$base"
    cp "$binary" "$base/fanwire"
    [ "$(id -u)" = 0 ] || as_root=(--user --map-root-user)
    exec {output}< <(exec env -i unshare "${as_root[@]}" --root="$base" /fanwire serve --listen 127.0.0.1:0 2>"$work/log")
    broker=$!
    while IFS= read -r -t 20 line <&"$output"; do
        if [[ $line =~ http://127\.0\.0\.1:[0-9]+ ]]; then break; fi
    done
    [[ $line =~ http://127\.0\.0\.1:[0-9]+ ]] || fail "the binary does not start in an empty root: $(cat "$work/log")"
    env -i unshare "${as_root[@]}" --root="$base" /fanwire health --url "${BASH_REMATCH[0]}/readyz" ||
        fail "the health check fails in an empty root"
    kill "$broker"
    wait "$broker" || fail "the binary did not drain and exit with 0"
    ok "the binary starts in an empty root, passes its own health check, and exits with 0 (no Docker engine here)"
}

[ -x "$binary" ] || fail "$binary is missing; run 'make image-binary'"
case $(ldd "$binary" 2>&1 || true) in
*"statically linked"* | *"not a dynamic executable"*) ok "the binary is static" ;;
*) fail "the binary is not static: $(ldd "$binary")" ;;
esac
if have_engine; then test_with_engine; else test_without_engine; fi
