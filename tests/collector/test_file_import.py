# SPDX-License-Identifier: Apache-2.0
"""Files that a real Collector's `file` exporter writes, in each of its forms, imported with `import otlp`.

tests/carrying/recorded has small ones that this has written: OTEL_LOGGEDMODEL_RECORD=1 writes them anew.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path

import pytest

from backend.serving import command
from log_requests import request, score
from waiting import wait_until

from . import otlp
from .conftest import RunCollector

RECORDED = Path(__file__).resolve().parents[1] / "carrying" / "recorded"
ZSTD = {"compression": "zstd"}
PROTO = {"format": "proto"}
FORMS: dict[str, dict[str, str]] = {
    "lines.jsonl": {},
    "lengths.pb": PROTO,
    "lengths-zstd.json": ZSTD,
    "lengths-zstd.pb": {**PROTO, **ZSTD},
}
GATE = "--feature-gates=exporter.file.nativeCompression"
COMPRESSED = {"whole.jsonl.zst": ZSTD, "whole.pb.zst": {**PROTO, **ZSTD}}
VERSION = "m-0123456789abcdef0123456789abcdef"
TRACE, ROOT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def configuration(directory: Path, forms: dict[str, dict[str, str]]) -> str:
    """A Collector that writes everything in each form."""
    exporters = {
        f"file/{place}": {**form, "path": str(directory / name), "flush_interval": "10ms"}
        for place, (name, form) in enumerate(forms.items())
    }
    pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
    return "yaml:" + json.dumps(
        {
            "receivers": {
                "otlp": {
                    "protocols": {
                        "grpc": {"endpoint": "${env:LOGGEDMODEL_COLLECTOR_GRPC}"},
                        "http": {"endpoint": "${env:LOGGEDMODEL_COLLECTOR_HTTP}"},
                    }
                }
            },
            "exporters": exporters,
            "extensions": {"health_check": {"endpoint": "${env:LOGGEDMODEL_COLLECTOR_HEALTH}"}},
            "service": {"extensions": ["health_check"], "pipelines": {"traces": pipeline, "logs": pipeline}},
        }
    )


def are_written(files: list[Path]) -> bool:
    return all(file.stat().st_size for file in files)


@pytest.fixture(scope="module")
def written(run_collector: RunCollector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the file of each form, from a Collector that was stopped."""
    directory = tmp_path_factory.mktemp("written")
    for forms, gate in ((FORMS, ()), (COMPRESSED, (GATE,))):
        with run_collector(config=configuration(directory, forms), options=gate) as collector:
            root = otlp.Span(
                "answer", TRACE, ROOT, attributes={"logged_model.id": VERSION, "n": 3, "f": 0.5, "b": True}
            )
            inner = root.child("call", span_id="1f1e1d1c1b1a1918", error=True)
            otlp.send_json(collector.url, [root, inner], {"service.name": "shop"})
            result = request(score("helpful", 0.5, trace=TRACE, span=ROOT), **{"service.name": "shop"})
            otlp.post(f"{collector.url}/v1/logs", result.SerializeToString(), "application/x-protobuf")
            files = [directory / name for name in forms]
            wait_until(functools.partial(are_written, files), "all files")
    if os.environ.get("OTEL_LOGGEDMODEL_RECORD"):
        for name in (*FORMS, *COMPRESSED):
            shutil.copy(directory / name, RECORDED / name)
    return directory


def test_every_form_is_read(written: Path, tmp_path: Path) -> None:
    files = [written / name for name in (*FORMS, *COMPRESSED)]
    done = command("import", "otlp", *files, "--json", store=f"chdb://{tmp_path / 'store'}")
    assert done.returncode == 0, done
    told = json.loads(done.stdout)["files"]
    assert [(Path(one["path"]).name, one["spans"], one["log_records"], one["cut"]) for one in told] == [
        (file.name, 2, 1, "") for file in files
    ]
    listed = command("traces", "--json", store=f"chdb://{tmp_path / 'store'}")
    (trace,) = json.loads(listed.stdout)["traces"]
    assert (trace["trace_id"], trace["model_id"], trace["scores"]) == (TRACE, VERSION, {"helpful": 0.5})
