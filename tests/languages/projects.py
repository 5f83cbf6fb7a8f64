"""What `new` writes, each language and kind, away from here and from any checkout."""

import shutil
import tempfile
from pathlib import Path

from . import c, go, python
from .common import HOST, ok, run, same, told, toolchain

# Where a worker's component is, if not beside its source.
COMPONENTS = {"rust": "target/wasm32-wasip2/release/worker.wasm"}


def test():
    tools = {"rust": None, "python": toolchain("python", python.COMPONENTIZE_PY), "typescript": None,
             "go": toolchain("go", go.GO), "c": toolchain("c", c.ZIG)}
    with tempfile.TemporaryDirectory() as folder:
        # Not the host that lies in the checkout, and no checkout that could be found from it.
        host = Path(folder) / "disperse-host"
        shutil.copy(HOST, host)
        for language, path in tools.items():
            run(host, "new", language, "--lang", language, cwd=folder)
            said, _ = run(host, "run", language, input="1 2 3\n4 5 6\n", cwd=folder, path=path)
            same(f"{language}: a new project", said, ["14", "77"])
            run(host, "test", language, "--no-build", cwd=folder)
            ok(f"{language}: its test")
            said, _ = run(host, "map", language, "--no-build", input="12\n", cwd=folder)
            same(f"{language}: its worker alone", said, ["144"])
        for language, path in tools.items():
            for kind in ("operation", "worker"):
                run(host, "new", f"{language}-{kind}", "--lang", language, "--kind", kind, cwd=folder)
            run(host, "test", f"{language}-operation", cwd=folder, path=path)
            ok(f"{language}: an operation alone, and its test")
            said, _ = run(host, "map", f"{language}-worker", input="5\n", cwd=folder, path=path)
            same(f"{language}: a worker alone", said, ["25"])
            worker = Path(folder, f"{language}-worker", COMPONENTS.get(language, "worker.wasm"))
            said, _ = run(host, "run", f"{language}-operation", "--no-build", "--worker", worker, input="1 2 3\n", cwd=folder)
            same(f"{language}: the operation with the worker", said, ["14"])
        # With a shell and nothing else.
        bare = Path(folder, "bin")
        bare.mkdir()
        (bare / "sh").symlink_to(shutil.which("sh"))
        Path(folder, "c-worker", "worker.c").touch()
        _, errors = run(host, "map", "c-worker", cwd=folder, code=2, env={"PATH": str(bare)})
        told("C: a compiler that is not there", errors, "the build needs `zig cc`.*\n.*\n.*c-worker/.venv")
        said, errors = run(host, "run", "python", input="1 2 3\n", cwd=folder, path=tools["python"])
        if "building" in errors:
            raise SystemExit(f"nothing has changed, and it is built again: {errors}")
        same("a project of which nothing has changed is not built again", said, ["14"])
