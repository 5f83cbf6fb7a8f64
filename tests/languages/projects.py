"""The projects of `new`, in each language and of each kind, outside of this checkout."""

import re
import shutil
import tempfile
from pathlib import Path

from . import c, go, python
from .common import HOST, ROOT, ok, run, same, told, toolchain

# The path of a worker's component, if it is not beside its source.
COMPONENTS = {"rust": "target/wasm32-wasip2/release/worker.wasm"}


def change(source):
    """Changes a source, but not its behaviour."""
    source.write_text(source.read_text() + "\n")


def test():
    tools = {"rust": None, "python": toolchain("python", python.COMPONENTIZE_PY), "typescript": None,
             "go": toolchain("go", go.GO), "c": toolchain("c", c.ZIG)}
    with tempfile.TemporaryDirectory() as folder:
        # A copy of the host outside of the checkout, so that it cannot find the checkout.
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
            said, _ = run(host, "map", f"{language}-worker", input="one two\n\n  \"three\"\n", cwd=folder, path=path)
            same(f"{language}: a worker alone", said, ["2", "0", "1"])
            worker = Path(folder, language, COMPONENTS.get(language, "worker.wasm"))
            said, _ = run(host, "run", f"{language}-operation", "--no-build", "--worker", worker, input="1 2 3\n", cwd=folder)
            same(f"{language}: the operation with the worker", said, ["14"])
        # With a shell and no other program.
        bare = Path(folder, "bin")
        bare.mkdir()
        (bare / "sh").symlink_to(shutil.which("sh"))
        change(Path(folder, "c-worker", "worker.c"))
        _, errors = run(host, "map", "c-worker", cwd=folder, code=2, env={"PATH": str(bare)})
        told("C: a compiler that is not there", errors, "the build needs `zig cc`.*\n.*\n.*c-worker/.venv")

        def builds(what, language, roles):
            """Runs a project and compares which roles were built first."""
            said, errors = run(host, "run", language, input="1 2 3\n", cwd=folder, path=tools[language])
            same(f"{language}: {what}", said, ["14"])
            built = [role for role in ("operation", "worker") if re.search(rf"building: .*\b{role}\b", errors)]
            if built != roles:
                raise SystemExit(f"{language}: {what}: {built} was built, and not {roles}: {errors}")

        for language, suffix in (("python", "py"), ("typescript", "ts"), ("go", "go"), ("c", "c")):
            project = Path(folder, language)
            worker = next(path for path in (project / f"worker.{suffix}", project / f"worker/main.{suffix}") if path.exists())
            for path in project.rglob(f"*.{suffix}"):
                if "node_modules" not in path.parts:
                    path.touch()
            (project / "results.json").write_text("14\n")
            builds("sources that were touched and an output beside them", language, [])
            change(worker)
            builds("a byte of the worker", language, ["worker"])
            builds("nothing", language, [])
        # Types are checked, and the errors of tsc on stdout are shown.
        worker = Path(folder, "typescript", "worker.ts")
        worker.write_text(worker.read_text().replace("n * n", "n.toUpperCase()"))
        _, errors = run(host, "run", "typescript", cwd=folder, code=2)
        told("typescript: a wrong type", errors, r"worker.ts\(\d+,\d+\): error TS2339: .*\n(.*\n)*error: the build failed")
        ok("typescript: a wrong type is an error of the build")
    # The recommended versions are the tested ones.
    recommended = (ROOT / "host/src/cli/tools.rs").read_text()
    for package in (c.ZIG, go.GO, python.COMPONENTIZE_PY):
        told("the version of a tool", recommended, rf"pip install {re.escape(package)}\W")
