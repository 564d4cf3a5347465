#!/bin/sh
# Builds InfluxDB 2.7 from its Go module into .cache/influxd2 and prints its
# path, for the tests of ingest/series. The daily tests do not need it. It takes
# Go, a C compiler, Rust with cargo and about 2 GB of disk; its Flux engine is
# Rust, which influxdata's pkg-config wrapper builds. The web interface, which
# the module does not contain, is left out.
set -eu
version=2.7.12
cache=$(cd "$(dirname "$0")/../.." && pwd)/.cache/influxd2
out=$cache/influxd

if [ -n "${VONGLAU_INFLUXD2:-}" ]; then
	[ -x "$VONGLAU_INFLUXD2" ] || { echo "VONGLAU_INFLUXD2=$VONGLAU_INFLUXD2 cannot be run" >&2; exit 1; }
	echo "$VONGLAU_INFLUXD2"
	exit
fi
if [ -x "$out" ] && "$out" version | grep -q "v$version"; then
	echo "$out"
	exit
fi
for tool in go cargo cc; do
	command -v $tool >/dev/null || { echo "build2.sh needs $tool" >&2; exit 1; }
done

# A copy of the module, because only there do its own replace lines hold.
rm -rf "$cache/src"
mkdir -p "$cache/bin"
dir=$(cd / && go mod download -json "github.com/influxdata/influxdb/v2@v$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
cp -R "$dir" "$cache/src"
chmod -R u+w "$cache/src"
cd "$cache/src"
go build -o "$cache/bin/pkg-config" github.com/influxdata/pkg-config
# The Flux engine asks for the Rust of its day and forbids all warnings, of
# which later compilers have more.
cat >"$cache/bin/rustc-lenient" <<'EOF'
#!/bin/sh
case " $* " in
*" --cap-lints"*) exec "$@" ;;
*" --crate-name "*) exec "$@" --cap-lints=warn ;;
*) exec "$@" ;;
esac
EOF
chmod +x "$cache/bin/rustc-lenient"
export PKG_CONFIG="$cache/bin/pkg-config" RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-stable}" RUSTC_WRAPPER="$cache/bin/rustc-lenient"
echo "building influxd $version" >&2
go build -tags sqlite_foreign_keys,sqlite_json -ldflags "-X main.version=v$version" -o "$out.new" ./cmd/influxd >&2
mv "$out.new" "$out"
rm -rf "$cache/src"
echo "$out"
