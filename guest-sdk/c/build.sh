#!/bin/sh
# Builds NAME.wasm from NAME.c (or NAME.cpp) for a role: sh build.sh worker|operation|both NAME
#
# The compiler is zig, `pip install ziglang`'s, or a clang with wasi-libc, whichever is found first.
set -eu

role=$1 name=$2
sdk=$(dirname "$0")

if command -v zig >/dev/null; then
  compile='zig cc'
elif python3 -c 'import ziglang' 2>/dev/null; then
  compile='python3 -m ziglang cc'
elif echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -xc - -o /dev/null 2>/dev/null; then
  # A stack behind the static data, as in older clangs, would overwrite them when a call goes too deep. Names of functions
  # are for -g; zig leaves them out by itself.
  compile='clang -Wl,--stack-first'
  case ${CFLAGS-} in *-g*) ;; *) compile="$compile -Wl,-s" ;; esac
else
  echo 'disperse: no C compiler for WebAssembly; get one with: python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1' >&2
  exit 127
fi

case $role in
worker) roles=-DDISPERSE_WORKER ;;
operation) roles=-DDISPERSE_OPERATION ;;
both) roles='-DDISPERSE_WORKER -DDISPERSE_OPERATION' ;;
*) echo "disperse: a role is worker, operation or both, and not $role" >&2 && exit 2 ;;
esac

source=$name.c libraries=
if [ ! -f "$source" ]; then
  source=$name.cpp libraries='-fno-exceptions -lc++'
fi

# The stack of zig's programs is 16 MiB unless this says otherwise.
# shellcheck disable=SC2086 # these are lists of words
$compile --target=wasm32-wasi -mexec-model=reactor -Os -UNDEBUG -Wall -Wextra -Wl,-z,stack-size=131072 \
  ${CFLAGS-} $roles -I"$sdk" "$source" "$sdk/disperse.c" $libraries -o "$name.wasm"
