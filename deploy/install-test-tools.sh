#!/usr/bin/env bash
# Installs, on Debian or Ubuntu, the programs that the tests start and that are
# not ours: a broker, its clients, a CoAP client, a browser, an identity
# provider. Does nothing when they are all there.
set -euo pipefail

# The provider is an npm package with a lock file, in a folder of its own: the
# tests start it with node.
provider="$(cd "$(dirname "$0")/.." && pwd)/cmd/vonglau/testdata/oidc-provider"
if [ ! -d "$provider/node_modules/oidc-provider" ]; then
  command -v npm >/dev/null || { echo "no npm: the identity provider of the tests needs Node.js" >&2; exit 1; }
  echo "installing for the tests: oidc-provider"
  (cd "$provider" && npm ci --no-audit --no-fund --silent)
fi

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
need coap-client-notls libcoap3-bin
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing+=(chromium)
need curl curl
need openssl openssl
need xmllint libxml2-utils
need ip iproute2

if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
echo "installing for the tests: ${missing[*]}"
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "not root and no sudo: install by hand: apt-get install ${missing[*]}" >&2; exit 1; }
  sudo="sudo"
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# A broker that the package starts by itself would sit on the port that
# `make run` wants.
[ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null; $sudo chmod +x /usr/sbin/policy-rc.d; made=1; }
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[ -z "${made:-}" ] || $sudo rm -f /usr/sbin/policy-rc.d
