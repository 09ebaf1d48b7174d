# SPDX-License-Identifier: Apache-2.0
"""How many numbers of recorded spans a store gets right, wrong, or says that it does not know.

`python -m conventions.scoring [DIRECTORY]`, in `tests/`, puts every recording of a directory into an embedded store. A
recording is `NAME.json`, spans in OTLP's JSON, and `NAME.truth.json`: for each scenario the version, and what really
happened, as the model's server counted it.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from otel_loggedmodel.server.decoding import JSON, decode
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.reading import Reader, VersionFilter
from otel_loggedmodel.store.results import VersionMetrics
from otel_loggedmodel.versions import identity

HERE = Path(__file__).parent / "counted"
RECORDED = Path(__file__).parent / "recorded"
RIGHT, WRONG, UNKNOWN = "right", "wrong", "unknown"
# A cost of so much is right, whatever is beyond.
_RELATIVE = 1e-6


@dataclass(frozen=True)
class Scenario:
    """What one version did in a recording, and what is true of it."""

    recording: str
    name: str
    version: str
    truth: dict[str, float]
    not_in_telemetry: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """One number of a scenario: what it is and what was found."""

    scenario: Scenario
    name: str
    truth: float
    found: float | None

    @property
    def outcome(self) -> str:
        """Whether it is right, wrong or not known."""
        if self.found is None:
            return UNKNOWN
        return RIGHT if abs(self.found - self.truth) <= _RELATIVE * max(abs(self.truth), 1e-6) else WRONG


def names_of(directory: Path) -> list[str]:
    """The names of the recordings there are."""
    return sorted(path.name.removesuffix(".truth.json") for path in directory.glob("*.truth.json"))


def request_of(directory: Path, name: str) -> bytes:
    """A recording as the backend stores it."""
    body = (directory / f"{name}.json").read_bytes()
    return decode(body, JSON, "identity", Settings()).checked.payload


def scenarios_of(directory: Path, name: str) -> list[Scenario]:
    """What happened in a recording."""
    told: list[dict[str, Any]] = json.loads((directory / f"{name}.truth.json").read_text(encoding="utf-8"))
    ids = _ids_of(request_of(directory, name))
    return [Scenario(name, one["scenario"], _id_of(one["version"], ids), one["truth"]) for one in told]


def _ids_of(request: bytes) -> set[str]:
    """The ids of versions on spans and resources."""
    message = ExportTraceServiceRequest.FromString(request)
    holders = [holder for one in message.resource_spans for holder in (one.resource, *_spans_of(one))]
    return {
        attribute.value.string_value
        for holder in holders
        for attribute in holder.attributes
        if attribute.key == "logged_model.id"
    }


def _spans_of(resource_spans: ResourceSpans) -> list[Span]:
    return [span for scope_spans in resource_spans.scope_spans for span in scope_spans.spans]


def _id_of(version: str, ids: Collection[str]) -> str:
    """The id of a version by its name, of which the first half of an id is made."""
    family = identity.model_id_of("0", version)[:18]
    return next((one for one in ids if one == version or one.startswith(family)), version)


def numbers_of(scenarios: Sequence[Scenario], reader: Reader) -> list[tuple[Scenario, list[Number]]]:
    """The numbers of scenarios that a store answers; of one whose spans never came, it knows none."""
    known = {version.model_id for version in reader.versions(VersionFilter(limit=100_000, counted=False))}
    asked = [scenario for scenario in scenarios if scenario.version in known]
    versions = reader.compare([scenario.version for scenario in asked]).versions if asked else ()
    found = {metrics.model_id: _found(metrics) for metrics in versions}
    nothing: dict[str, float | None] = dict.fromkeys(_NUMBERS)
    return [
        (
            scenario,
            [
                Number(scenario, name, scenario.truth[name], found.get(scenario.version, nothing)[name])
                for name in _NUMBERS
            ],
        )
        for scenario in scenarios
    ]


_NUMBERS = ("runs", "errors", "tin", "tout", "cached", "written", "cost")


def _found(metrics: VersionMetrics) -> dict[str, float | None]:
    tokens = metrics.tokens
    return {
        "runs": metrics.traces,
        "errors": metrics.errors,
        "tin": tokens.input,
        "tout": tokens.output,
        "cached": tokens.cache_read,
        "written": tokens.cache_write,
        "cost": metrics.cost_usd,
    }


def score(directory: Path, store: Store) -> Iterator[tuple[Scenario, list[Number]]]:
    """Store every recording, and hold the answers against the truth."""
    for name in names_of(directory):
        store.writer.insert([request_of(directory, name)])
        yield from numbers_of(scenarios_of(directory, name), store.reader)


def main(arguments: Sequence[str]) -> None:
    """Print what is not right, and how much is."""
    directory = Path(arguments[0]) if arguments else HERE
    total: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        store = open_database(f"chdb://{folder}/data")
        for scenario, numbers in score(directory, store):
            total.update((number.name, number.outcome) for number in numbers)
            odd = [f"{number.name} {number.found} for {number.truth}" for number in numbers if number.outcome != RIGHT]
            if odd:
                print(f"{scenario.recording} {scenario.name}: {'; '.join(odd)}")
        store.close()
    print(f"{'':10}{RIGHT:>8}{WRONG:>8}{UNKNOWN:>8}")
    for name in _NUMBERS:
        print(f"{name:10}" + "".join(f"{total[name, outcome]:8}" for outcome in (RIGHT, WRONG, UNKNOWN)))
    print(
        f"{'all':10}" + "".join(f"{sum(total[n, outcome] for n in _NUMBERS):8}" for outcome in (RIGHT, WRONG, UNKNOWN))
    )


if __name__ == "__main__":
    main(sys.argv[1:])
