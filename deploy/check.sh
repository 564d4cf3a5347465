#!/usr/bin/env bash
# Format, vet, lint, known vulnerabilities, and a tree that generation leaves
# clean. It changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
step() { printf '== %s\n' "$*"; }

step gofmt
unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
[ -z "$unformatted" ] || { echo "not formatted:"; echo "$unformatted"; fail=1; }

step go vet
go vet ./... || fail=1

step staticcheck
go run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./... || fail=1

step go.mod is tidy
go mod tidy -diff || fail=1

step web
if [ ! -e ops-center/web/node_modules/.installed ]; then
  (cd ops-center/web && npm ci --no-audit --no-fund >/dev/null && touch node_modules/.installed)
fi
(cd ops-center/web && npm run --silent check) || fail=1

step govulncheck
# The database's own site may be out of reach; a copy in the form of
# `govulncheck -db file://…` serves: a folder or tar.gz named by VONGLAU_VULNDB.
db="${VONGLAU_VULNDB:-}"
[ -n "$db" ] || db=$(ls ../shared/data/vulndb-*.tar.gz 2>/dev/null | tail -1 || true)
if [ -z "$db" ]; then
  echo "skipped: no vulnerability database (set VONGLAU_VULNDB to a folder or tar.gz)"
else
  if [ -f "$db" ]; then
    tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
    tar -xzf "$db" -C "$tmp"
    db=$(dirname "$(find "$tmp" -name index -maxdepth 3 -type d | head -1)")
  fi
  go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 -db "file://$(cd "$db" && pwd)" ./... || fail=1
fi

step clean tree
dirty=$(git status --porcelain)
[ -z "$dirty" ] || { echo "uncommitted or generated:"; echo "$dirty"; [ -z "${CI:-}" ] || fail=1; }

exit $fail
