#!/bin/sh
# Obtains InfluxDB 1.8.10 for the tests and prints its path: the one that
# VONGLAU_INFLUXD names, an influxd 1.8 on PATH, or one built from its Go module
# into .cache/influxd (half a minute to three minutes, pure Go).
set -eu
cd "$(dirname "$0")"
version=1.8.10
out=$(cd ../.. && pwd)/.cache/influxd/influxd

if [ -n "${VONGLAU_INFLUXD:-}" ]; then
	[ -x "$VONGLAU_INFLUXD" ] || { echo "VONGLAU_INFLUXD=$VONGLAU_INFLUXD cannot be run" >&2; exit 1; }
	echo "$VONGLAU_INFLUXD"
	exit
fi
if path=$(command -v influxd) && "$path" version 2>/dev/null | grep -q 'v1\.8\.'; then
	echo "$path"
	exit
fi
if [ ! -x "$out" ] || ! "$out" version | grep -q "v$version"; then
	mkdir -p "$(dirname "$out")"
	echo "building influxd $version" >&2
	CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -o "$out.new" \
		-ldflags "-X main.version=$version -X main.branch=module -X main.commit=module" \
		github.com/influxdata/influxdb/cmd/influxd
	mv "$out.new" "$out"
fi
echo "$out"
