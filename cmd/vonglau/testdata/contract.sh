#!/usr/bin/env bash
# What a stranger does with the command line, curl and openssl, as the contract
# says: nothing here knows the program's code. Needs VONGLAU (the program),
# VONGLAU_SERVER, VONGLAU_TOKEN, LEADER_TOKEN (of a second person), INBOX (a folder
# in which somebody leaves what a webhook got: N.headers and N.body), HOOK (its
# address), RULES (a rule file with the rule smog). XSD may name the schema of CAP.
set -euo pipefail
fail() { echo "contract: $*" >&2; exit 1; }
json() { python3 -c "import json,sys; v=json.load(sys.stdin); print($1)"; }
api() { curl -gsSf -H "Authorization: Bearer ${AS:-$VONGLAU_TOKEN}" -H 'Content-Type: application/json' "$@"; }
soon() { # soon TEXT COMMAND…: until it works, for ten seconds
  local what=$1; shift
  for _ in $(seq 100); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.1; done
  fail "not within ten seconds: $what"
}

# Rules: put in force, and what they would have raised.
"$VONGLAU" rule apply "$RULES"
token=$("$VONGLAU" device add aq-1 --profile air-quality --at 106.12,20.434 --json | json 'v["token"]')
secret="S3cret-of-a-stranger"
sub=$("$VONGLAU" subscription add --department "Sở Y tế" --priority 1,2 --webhook "$HOOK" --secret "$secret" --json | json 'v["id"]')
curl -gsSf -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{"pm25":180}' "$VONGLAU_SERVER/v1/devices/aq-1/telemetry"

# The alarm is listed, acknowledged and shelved.
opened() { test -n "$("$VONGLAU" alarm list --json | json '"".join(a["id"] for a in v["alarms"])')"; }
soon "the alarm is listed" opened
alarm=$("$VONGLAU" alarm list --json | json 'v["alarms"][0]["id"]')
"$VONGLAU" alarm ack "$alarm" --note "seen"
"$VONGLAU" alarm shelve "$alarm" --for 10m --reason "being looked at"
[ "$("$VONGLAU" alarm show "$alarm" --json | json 'v["alarm"]["state"]')" = shelved ] || fail "the alarm is not shelved"

dry() { "$VONGLAU" rule test "$RULES" --from -1h --to now --json | json 'v' | grep -q smog; }
soon "the dry run finds the alarm in history" dry

# Every delivery is signed: hex HMAC-SHA-256 over "t.body".
soon "three deliveries" test -f "$INBOX/3.body"
for n in 1 2 3; do
  header=$(grep -i '^Vonglau-Signature: ' "$INBOX/$n.headers" | cut -d' ' -f2)
  t=${header%%,*}; t=${t#t=}
  v1=${header#*v1=}; v1=${v1%%,*}
  mine=$({ printf '%s.' "$t"; cat "$INBOX/$n.body"; } | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)
  [ "$mine" = "$v1" ] || fail "delivery $n: the signature $v1 is not $mine"
  id=$(grep -i '^Vonglau-Delivery: ' "$INBOX/$n.headers" | cut -d' ' -f2)
  [ "$id" = "$(json 'v["id"]' <"$INBOX/$n.body")" ] || fail "delivery $n names itself otherwise in its body"
done
[ "$(cat "$INBOX"/*.headers | grep -i '^Vonglau-Delivery: ' | sort | uniq -d | wc -l)" = 0 ] || fail "two deliveries have one id"
[ "$(for n in 1 2 3; do json 'v["event"]["kind"]' <"$INBOX/$n.body"; done | tr '\n' ' ')" = "alarm.raised alarm.acknowledged alarm.withdrawn " ] || fail "not in order"

# A public message takes two people; it has one address and is in the feed.
"$VONGLAU" alarm unshelve "$alarm" --reason "it is real"
w=$(api -d "{\"alarms\":[\"$alarm\"]}" "$VONGLAU_SERVER/v1/warnings")
id=$(json 'v["id"]' <<<"$w")
w=$(api -d "{\"version\":$(json 'v["version"]' <<<"$w")}" "$VONGLAU_SERVER/v1/warnings/$id/submit")
w=$(AS=$LEADER_TOKEN api -d "{\"version\":$(json 'v["version"]' <<<"$w"),\"confirm\":\"$id\"}" "$VONGLAU_SERVER/v1/warnings/$id/approve")
identifier=$(json 'v["messages"][0]["identifier"]' <<<"$w")
curl -gsSf "$VONGLAU_SERVER/v1/cap/$identifier.xml" >"$INBOX/message.xml"
curl -gsSf "$VONGLAU_SERVER/v1/cap/feed.atom" | grep -q "$identifier" || fail "the message is not in the feed"
"$VONGLAU" cap check "$INBOX/message.xml"
if [ -n "${XSD:-}" ] && command -v xmllint >/dev/null; then
  xmllint --noout --nonet --schema "$XSD" "$INBOX/message.xml" || fail "the message is not of the schema"
fi
soon "the message is delivered too" grep -q warning.issued "$INBOX/5.body"
"$VONGLAU" subscription remove "$sub"
echo "contract: kept"
