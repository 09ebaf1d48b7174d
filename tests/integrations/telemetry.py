# SPDX-License-Identifier: Apache-2.0
"""An application's OpenTelemetry set-up with this library in it, and the real receiver that it exports to."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

import otel_loggedmodel as mlflow
from otel_loggedmodel.conventions.reading import count_of
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.versions import identity
from otlp_receiver import OtlpReceiver, ReceivedSpan


class Telemetry:
    """A tracer provider as an application sets it up. Instrumentations take it as `tracer_provider`.

    The environment's version is read here, when the provider is made.
    """

    def __init__(self) -> None:
        self.receiver = OtlpReceiver()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        exporter = mlflow.LoggedModelExporter(OTLPSpanExporter(self.receiver.traces_endpoint))
        self.provider.add_span_processor(BatchSpanProcessor(exporter))

    def __enter__(self) -> "Telemetry":
        return self

    def __exit__(self, *exception: object) -> None:
        self.provider.shutdown()
        self.receiver.close()

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("app")

    def spans(self) -> list[ReceivedSpan]:
        """What arrived, everything that has ended included, without records of versions."""
        assert self.provider.force_flush()
        return [span for span in self.receiver.spans() if not is_record(span)]

    def records(self) -> list[tuple[object, object]]:
        """Event and version of the records that arrived."""
        assert self.provider.force_flush()
        spans = self.receiver.spans()
        return [
            (span.attributes["logged_model.event"], span.attributes["logged_model.id"])
            for span in spans
            if is_record(span)
        ]


def is_record(span: ReceivedSpan) -> bool:
    return "logged_model.event" in span.attributes


def version_on(span: ReceivedSpan) -> object:
    return span.attributes.get("logged_model.id")


def reference(name: str) -> str:
    """The id that a version has that is only known by name."""
    return identity.reference_to("0", name)


def is_entry(span: ReceivedSpan) -> bool:
    """Whether a span links to the root span of its own version, as entry spans do."""
    links = [link for link in span.links if "logged_model.id" in link.attributes]
    if not links:
        assert "logged_model.name" not in span.attributes
        return False
    (link,) = links
    model_id = str(version_on(span))
    assert link.attributes["logged_model.id"] == model_id
    assert int(link.trace_id, 16) == identity.trace_id_of(model_id)
    assert int(link.span_id, 16) == identity.root_span_id_of(model_id)
    return True


def counted_tokens(span: ReceivedSpan) -> tuple[int, int]:
    """The tokens of a span in and out, as whoever reads spans finds them."""
    return _count(span, Thing.INPUT_TOKENS), _count(span, Thing.OUTPUT_TOKENS)


def cached_tokens(span: ReceivedSpan) -> int:
    """Likewise, those of the tokens in that were read from a cache."""
    return _count(span, Thing.CACHE_READ_TOKENS)


def _count(span: ReceivedSpan, thing: Thing) -> int:
    return count_of(span.attributes, thing) or 0
