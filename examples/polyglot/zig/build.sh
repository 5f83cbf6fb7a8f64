#!/bin/sh
# Builds worker.wasm: the header for C is translated, and its other half is compiled along.
set -eu

sdk=../../../guest-sdk/c
if command -v zig >/dev/null; then
  zig=zig
elif python3 -c 'import ziglang' 2>/dev/null; then
  zig='python3 -m ziglang'
else
  echo 'disperse: no Zig; get one with: python3 -m venv .venv && .venv/bin/pip install ziglang' >&2
  exit 127
fi

$zig translate-c -target wasm32-wasi -lc -DDISPERSE_WORKER -I "$sdk" "$sdk/disperse.h" >disperse.zig
$zig build-exe worker.zig -cflags -DDISPERSE_WORKER -- "$sdk/disperse.c" -I "$sdk" -target wasm32-wasi -lc \
  -mexec-model=reactor -rdynamic -O ReleaseSmall --stack 65536 --name worker
