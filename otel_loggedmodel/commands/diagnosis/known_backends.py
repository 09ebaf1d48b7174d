# SPDX-License-Identifier: Apache-2.0
"""What `doctor` knows of backends: what each does to what this library sends, and what to set.

docs/backends has the same at length, and where it is from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Known:
    """A backend.

    Attributes:
        name: Its name.
        limits: What it does to what is sent, a sentence each.
        advice: What to set, or where to look.
    """

    name: str
    limits: Sequence[str]
    advice: str


KNOWN: Final = {
    "jaeger": Known(
        "Jaeger",
        (
            "It shows a version as the trace of its id without m-, and finds its traces by the tag logged_model.id.",
            "In memory it keeps as many traces as max_traces says. In badger a span with a value of 65,000 bytes or"
            " more is lost, which no version has.",
        ),
        "`otel-loggedmodel import jaeger {query}` brings its traces to where versions are compared:"
        " docs/backends/jaeger.md.",
    ),
    "zipkin": Known(
        "Zipkin",
        (
            "It drops links: traces of a version are found by annotationQuery=logged_model.id=m-...",
            "It finds a version's own records only where the lookback of a search reaches to the first of them.",
        ),
        "A Collector can send to `otel-loggedmodel serve`, too, to compare: docs/backends/zipkin.md.",
    ),
    "victoriatraces": Known(
        "VictoriaTraces",
        ("Before v0.7.0, results that are added days later show only with -search.traceMaxDurationWindow=720h.",),
        "`otel-loggedmodel import jaeger {query}/select/jaeger` brings its traces to where versions are compared:"
        " docs/backends/victoriatraces.md.",
    ),
    "phoenix": Known(
        "Phoenix",
        ('It drops links: traces of a version are found by attributes["logged_model"]["id"] == "m-...".',),
        "A Collector can send to `otel-loggedmodel serve`, too, to compare: docs/backends/phoenix.md.",
    ),
    "mlflow": Known(
        "MLflow",
        ("A trace is in the experiment that the header x-mlflow-experiment-id names.",),
        "OTEL_LOGGEDMODEL_MLFLOW makes LoggedModels of versions there: docs/mlflow-server.md.",
    ),
    "tempo": Known(
        "Tempo",
        (
            "It cuts values after 2,048 bytes, which those of versions are shorter than.",
            "It takes no more than 5 MB of one trace: a version that thousands of processes announce needs"
            " OTEL_LOGGEDMODEL_REPEAT=0, or a higher max_bytes_per_trace.",
        ),
        "See docs/backends/tempo.md for the queries.",
    ),
    "collector": Known(
        "an OpenTelemetry Collector (or something built on one)",
        ("What becomes of spans depends on where it sends them.",),
        "A sampler in it needs a way around for records of versions: docs/collector.md.",
    ),
    "datadog": Known(
        "Datadog",
        (
            "It forgets a version after 15 minutes, or after 15 days where a retention filter keeps"
            " @logged_model.event:*.",
        ),
        "Add that filter, and set OTEL_LOGGEDMODEL_REPEAT=7d: docs/backends/datadog.md.",
    ),
    "honeycomb": Known(
        "Honeycomb",
        ("Each param of a version is a column.", "It keeps spans for 60 days, if nothing else was agreed."),
        "Set OTEL_LOGGEDMODEL_REPEAT=30d: docs/backends/honeycomb.md.",
    ),
    "dash0": Known(
        "Dash0",
        (
            "It refuses spans that are older than 6 hours, and takes no more than 2,000 spans of one trace.",
            "It cuts values after 2,048 characters and spans after 32 attributes, which no version exceeds.",
        ),
        "Set OTEL_LOGGEDMODEL_SPOOL_MAX_AGE=6h, and with a thousand processes OTEL_LOGGEDMODEL_REPEAT=0:"
        " docs/backends/dash0.md.",
    ),
    "newrelic": Known(
        "New Relic",
        ("It cuts values after 4,095 characters, which those of versions are shorter than.",),
        "Set OTEL_LOGGEDMODEL_REPEAT to half of the time for which it keeps spans: docs/backends/new-relic.md.",
    ),
    "dynatrace": Known(
        "Dynatrace",
        (
            "It refuses spans that ended more than 60 minutes ago.",
            "It keeps spans for 10 days, if nothing else is set.",
        ),
        "Set OTEL_LOGGEDMODEL_SPOOL_MAX_AGE=1h and OTEL_LOGGEDMODEL_REPEAT=5d: docs/backends/dynatrace.md.",
    ),
    "sumologic": Known(
        "Sumo Logic",
        ("It refuses spans that are older than 24 hours, or begin 24 hours after the first one of their trace.",),
        "Set OTEL_LOGGEDMODEL_SPOOL_MAX_AGE=24h and OTEL_LOGGEDMODEL_REPEAT=0: docs/backends.",
    ),
    "google": Known(
        "Google Cloud",
        ("It takes values of 64 KiB and 1,024 attributes of a span, which no version exceeds.",),
        "See docs/backends for what others keep.",
    ),
}
# Domains of the hosts that vendors have customers send spans to, by what their documentation tells to set.
VENDORS: Final = {
    "datadoghq.com": "datadog",
    "datadoghq.eu": "datadog",
    "ddog-gov.com": "datadog",
    "honeycomb.io": "honeycomb",
    "dash0.com": "dash0",
    "nr-data.net": "newrelic",
    "dynatrace.com": "dynatrace",
    "sumologic.com": "sumologic",
    "googleapis.com": "google",
    "grafana.net": "tempo",
}
