#!/bin/bash
# Healthy is that a version of MODEL_NAME is AVAILABLE; an open port or a status of 200 alone is not.
# Bash's own /dev/tcp, because the official image has no curl.
exec 3<>/dev/tcp/127.0.0.1/8501 || exit 1
printf 'GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$MODEL_NAME" >&3
grep -Eq '"state": *"AVAILABLE"' <&3
