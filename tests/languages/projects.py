"""What `new` writes, in every language, away from here; with a tool of the project's own, if it has one."""

import shutil
import tempfile
from pathlib import Path

from . import c, go, python
from .common import HOST, ok, run, same, told, toolchain


def test():
    tools = {"python": toolchain("python", python.COMPONENTIZE_PY), "typescript": None,
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
        # One of each kind alone.
        for kind in ("operation", "worker"):
            run(host, "new", kind, "--lang", "c", "--kind", kind, cwd=folder)
        run(host, "test", "operation", cwd=folder, path=tools["c"])
        said, _ = run(host, "map", "worker", input="5\n", cwd=folder, path=tools["c"])
        same("a worker alone", said, ["25"])
        _, errors = run(host, "map", "worker", cwd=folder, code=2, env={"PATH": "/usr/bin:/bin"})
        told("C: a compiler that is not there", errors, "no C compiler for WebAssembly")
