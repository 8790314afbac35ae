#!/usr/bin/env bash
# Runs the PHP examples with a real php against the real broker. It owns the processes that it starts, and ends them. It does
# not know the code of the examples. Needs: bash 4, php-cli. FANWIRE_BIN names another broker than the debug build.
set -u
cd "$(dirname "$0")/../.."
BROKER_BIN=${FANWIRE_BIN:-target/debug/fanwire}
PATIENCE=20   # The maximum wait for expected output, in seconds.
PASSED=0
STARTED=()

die() {
  echo "FAILED: $*" >&2
  exit 1
}
pass() {
  PASSED=$((PASSED + 1))
  echo "ok $PASSED - $*"
}
end_all() {
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
}
trap end_all EXIT

# await FD PATTERN: reads lines from FD until one matches the extended regular expression, and leaves it in LINE.
await() {
  local seen=""
  while IFS= read -r -t "$PATIENCE" -u "$1" LINE; do
    [[ $LINE =~ $2 ]] && return 0
    seen+="  $LINE"$'\n'
  done
  die "no line matches '$2' within $PATIENCE s; the output is:"$'\n'"$seen"
}

# Starts the broker with the arguments given, and sets BROKER_PID and PORT.
start_broker() {
  exec {BROKER_OUT}< <(exec "$BROKER_BIN" serve --listen "$1" 2>&1)
  BROKER_PID=$!
  STARTED+=("$BROKER_PID")
  await "$BROKER_OUT" 'http://127\.0\.0\.1:([0-9]+)'
  PORT=${BASH_REMATCH[1]}
  cat <&"$BROKER_OUT" >/dev/null &   # A full pipe would stop the broker.
  STARTED+=("$!")
}

# publish TOPIC TEXT: runs the example, and puts its output into OUTPUT and its exit code into CODE.
publish() {
  OUTPUT=$(php examples/php/publish.php "$1" "$2" 2>&1)
  CODE=$?
}

[[ -x $BROKER_BIN ]] || die "there is no broker at $BROKER_BIN: build it with 'cargo build -p fanwire' or set FANWIRE_BIN"
command -v php >/dev/null || die "php is not installed"

# --- The examples parse, and print their usage.
for file in examples/php/*.php examples/snippets/*.php tests/php/*.php; do
  php -d error_reporting=-1 -l "$file" >/dev/null || die "$file does not parse"
done
pass "every PHP file parses"
for file in publish listen; do
  OUTPUT=$(php "examples/php/$file.php" 2>&1)
  CODE=$?
  [[ $CODE == 2 && $OUTPUT == Usage:* ]] || die "$file.php without arguments: exit code $CODE, printed: $OUTPUT"
done
pass "without arguments both print their usage"

# --- publish.php delivers to listen.php.
start_broker 127.0.0.1:0
export FANWIRE_URL=http://127.0.0.1:$PORT
publish php.empty 'Hello'
[[ $CODE == 0 && $OUTPUT == "Delivered to 0 subscribers." ]] || die "publish.php without subscribers: exit code $CODE, printed: $OUTPUT"
pass "publish.php reports 0 subscribers"

exec {LISTENER}< <(exec php examples/php/listen.php php.room 2>&1)
STARTED+=("$!")
await "$LISTENER" '^Listening to '
publish php.room 'Grüße aus PHP'
[[ $CODE == 0 && $OUTPUT == "Delivered to 1 subscribers." ]] || die "publish.php: exit code $CODE, printed: $OUTPUT"
await "$LISTENER" '^\{.*"text": ?".*aus PHP"\}$'
[[ $(php -r 'echo json_decode($argv[1])->text;' "$LINE") == 'Grüße aus PHP' ]] || die "the text did not arrive intact: $LINE"
pass "publish.php delivers to listen.php, and reports 1 subscriber"

# --- publish.php inside a web request.
exec {WEB}< <(exec php -S 127.0.0.1:0 -t examples/php 2>&1)
STARTED+=("$!")
await "$WEB" 'http://127\.0\.0\.1:([0-9]+)'
WEB_PORT=${BASH_REMATCH[1]}
OUTPUT=$(php -r '
  echo file_get_contents("http://127.0.0.1:$argv[1]/publish.php", false, stream_context_create(["http" => [
    "method" => "POST", "header" => "Content-Type: application/x-www-form-urlencoded", "content" => "text=from+a+form"]]));' "$WEB_PORT")
[[ $OUTPUT == "Delivered to 0 subscribers." ]] || die "publish.php in a web request printed: $OUTPUT"
HELD=$(php -r 'echo json_decode(file_get_contents("$argv[1]/topics/chat.lobby"))->messages[0]->data->text;' "$FANWIRE_URL")
[[ $HELD == "from a form" ]] || die "the form's text is not in the topic's history, but: $HELD"
pass "publish.php works inside a web request"

# --- The README's snippets, as they are written; only the port is that of this broker.
SNIPPET=$(sed "s/localhost:7400/127.0.0.1:$PORT/" examples/snippets/publish.php)
[[ $SNIPPET == *"127.0.0.1:$PORT"* ]] || die "examples/snippets/publish.php does not speak to localhost:7400"
OUTPUT=$(php -d error_reporting=-1 -d display_errors=stderr <<<"$SNIPPET" 2>&1)
[[ $OUTPUT == "Delivered to 0 subscribers" ]] || die "examples/snippets/publish.php printed: $OUTPUT"
pass "the README's snippet publishes"
# The PHP client is installed as the README says, in a new folder.
FOLDER=$(mktemp -d)
grep -A1 '^composer init' README.md | sed "s#/path/to/fanwire/#$PWD/#" >"$FOLDER/install.sh"
(cd "$FOLDER" && COMPOSER_HOME=$FOLDER/home COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_DISABLE_NETWORK=1 sh -eu install.sh >install.log 2>&1) ||
  die "the README's installation of the PHP client failed: $(cat "$FOLDER/install.log")"
sed "s/localhost:7400/127.0.0.1:$PORT/" examples/snippets/sdk.php >"$FOLDER/try.php"
OUTPUT=$(php -d error_reporting=-1 -d display_errors=stderr "$FOLDER/try.php" 2>&1)
rm -r "$FOLDER"
[[ $OUTPUT == "Delivered to 0 subscribers"$'\n'*'{"name":"PHP","text":"Hello from PHP"}' ]] || die "examples/snippets/sdk.php printed: $OUTPUT"
pass "the README's snippet with the PHP client publishes and reads the history, installed as the README says"

# --- The explanation of the broker reaches the user.
publish 'two words' 'Hello'
[[ $CODE == 1 && $OUTPUT == "The broker did not accept the message: "*" "* ]] || die "publish.php to a bad topic: exit code $CODE, printed: $OUTPUT"
OUTPUT=$(php examples/php/listen.php 'two words' 2>&1)
CODE=$?
[[ $CODE == 1 && $OUTPUT == "The broker refused (400): "*" "* ]] || die "listen.php to a bad topic: exit code $CODE, printed: $OUTPUT"
pass "a refused topic is explained by both"

# --- hook.php answers callouts of a broker, and no other requests.
export FANWIRE_HOOKS_SECRET=secret-of-these-tests-only
exec {HOOKS}< <(exec php -S 127.0.0.1:0 examples/php/hook.php 2>&1)
STARTED+=("$!")
await "$HOOKS" 'http://127\.0\.0\.1:([0-9]+)'
HOOK_URL=http://127.0.0.1:${BASH_REMATCH[1]}/
exec {CALLER}< <(FANWIRE_HOOKS_URL=$HOOK_URL FANWIRE_HOOKS_CALLOUTS=connect,publish,request FANWIRE_WEBHOOKS_EVENTS=disconnect \
  exec "$BROKER_BIN" serve --listen 127.0.0.1:0 2>&1)
STARTED+=("$!")
await "$CALLER" 'http://127\.0\.0\.1:([0-9]+)'
CALLER_URL=http://127.0.0.1:${BASH_REMATCH[1]}
unset FANWIRE_HOOKS_SECRET
# say TEXT: publishes it, and prints the status and the newest message of the topic.
say() {
  php -r '
    $context = stream_context_create(["http" => ["method" => "POST", "header" => "Content-Type: text/plain",
      "content" => $argv[2], "ignore_errors" => true]]);
    file_get_contents("$argv[1]/topics/php.callout", false, $context);
    $status = explode(" ", $http_response_header[0])[1];
    $messages = json_decode(file_get_contents("$argv[1]/topics/php.callout"))->messages;
    echo $status, " ", end($messages)->data ?? "nothing";' "$CALLER_URL" "$1"
}
OUTPUT=$(say '   ')
[[ $OUTPUT == "403 nothing" ]] || die "hook.php allows an empty text: $OUTPUT"
OUTPUT=$(say '  hello  ')
[[ $OUTPUT == "200 hello" ]] || die "hook.php does not trim the text: $OUTPUT"
await "$HOOKS" 'open: [0-9a-f]+ over poll'
# A subscriber connects and disconnects, as a browser with an EventSource does.
exec {LISTENER}< <(FANWIRE_URL=$CALLER_URL exec php examples/php/listen.php php.callout 2>&1)
LISTENER_PID=$!
STARTED+=("$LISTENER_PID")
await "$LISTENER" '^Listening to '
await "$HOOKS" 'open: ([0-9a-f]+) over sse'
CONNECTION=${BASH_REMATCH[1]}
kill -KILL "$LISTENER_PID"
await "$HOOKS" "close: $CONNECTION over sse, code 1006"
for signature in '' "t=$(date +%s),v1=$(printf '0%.0s' {1..64})"; do
  OUTPUT=$(php -r '
    $context = stream_context_create(["http" => ["method" => "POST", "header" => "Content-Type: application/json\r\nFanwire-Signature: $argv[2]",
      "content" => "{\"hook\":\"connect\"}", "ignore_errors" => true]]);
    file_get_contents($argv[1], false, $context);
    echo explode(" ", $http_response_header[0])[1];' "$HOOK_URL" "$signature")
  [[ $OUTPUT == 401 ]] || die "hook.php answers a request without a valid signature: $OUTPUT"
done
pass "hook.php answers callouts, receives webhooks, and refuses requests without a signature"

# --- listen.php survives broken connections: it receives every number once and in order.
exec {PROXY}< <(exec php tests/php/proxy.php "$PORT" 2>&1)
PROXY_PID=$!
STARTED+=("$PROXY_PID")
await "$PROXY" '^([0-9]+)$'
exec {LISTENER}< <(FANWIRE_URL=http://127.0.0.1:${BASH_REMATCH[1]} exec php examples/php/listen.php php.cut 2>&1)
STARTED+=("$!")
await "$LISTENER" '^Listening to '
for number in {1..40}; do
  publish php.cut "number $number"
  [[ $CODE == 0 ]] || die "publishing number $number: $OUTPUT"
  if ((number % 10 == 5)); then
    kill -USR1 "$PROXY_PID"
    if ((number % 20 == 5)); then await "$PROXY" '^cut$'; fi   # The other connections break with the next bytes.
  fi
done
for number in {1..40}; do
  await "$LISTENER" '"text"'
  [[ $LINE == *"\"number $number\""* ]] || die "number $number is missing; the output is: $LINE"
done
publish php.cut "the end"
await "$LISTENER" '"text"'
[[ $LINE == *'"the end"'* ]] || die "a message came twice: $LINE"
pass "listen.php receives each message once when its connection breaks"

# --- The broker stops and starts again.
exec {LISTENER}< <(exec php examples/php/listen.php php.restart 2>&1)
STARTED+=("$!")
await "$LISTENER" '^Listening to '
publish php.restart 'before'
await "$LISTENER" '"before"'
kill "$BROKER_PID"
await "$LISTENER" '^The broker closes the connection: .'
await "$LISTENER" '^Cannot reach the broker at '
publish php.restart 'not accepted'
[[ $CODE == 1 && $OUTPUT == "Cannot reach the broker at $FANWIRE_URL. Is it running?" ]] || die "publish.php without a broker: exit code $CODE, printed: $OUTPUT"
pass "both report that the broker is down"
start_broker "127.0.0.1:$PORT"
await "$LISTENER" '^Some messages are missing'
publish php.restart 'after'
await "$LISTENER" '"after"'
pass "listen.php reconnects after a restart and reports missing messages"

echo "$PASSED passed, 0 failed"
