#!/bin/sh
# Two replicas on 8001 and 8002 and nginx on 8000, until Ctrl-C. Arguments go to both replicas: ./run.sh --model random
set -eu
cd "$(dirname "$0")"
command -v nginx >/dev/null || { echo "nginx is not installed: apt install nginx-light, brew install nginx" >&2; exit 1; }
LAMPS=${LAMPS:-lamps}
started=

stop() {
  trap - EXIT INT TERM
  # shellcheck disable=SC2086  a word each
  kill $started 2>/dev/null || true
  wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for port in 8001 8002; do
  "$LAMPS" serve --policy lamps --port "$port" --decisions "decisions-$port.jsonl" "$@" &
  started="$started $!"
done
nginx -p . -c nginx.conf &
started="$started $!"
wait
