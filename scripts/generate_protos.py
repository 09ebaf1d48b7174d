# SPDX-License-Identifier: Apache-2.0
"""Regenerates the Python code of `proto/otel_loggedmodel/v1/*.proto`, or with --check says whether it is up to date.

The compiler is pinned to the release that opentelemetry-proto uses: its code runs on every protobuf runtime that the
supported OpenTelemetry releases accept. That compiler wants an old protobuf runtime, so it gets an environment of its
own, in a temporary folder.
"""

import argparse
import difflib
import pathlib
import subprocess
import sys
import tempfile
import venv

COMPILER = "grpcio-tools==1.65.5"  # protobuf 5.26.1
ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "proto").glob("otel_loggedmodel/v1/*.proto"))
TARGET = ROOT / "otel_loggedmodel" / "v1"
INIT = (
    "# SPDX-License-Identifier: Apache-2.0\n"
    '"""Generated from `proto/otel_loggedmodel/v1/`; see `otel_loggedmodel.versions.messages` for how to use it."""\n'
)


def main() -> int:
    """Generate or check, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 and show how they differ if they do"
    )
    check = parser.parse_args().check
    if sys.version_info >= (3, 13):
        print(f"{COMPILER} has no build for this Python: use Python 3.10, 3.11 or 3.12", file=sys.stderr)
        return 2
    generated = generate()
    if check:
        return report_drift(generated)
    TARGET.mkdir(exist_ok=True)
    for stale in TARGET.glob("*.py*"):
        stale.unlink()
    for name, text in generated.items():
        (TARGET / name).write_text(text, encoding="utf-8")
        print(f"wrote otel_loggedmodel/v1/{name}")
    return 0


def generate() -> dict[str, str]:
    """The generated files, by name."""
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        print(f"installing {COMPILER} ...", file=sys.stderr)
        venv.create(work / "venv", with_pip=True)
        python = str(work / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", COMPILER, "setuptools<81"], check=True)
        output = work / "output"
        output.mkdir()
        compile_protos = [python, "-W", "ignore", "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}"]
        subprocess.run(
            [*compile_protos, f"--python_out={output}", f"--pyi_out={output}", *map(str, SOURCES)], check=True
        )
        files = sorted((output / "otel_loggedmodel" / "v1").iterdir())
        return {"__init__.py": INIT, **{file.name: file.read_text(encoding="utf-8") for file in files}}


def report_drift(generated: dict[str, str]) -> int:
    """Compare with what is committed; 0 if it is the same."""
    committed = {file.name: file.read_text(encoding="utf-8") for file in TARGET.glob("*.py*")}
    drifted = sorted(name for name in generated.keys() | committed.keys() if generated.get(name) != committed.get(name))
    for name in drifted:
        before, after = committed.get(name, "").splitlines(), generated.get(name, "").splitlines()
        print("\n".join(difflib.unified_diff(before, after, f"committed/{name}", f"generated/{name}", lineterm="")))
    if drifted:
        print("the generated code is not that of the .proto files: run `make proto` and commit", file=sys.stderr)
        return 1
    print(f"generated code is up to date ({len(generated)} files)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
