#!/usr/bin/env bash
# `make bench`: Vonglau beside Mosquitto + Telegraf, both into the same
# InfluxDB 1.8, in turn, on this machine. Arguments go to the driver:
#   deploy/bench/run.sh --messages 200000 --rounds 3 --json
set -euo pipefail
cd "$(dirname "$0")/../.."
deploy/install-test-tools.sh
influxd=$(deploy/influxd/build.sh)
telegraf=.cache/telegraf/telegraf
if [ ! -x "$telegraf" ]; then
  echo "building Telegraf with the plugins it needs here (some minutes)"
  # A module of its own, outside the product's: the peer is no dependency.
  src=.cache/telegraf/src
  mkdir -p "$src"
  printf 'module peer\n\ngo 1.26\n\nrequire github.com/influxdata/telegraf v1.37.2\n' >"$src/go.mod"
  (cd "$src" && GOFLAGS=-mod=mod go build \
    -tags custom,inputs.mqtt_consumer,outputs.influxdb,parsers.json \
    -o ../telegraf github.com/influxdata/telegraf/cmd/telegraf)
fi
exec go run ./deploy/bench --vonglau bin/vonglau --telegraf "$telegraf" \
  --influxd "$influxd" "$@"
