# SPDX-License-Identifier: Apache-2.0
"""Which backend answers at the endpoint, what it does to what this library sends, and what to set.

Receivers of OTLP do not say who they are. Vendors are known by the name of the host. Elsewhere a few addresses of the
same host are asked for what only one backend answers there: the endpoint's own port, and the ports at which Jaeger,
Tempo and others answer questions by default. docs/backends has what was tried with each, and from where the rest is
known.
"""

import concurrent.futures
import http.client
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.commands import opening
from otel_loggedmodel.commands.diagnosis.arriving import address_of_api
from otel_loggedmodel.commands.diagnosis.endpoint import TRACES_PATH, Endpoint
from otel_loggedmodel.commands.diagnosis.known_backends import KNOWN, VENDORS, Known
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step

_NAME: Final = "backend"
_SECONDS: Final = 1.0
_MOST_BYTES: Final = 64 * 1024
# What the Collector's receiver says to whoever does not POST; Jaeger and Tempo have the same receiver in them.
_COLLECTOR: Final = b"405 method not allowed, supported: [POST]"
_MLFLOW_LOGIN: Final = b"authenticating-to-mlflow"
_VERSION: Final = re.compile(r"v?\d+\.\d+(\.\d+)?[\w.+-]{0,30}")
_JAEGER_VERSION: Final = re.compile(rb'"gitVersion"\s*:\s*"([^"]{1,40})"')


@dataclass(frozen=True)
class Said:
    """An answer.

    Attributes:
        status: The HTTP status.
        body: The beginning of it.
    """

    status: int
    body: bytes

    @property
    def document(self) -> Mapping[str, object]:
        """The body as a JSON object; empty where it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


# Where each answers questions by default.
PORTS: Final = {
    "phoenix": 6006,
    "zipkin": 9411,
    "victoriatraces": 10428,
    "mlflow": 5000,
    "jaeger": 16686,
    "tempo": 3200,
    "datadog": 8126,
}


def recognise(endpoint: Endpoint, deadline: Deadline) -> Step:
    """Say which backend takes the spans, as far as that can be told."""
    ours = address_of_api(endpoint)
    if opening.is_backend_running(ours):
        return Step(name=_NAME, outcome=Outcome.OK, text=f"otel-loggedmodel answers at {ours}")
    vendor = _vendor(endpoint.host)
    if vendor is not None:
        text = f"{endpoint.host} is {vendor.name}"
        return Step(name=_NAME, outcome=Outcome.OK, text=text, advice=vendor.advice, details=vendor.limits)
    found = _found(endpoint, deadline)
    if found is None:
        text = f"what takes spans at {endpoint.address} is none of those that are known here"
        advice = "docs/backends says what to look for: long values, links, old spans."
        return Step(name=_NAME, outcome=Outcome.SKIPPED, text=text, advice=advice)
    known, version, where = found
    shown = f"{known.name} {version}".strip()
    return Step(
        name=_NAME,
        outcome=Outcome.OK,
        text=f"{shown} answers at {where}",
        advice=known.advice.format(query=where),
        details=known.limits,
    )


def _vendor(host: str) -> Known | None:
    """Whose host it is; None if that cannot be told by its name."""
    for domain, kind in VENDORS.items():
        if host.lower().rstrip(".").endswith(f".{domain}"):
            return KNOWN[kind]
    return None


def _found(endpoint: Endpoint, deadline: Deadline) -> tuple[Known, str, str] | None:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    own = f"{'https' if endpoint.is_tls else 'http'}://{endpoint.address}"

    def at(kind: str, *, is_own: bool = True) -> str:
        """Where a backend answers: at the endpoint's own port, else at the one that it has by default."""
        return own if is_own and not endpoint.is_grpc else f"http://{host}:{PORTS[kind]}"

    asked = [
        ("phoenix", at("phoenix"), "/arize_phoenix_version"),
        ("zipkin", at("zipkin"), "/info"),
        ("victoriatraces", at("victoriatraces"), "/"),
        ("mlflow", at("mlflow"), "/version"),
        ("jaeger", at("jaeger", is_own=False), "/"),
        ("tempo", at("tempo", is_own=False), "/api/echo"),
        ("datadog", at("datadog", is_own=False), "/info"),
        *([] if endpoint.is_grpc else [("collector", own, TRACES_PATH)]),
    ]
    seconds = max(deadline.at_most(_SECONDS), 0.05)
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as threads:
        answers = list(threads.map(lambda one: _ask(one[1] + one[2], seconds), asked))
    for (kind, where, _), said in zip(asked, answers, strict=True):
        version = None if said is None else _version_of(kind, said)
        if version is not None:
            return KNOWN[kind], version, where
    return None


def _version_of(kind: str, said: Said) -> str | None:
    """What version of a backend an answer says, empty for none; None where it can be of something else."""
    body = said.body.strip()
    text = body.decode(errors="replace")
    if kind == "collector":
        return "" if said.status == 405 and _COLLECTOR in body else None
    if kind == "mlflow" and said.status == 401:  # with users, it says how to log in, and no version
        return "" if _MLFLOW_LOGIN in body else None
    if said.status != 200:
        return None
    match kind:
        case "phoenix" | "mlflow":
            return text if _VERSION.fullmatch(text) else None
        case "zipkin":
            about = said.document.get("zipkin")
            return str(about.get("version", "")) if isinstance(about, dict) else None
        case "victoriatraces":
            return "" if b"victoriatraces" in body.lower().replace(b" ", b"") else None
        case "jaeger":
            version = _JAEGER_VERSION.search(body)
            # One that was built without its pages has an empty one, and no version.
            return (version[1].decode() if version else "") if b"JAEGER_VERSION" in body else None
        case "datadog":
            document = said.document
            endpoints = document.get("endpoints")
            is_agent = isinstance(endpoints, list) and "/v0.4/traces" in endpoints
            return str(document.get("version", "")) if is_agent else None
        case "tempo":
            return "" if body == b"echo" else None
    return None


def _ask(url: str, seconds: float) -> Said | None:
    """What answers at an address; None where nothing does in time."""
    scheme, _, rest = url.partition("://")
    address, _, path = rest.partition("/")
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(address, timeout=seconds)
    try:
        connection.request("GET", f"/{path}", headers={"Connection": "close"})
        answer = connection.getresponse()
        return Said(answer.status, answer.read(_MOST_BYTES))
    except (OSError, ssl.SSLError, http.client.HTTPException):
        return None
    finally:
        connection.close()
