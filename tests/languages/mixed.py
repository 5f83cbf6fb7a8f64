"""Every operation with every worker."""

from .common import HOST, ROOT, SDK, run, same


def test():
    folders = {name: SDK / name / "examples" / "squares" for name in ("python", "javascript", "go", "c")}
    workers = {language: folder / "worker.wasm" for language, folder in folders.items()}
    workers["rust"] = ROOT / "examples" / "target" / "wasm32-wasip2" / "release" / "square.wasm"
    for language, folder in folders.items():
        for other, worker in workers.items():
            operation = folder / "operation.wasm"
            said, _ = run(HOST, "run", operation, "--worker", f"{worker}=2", input="1 2 3\n4 5 6\n")
            same(f"an operation in {language} with a worker in {other}", said, ["14", "77"])
