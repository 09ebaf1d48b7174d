#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# MLflow's own client cannot begin a run in a workspace unless an experiment is named: a new workspace has none.
#
# Version: mlflow 3.17.2, `mlflow server --enable-workspaces` on SQLite.
# One would expect: that MLFLOW_WORKSPACE is enough, as without workspaces what names no experiment goes to experiment
# 0, `Default`; and that a server without workspaces says with a 4xx that it has none.
# What it does: with MLFLOW_WORKSPACE=team-a, `mlflow.start_run()` fails, as no experiment has the id 0 there, and a new
# workspace has no experiment of any name. A server without workspaces answers 500 to every call with that header.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cat > "$folder/run.py" <<'PYTHON'
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

folder = sys.argv[1]
programs = os.path.dirname(sys.executable)


@contextlib.contextmanager
def server(name, *arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [f"{programs}/mlflow", "server", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/{name}.db", "--artifacts-destination", f"{folder}/{name}"]
    process = subprocess.Popen(
        [*command, *stores, *arguments],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            if asked(f"{url}/health")[0] == 200:
                break
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def asked(url, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
of_team = {"X-MLFLOW-WORKSPACE": "team-a"}
with server("with", "--enable-workspaces") as url:
    assert asked(f"{url}/api/3.0/mlflow/workspaces", {"name": "team-a"})[0] == 201
    status, found = asked(f"{url}/api/2.0/mlflow/experiments/search", {"max_results": 10}, **of_team)
    run = subprocess.run(
        [sys.executable, "-c", "import mlflow\nmlflow.start_run()"],
        env={**os.environ, **quiet, "MLFLOW_TRACKING_URI": url, "MLFLOW_WORKSPACE": "team-a"},
        capture_output=True,
        text=True,
    )
experiments, said = json.loads(found).get("experiments", []), run.stderr.strip().rpartition("\n")[2]
print("experiments of the workspace:", experiments, "| the client:", run.returncode, said)
with server("without") as url:
    status, answer = asked(f"{url}/api/2.0/mlflow/experiments/search", {"max_results": 10}, **of_team)
print("a server without workspaces:", status, answer)
sys.exit(not (experiments == [] and run.returncode != 0 and "id=0" in said and status == 500))
PYTHON
"$folder/venv/bin/python" "$folder/run.py" "$folder"
