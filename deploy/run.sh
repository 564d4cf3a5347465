#!/usr/bin/env bash
# `make run`: the server, a simulated city and its 500 devices, until Ctrl-C.
# Everything kept is in DATA (default ./data); starting again goes on with it.
#   HTTP=[::1]:8080 MQTT=[::1]:1883 COAP=[::1]:5683
#   HTTPS=[::1]:8443 MQTTS=[::1]:8883 COAPS=[::1]:5684
#   DEVICES=500 SCENARIO=typhoon SEED=7
set -euo pipefail
cd "$(dirname "$0")/.."

DATA=${DATA:-data}
HTTP=${HTTP:-[::1]:8080}
MQTT=${MQTT:-[::1]:1883}
COAP=${COAP:-[::1]:5683}
HTTPS=${HTTPS:-[::1]:8443}
MQTTS=${MQTTS:-[::1]:8883}
COAPS=${COAPS:-[::1]:5684}
DEVICES=${DEVICES:-500}
SCENARIO=${SCENARIO:-typhoon}
SEED=${SEED:-7}

mkdir -p "$DATA"
server_log=$DATA/server.log
sim_log=$DATA/city.log
server="" sim=""

# The two are children of this shell: on Ctrl-C the city stops first, so that
# the server can say good-bye to nobody in mid-sentence.
stop() {
  trap '' INT TERM
  printf '\nstopping the city'
  [ -z "$sim" ] || { kill -INT "$sim" 2>/dev/null || true; wait "$sim" 2>/dev/null || true; }
  printf ', the server'
  [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  echo '; what was acknowledged is in '"$DATA"'.'
  exit "${1:-0}"
}
trap 'stop 0' INT TERM

fail() { echo "$1" >&2; tail -n 15 "$2" >&2 2>/dev/null || true; stop 1; }

rm -f "$DATA/addresses.json"
setsid bin/vonglau serve --data "$DATA" --http "$HTTP" --mqtt "$MQTT" --coap "$COAP" \
  --https "$HTTPS" --mqtts "$MQTTS" --coaps "$COAPS" >>"$server_log" 2>&1 &
server=$!
for _ in $(seq 300); do
  [ ! -s "$DATA/addresses.json" ] || break
  kill -0 "$server" 2>/dev/null || fail "the server did not start; its last words ($server_log):" "$server_log"
  sleep 0.1
done
[ -s "$DATA/addresses.json" ] || fail "the server did not come up in 30 s ($server_log):" "$server_log"

address() { sed -E 's/.*"'"$1"'" *: *"([^"]+)".*/\1/' <(tr -d '\n' <"$DATA/addresses.json"); }
export VONGLAU_SERVER="http://$(address http)"
VONGLAU_TOKEN=$(cat "$DATA/admin.token")
export VONGLAU_TOKEN

# The city's map is the server's after the first start.
if ! bin/vonglau layer list --json | grep -q '"wards"'; then
  echo "drawing the simulated city"
  bin/firmware-sim city --seed "$SEED" --out "$DATA/city" >>"$sim_log" 2>&1 || fail "the city could not be drawn ($sim_log):" "$sim_log"
  for file in "$DATA"/city/*.geojson; do
    layer=$(basename "$file" .geojson)
    join=()
    case $layer in wards | flood_basins | feeders) join=(--join) ;; esac
    bin/vonglau layer import "$layer" "$file" --code code --name name --valid-from 2025-07-01 "${join[@]}" >>"$sim_log" 2>&1 \
      || fail "layer $layer was not taken ($sim_log):" "$sim_log"
  done
fi
# Every device has a department that answers for it, and every department a head.
while IFS='|' read -r department head; do
  bin/vonglau department set "$department" --head "$head" >>"$sim_log" 2>&1 || fail "department $department was not taken ($sim_log):" "$sim_log"
done <<'EOF'
Sở Xây dựng (mô phỏng)|Trưởng ca thoát nước
Sở Nông nghiệp và Môi trường (mô phỏng)|Trưởng phòng quan trắc
Ban chỉ huy phòng thủ dân sự (mô phỏng)|Trực ban phòng chống thiên tai
Công ty cấp nước (mô phỏng)|Trưởng ca vận hành mạng
Điện lực (mô phỏng)|Điều độ viên
Trung tâm vận tải công cộng (mô phỏng)|Điều hành tuyến
Trung tâm chuyển đổi số (mô phỏng)|Trực hạ tầng
EOF
# The wall's screen is let in by a credential of its own, which sees what a
# screen sees; people have accounts. Both are made once and kept beside the data.
umask 077
if [ ! -s "$DATA/wall.token" ]; then
  bin/vonglau display add wall-1 --name "Màn hình lớn" >>"$sim_log" 2>&1 || fail "the wall's screen was not taken ($sim_log):" "$sim_log"
  bin/vonglau token new "Màn hình lớn" --purpose "the wall of make run" --screen wall-1 --days 366 --json |
    sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p' >"$DATA/wall.token"
  [ -s "$DATA/wall.token" ] || fail "the wall's screen has no token ($sim_log):" "$sim_log"
fi
for person in 'truc-ban|operator|Trực ban (mô phỏng)' 'truong-ca|shift_leader|Trưởng ca (mô phỏng)'; do
  IFS='|' read -r id role name <<<"$person"
  ! grep -qs "^$id " "$DATA/people.txt" || continue
  password=$(bin/vonglau person add "$id" --name "$name" --role "$role" --json | sed -n 's/.*"password": *"\([^"]*\)".*/\1/p')
  [ -n "$password" ] || fail "the account $id was not made ($sim_log):" "$sim_log"
  printf '%-10s %-24s %s\n' "$id" "$password" "$role" >>"$DATA/people.txt"
done
# One department fetches what concerns it, as its own system would.
if [ ! -s "$DATA/department.txt" ]; then
  bin/vonglau subscription add --department 'Sở Xây dựng (mô phỏng)' --name 'Hệ thống thoát nước (mô phỏng)' --owner 'Sở Xây dựng (mô phỏng)' --stream --json |
    sed -n 's/.*"\(stream\|token\)": *"\([^"]*\)".*/\2/p' >"$DATA/department.txt"
  [ "$(wc -l <"$DATA/department.txt")" -eq 2 ] || fail "the department's subscription was not taken ($sim_log):" "$sim_log"
fi
umask 022
bin/vonglau rule apply deploy/demo/rules.yaml >>"$sim_log" 2>&1 || fail "the rules were not taken ($sim_log):" "$sim_log"

setsid bin/firmware-sim run --server "$VONGLAU_SERVER" --token-file "$DATA/admin.token" \
  --mqtt "$(address mqtt)" --coap "$(address coap)" \
  --scenario "$SCENARIO" --devices "$DEVICES" --seed "$SEED" --state "$DATA/fleet.json" >>"$sim_log" 2>&1 &
sim=$!

cat <<EOF

  Vonglau is up; $DEVICES simulated devices report ($SCENARIO).

    wall   $VONGLAU_SERVER/#token=$(cat "$DATA/wall.token")
    desk   $VONGLAU_SERVER/desk

  People and their first passwords ($DATA/people.txt; each sets a new one at the first log-in):
$(sed 's/^/    /' "$DATA/people.txt")
  A department's system fetches its alarms, all that it missed included:
    mosquitto_sub -h ::1 -p ${MQTT##*:} -q 1 -c -i drainage -u $(sed -n '1s|/alerts$||p' "$DATA/department.txt") -P $(sed -n 2p "$DATA/department.txt") -t $(sed -n 1p "$DATA/department.txt")
  The administrator comes in with the token in $DATA/admin.token.

  logs: $server_log, $sim_log. Ctrl-C stops both; the next start goes on from here.
EOF

while kill -0 "$server" 2>/dev/null && kill -0 "$sim" 2>/dev/null; do
  wait -n "$server" "$sim" 2>/dev/null || true
done
kill -0 "$server" 2>/dev/null || fail "the server ended; its last words ($server_log):" "$server_log"
fail "the city ended; its last words ($sim_log):" "$sim_log"
