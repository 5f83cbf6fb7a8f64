#!/bin/sh
# Builds worker.wasm or operation.wasm: sh build.sh worker|operation
#
# Translates the header for C, and compiles disperse.c along.
set -eu

role=$1
sdk=../../../guest-sdk/c
case $role in
worker) macro=-DDISPERSE_WORKER ;;
operation) macro=-DDISPERSE_OPERATION ;;
*) echo "disperse: a role is worker or operation, and not $role" >&2 && exit 2 ;;
esac
if command -v zig >/dev/null; then
  zig=zig
elif python3 -c 'import ziglang' 2>/dev/null; then
  zig='python3 -m ziglang'
else
  echo 'disperse: no Zig; get one with: python3 -m venv .venv && .venv/bin/pip install ziglang' >&2
  exit 127
fi

$zig translate-c -target wasm32-wasi -lc -I "$sdk" "$sdk/disperse.h" >disperse.zig
$zig build-exe "$role.zig" -cflags $macro -- "$sdk/disperse.c" -I "$sdk" -target wasm32-wasi -lc \
  -mexec-model=reactor -rdynamic -O ReleaseSmall --stack 65536 --name "$role"
