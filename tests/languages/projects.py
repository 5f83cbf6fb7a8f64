"""The projects of `new`, in each language and of each kind, outside of this checkout."""

import re
import shutil
import tempfile
from pathlib import Path

from . import c, go, python
from .common import HOST, ROOT, ok, run, same, told, toolchain

# Of a language: the toolchain, if it is installed from PyPI.
LANGUAGES = {"python": ("python", python.COMPONENTIZE_PY), "typescript": None, "rust": None, "go": ("go", go.GO), "c": ("c", c.ZIG)}

# The end of the names of the sources.
SUFFIXES = {"python": "py", "typescript": "ts", "go": "go", "c": "c"}

# The path of a worker's component, if it is not beside its source.
COMPONENTS = {"rust": "target/wasm32-wasip2/release/worker.wasm"}


def change(source):
    """Changes a source, but not its behaviour."""
    source.write_text(source.read_text() + "\n")


def test(language):
    """Tests the projects of one language."""
    tools = LANGUAGES[language]
    path = tools and toolchain(*tools)
    with tempfile.TemporaryDirectory() as folder:
        # A copy of the host outside of the checkout, so that it cannot find the checkout.
        host = Path(folder) / "disperse-host"
        shutil.copy(HOST, host)
        kinds(host, folder, language, path)
        if language in SUFFIXES:
            rebuilds(host, folder, language, path)
        if language == "c":
            no_compiler(host, folder)
        if language == "typescript":
            wrong_type(host, folder)
    if tools:
        # The recommended version is the tested one.
        recommended = (ROOT / "host/src/cli/tools.rs").read_text()
        told("the version of a tool", recommended, rf"pip install {re.escape(tools[1])}\W")


def kinds(host, folder, language, path):
    """Tests an operation with its worker, and each alone."""
    run(host, "new", language, "--lang", language, cwd=folder)
    said, _ = run(host, "run", language, input="1 2 3\n4 5 6\n", cwd=folder, path=path)
    same(f"{language}: a new project", said, ["14", "77"])
    run(host, "test", language, "--no-build", cwd=folder)
    ok(f"{language}: its test")
    said, _ = run(host, "map", language, "--no-build", input="12\n", cwd=folder)
    same(f"{language}: its worker alone", said, ["144"])
    for kind in ("operation", "worker"):
        run(host, "new", f"{language}-{kind}", "--lang", language, "--kind", kind, cwd=folder)
    run(host, "test", f"{language}-operation", cwd=folder, path=path)
    ok(f"{language}: an operation alone, and its test")
    said, _ = run(host, "map", f"{language}-worker", input="one two\n\n  \"three\"\n", cwd=folder, path=path)
    same(f"{language}: a worker alone", said, ["2", "0", "1"])
    worker = Path(folder, language, COMPONENTS.get(language, "worker.wasm"))
    said, _ = run(host, "run", f"{language}-operation", "--no-build", "--worker", worker, input="1 2 3\n", cwd=folder)
    same(f"{language}: the operation with the worker", said, ["14"])


def rebuilds(host, folder, language, path):
    """Tests that only what depends on a changed source is built."""
    project, suffix = Path(folder, language), SUFFIXES[language]

    def builds(what, roles):
        """Runs the project and compares which roles were built first."""
        said, errors = run(host, "run", language, input="1 2 3\n", cwd=folder, path=path)
        same(f"{language}: {what}", said, ["14"])
        built = [role for role in ("operation", "worker") if re.search(rf"building: .*\b{role}\b", errors)]
        if built != roles:
            raise SystemExit(f"{language}: {what}: {built} was built, and not {roles}: {errors}")

    for source in project.rglob(f"*.{suffix}"):
        if "node_modules" not in source.parts:
            source.touch()
    (project / "results.json").write_text("14\n")
    builds("sources that were touched and an output beside them", [])
    sources = (project / f"worker.{suffix}", project / f"worker/main.{suffix}")
    change(next(source for source in sources if source.exists()))
    builds("a byte of the worker", ["worker"])
    builds("nothing", [])


def no_compiler(host, folder):
    """Tests a build with a shell and no other program."""
    bare = Path(folder, "bin")
    bare.mkdir()
    (bare / "sh").symlink_to(shutil.which("sh"))
    change(Path(folder, "c-worker", "worker.c"))
    _, errors = run(host, "map", "c-worker", cwd=folder, code=2, env={"PATH": str(bare)})
    told("C: a compiler that is not there", errors, "the build needs `zig cc`.*\n.*\n.*c-worker/.venv")


def wrong_type(host, folder):
    """Tests that types are checked, and that the errors of tsc on stdout are shown."""
    worker = Path(folder, "typescript", "worker.ts")
    worker.write_text(worker.read_text().replace("n * n", "n.toUpperCase()"))
    _, errors = run(host, "run", "typescript", cwd=folder, code=2)
    told("typescript: a wrong type", errors, r"worker.ts\(\d+,\d+\): error TS2339: .*\n(.*\n)*error: the build failed")
    ok("typescript: a wrong type is an error of the build")
