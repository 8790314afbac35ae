#!/usr/bin/env bash
# Tests the files of this folder with the real tools and a running broker: the Prometheus configuration, the dashboard,
# the Compose file, the systemd unit and, in test-image.sh, the container image. It does not know how the broker works.
#
# Usage: deploy/test.sh [URL]
# URL is a running broker, such as http://127.0.0.1:7400; without it, target/debug/fanwire is started on a free port.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
PATH="$root/build/tools:$PATH"
work=$(mktemp -d)
broker=""
passed=0
skipped=0

finish() {
    if [ -n "$broker" ]; then
        kill "$broker" 2>/dev/null || true
        wait "$broker" || true
    fi
    rm -rf "$work"
}
trap finish EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

ok() {
    printf 'ok: %s\n' "$*"
    passed=$((passed + 1))
}

skip() {
    printf 'skipped: %s\n' "$*"
    skipped=$((skipped + 1))
}

need() { command -v "$1" >/dev/null || fail "$1 is missing; run 'make test-tools'"; }

# Starts the broker on a free port and sets url to the address it prints.
start_broker() {
    local binary=${FANWIRE_BIN:-$root/target/debug/fanwire} line
    [ -x "$binary" ] || fail "$binary is missing; run 'make build'"
    exec {output}< <(exec env -i "$binary" serve --listen 127.0.0.1:0 2>"$work/broker.log")
    broker=$!
    while IFS= read -r -t 20 line <&"$output"; do
        if [[ $line =~ http://127\.0\.0\.1:[0-9]+ ]]; then
            url=${BASH_REMATCH[0]}
            cat <&"$output" >/dev/null &
            return
        fi
    done
    fail "the broker printed no address; its log: $(cat "$work/broker.log")"
}

test_prometheus() {
    need promtool
    promtool check config prometheus.yml >"$work/out" || fail "prometheus.yml: $(cat "$work/out")"
    ok "prometheus.yml is a valid configuration"

    curl -fsS --max-time 10 -D "$work/head" -o "$work/metrics" "$url/metrics" || fail "$url/metrics does not answer"
    # Prometheus 3 refuses a scrape with an unknown content type.
    grep -qi '^content-type: text/plain; *version=0\.0\.4' "$work/head" || fail "/metrics has the wrong content type: $(cat "$work/head")"
    promtool check metrics <"$work/metrics" 2>"$work/out" || fail "/metrics: $(cat "$work/out")"
    ok "/metrics is a valid exposition with a valid content type"
}

test_dashboard() {
    local dashboard=grafana/dashboards/fanwire.json name missing=""
    node -e 'JSON.parse(require("fs").readFileSync(process.argv[1]))' "$dashboard" || fail "$dashboard is not JSON"

    grep -oE '\b(fanwire|process)_[a-z_]+' "$dashboard" | sort -u >"$work/named"
    # A histogram's series are its name with these endings; a counter may end in _count by itself, so the bare name counts too.
    sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$work/metrics" >"$work/printed"
    while IFS= read -r name; do
        grep -qxE "$name|${name%_bucket}|${name%_sum}|${name%_count}" "$work/printed" || missing+=" $name"
    done <"$work/named"
    [ -s "$work/named" ] || fail "the dashboard names no metric"
    [ -z "$missing" ] || fail "the dashboard names metrics that the broker does not print:$missing"
    ok "the broker prints all $(wc -l <"$work/named") metrics of the dashboard"

    # A JSON string is a YAML string too, so every expression can become a rule for promtool to parse.
    {
        printf 'groups:\n- name: dashboard\n  rules:\n'
        # shellcheck disable=SC2016 # The dollar signs are Grafana's.
        grep -oE '"expr": ".*"' "$dashboard" | sed -e 's/"expr": //' -e 's/\$__rate_interval/1m/g' -e 's/\$instance/.+/g' |
            awk '{ printf "  - record: dashboard:expression:%d\n    expr: %s\n", NR, $0 }'
    } >"$work/rules.yml"
    promtool check rules "$work/rules.yml" >"$work/out" 2>&1 || fail "an expression of the dashboard: $(cat "$work/out")"
    ok "$(grep -c record "$work/rules.yml") expressions of the dashboard are valid PromQL"

    # Grafana finds the data source by its uid; a dashboard with another one stays empty.
    local uid
    uid=$(sed -n 's/^ *uid: //p' grafana/provisioning/datasources/prometheus.yaml)
    if grep -A1 '"type": "prometheus"' "$dashboard" | grep '"uid"' | grep -vq "\"uid\": \"$uid\""; then
        fail "the dashboard uses a data source other than '$uid'"
    fi
    ok "the dashboard uses the provisioned data source"
}

test_compose() {
    local path
    if docker compose version >/dev/null 2>&1; then
        docker compose -f compose.yaml config --quiet || fail "compose.yaml"
        ok "compose.yaml is valid"
    elif command -v docker-compose >/dev/null; then
        docker-compose -f compose.yaml config --quiet || fail "compose.yaml"
        ok "compose.yaml is valid"
    else
        skip "compose.yaml: neither 'docker compose' nor docker-compose is here"
    fi
    # A missing file would be mounted as an empty folder, without an error.
    while IFS= read -r path; do
        [ -e "$path" ] || fail "compose.yaml mounts $path, which does not exist"
    done < <(sed -n 's/^ *- \(\.\/[^:]*\):.*/\1/p' compose.yaml)
    ok "every file that compose.yaml mounts exists"
}

test_unit() {
    if ! command -v systemd-analyze >/dev/null; then
        skip "fanwire.service: no systemd-analyze here"
        return
    fi
    # The unit is checked with a binary that exists, because systemd looks for it.
    sed "s#^ExecStart=[^ ]*#ExecStart=$(command -v true)#" fanwire.service >"$work/fanwire.service"
    systemd-analyze verify --man=no "$work/fanwire.service" >"$work/out" 2>&1 || fail "fanwire.service: $(cat "$work/out")"
    [ ! -s "$work/out" ] || fail "fanwire.service: $(cat "$work/out")"
    ok "fanwire.service is a valid unit"
    # 0 is a service without permissions, 10 a service with all permissions; the threshold is ten times that.
    systemd-analyze security --offline=true --threshold=20 --no-pager "$work/fanwire.service" >"$work/out" 2>&1 ||
        fail "fanwire.service is exposed: $(tail -1 "$work/out")"
    ok "fanwire.service is hardened: $(tail -1 "$work/out" | sed 's/.*service: \([0-9.]*\).*/exposure \1 of 10/')"
}

# The flags the unit and the image use must be flags that the binary knows, and the example must load.
test_example() {
    local binary=${FANWIRE_BIN:-$root/target/debug/fanwire}
    if [ ! -x "$binary" ]; then
        skip "fanwire.toml: no binary here, only a broker at $url"
        return
    fi
    sed 's/^listen = .*/listen = "127.0.0.1:0"/' fanwire.toml >"$work/fanwire.toml"
    exec {example}< <(exec env -i "$binary" serve --config "$work/fanwire.toml" 2>"$work/example.log")
    local pid=$! line
    while IFS= read -r -t 20 line <&"$example"; do
        if [[ $line =~ http://127\.0\.0\.1:[0-9]+ ]]; then
            "$binary" health --url "${BASH_REMATCH[0]}/readyz" || fail "the broker with fanwire.toml is not ready"
            kill "$pid"
            wait "$pid" || fail "the broker with fanwire.toml did not stop cleanly"
            ok "the broker starts with fanwire.toml, is ready, and stops cleanly"
            return
        fi
    done
    fail "the broker does not start with fanwire.toml: $(cat "$work/example.log")"
}

# The examples for proxies, with their own checkers. The end-to-end tests run all of them.
test_proxies() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=chat.example -days 2 \
        -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
    cat "$work/certificate.pem" "$work/key.pem" >"$work/both.pem"
    need caddy
    HOME="$work" caddy validate --adapter caddyfile --config proxies/Caddyfile >"$work/out" 2>&1 || fail "Caddyfile: $(cat "$work/out")"
    ok "proxies/Caddyfile is valid"
    need haproxy
    sed "s#/etc/haproxy/chat.example.pem#$work/both.pem#" proxies/haproxy.cfg >"$work/haproxy.cfg"
    haproxy -c -f "$work/haproxy.cfg" >"$work/out" 2>&1 || fail "haproxy.cfg: $(cat "$work/out")"
    ok "proxies/haproxy.cfg is valid"
}

need curl
need node
url=${1:-}
[ -n "$url" ] || start_broker
test_prometheus
test_dashboard
test_compose
test_unit
test_example
test_proxies
./test-image.sh
ok "the image is tested"
printf 'deploy: %d passed, 0 failed, %d skipped\n' "$passed" "$skipped"
