"""Programs that know nothing of Disperse, as workers: the same one in C, Go and Rust, as WASI 0.1 and 0.2."""

from . import c, go
from .common import BUILT, HOST, ROOT, run, same, told, toolchain

SOURCES = ROOT / "tests" / "guests" / "shout"


def test():
    built = BUILT / "programs"
    built.mkdir(parents=True, exist_ok=True)
    zig, gopath = toolchain("c", c.ZIG), toolchain("go", go.GO)
    run("python3", "-m", "ziglang", "cc", "--target=wasm32-wasi", "-Os", SOURCES / "shout.c", "-o", built / "c.wasm", path=zig)
    env = {"GOOS": "wasip1", "GOARCH": "wasm", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    run("go", "build", "-o", built / "go.wasm", SOURCES / "shout.go", path=gopath, env=env)
    run("rustup", "target", "add", "wasm32-wasip1")
    for target in ("wasm32-wasip1", "wasm32-wasip2"):
        run("rustc", "--edition", "2024", "-O", "--target", target, SOURCES / "shout.rs", "-o", built / f"{target}.wasm")
    lines = "one\nbad\nabort\nzwölf\n"
    for name in ("c", "go", "wasm32-wasip1", "wasm32-wasip2"):
        program = built / f"{name}.wasm"
        said, errors = run(HOST, "map", program, "--workers", "1", "--attempts", "2", input=lines, code=1)
        same(f"a program: {name}", said, ["ONE", "ZWöLF" if name == "c" else "ZWÖLF"])
        told(f"{name}: what it said last", errors, "giving up")
        # WASI 0.2 has no exit status, so the action is retried there.
        status = 1 if name == "wasm32-wasip2" else 65
        why = rf"attempt 1 on {name}/1: cannot shout `bad`\n\s+ended with the exit status {status}"
        told(f"{name}: its status", errors, why if status == 1 else r"it can never work\n\s+" + why)
