#!/bin/bash
# Healthy is that a version of MODEL_NAME is AVAILABLE; an open port or a status of 200 alone is not.
# Where SEAMLINE_PROOF names a `verify --listen`, host:port, it has also to be proven there, once: before any traffic.
# Bash's own /dev/tcp, because the official image has no curl.
ask() {
  exec 3<>"/dev/tcp/$1/$2" || return
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$3" >&3
  cat <&3
}
ask 127.0.0.1 8501 "/v1/models/$MODEL_NAME" | grep -Eq '"state": *"AVAILABLE"' || exit 1
if [ -n "$SEAMLINE_PROOF" ] && [ ! -e /tmp/proven ]; then
  ask "${SEAMLINE_PROOF%:*}" "${SEAMLINE_PROOF##*:}" /caller | grep -q '^HTTP/1.[01] 200' && : > /tmp/proven
fi
