#!/bin/sh
# Two replicas on 8001 and 8002 and nginx on 8000, until Ctrl-C. Arguments go to both replicas: ./run.sh --model random
set -eu
cd "$(dirname "$0")"
command -v nginx >/dev/null || { echo "nginx is not installed: apt install nginx-light, brew install nginx" >&2; exit 1; }
LAMPS=${LAMPS:-lamps}

trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT INT TERM
for port in 8001 8002; do
  "$LAMPS" serve --policy lamps --port "$port" --decisions "decisions-$port.jsonl" "$@" &
done
nginx -p . -c nginx.conf &
wait
