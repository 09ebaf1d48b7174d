# SPDX-License-Identifier: Apache-2.0
"""LoggedModelExporter: exports spans as the exporter it wraps does, and with them what versions they belong to."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel import attributes, environment
from otel_loggedmodel._errors import swallow, warn_once
from otel_loggedmodel.delivery.bounded import shut_down
from otel_loggedmodel.delivery.restamping import restamped
from otel_loggedmodel.delivery.shipping import RecordShipper, check_exporter
from otel_loggedmodel.versions.active import process

if TYPE_CHECKING:
    from otel_loggedmodel.delivery.durable import DurableExporter
    from otel_loggedmodel.delivery.keeping import Bounds
    from otel_loggedmodel.delivery.spool import Pending
    from otel_loggedmodel.mlflow_server.settings import Settings
    from otel_loggedmodel.mlflow_server.tracking import SpansAlone, Tracking


class LoggedModelExporter(SpanExporter):
    """Wraps a span exporter, to be handed to a span processor in its place.

    Spans pass through. The version's own records go out with the first spans of a version. They are sent again if the
    backend refused them, and every twelve hours while spans refer to the version, so that no backend's retention
    forgets it. A span that lost its stamp to the SDK's attribute limit gets it back.

    What an OTLP exporter cannot deliver now is kept on disk, and delivered when the backend answers again: see
    `durable`. It is not known where other exporters send to, so what they cannot deliver is kept only if `spool_dir` is
    given.

    An MLflow server can be told as well. Versions become LoggedModels of its experiment, traces are linked to them, and
    evaluation results become assessments. The package `mlflow` is not needed. All this happens in the background, and
    what the server cannot be told now is kept in the same way.

    Args:
        exporter: Any span exporter. By default one to the MLflow server, where there is one; else OTLP, over HTTP or
            gRPC as OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or OTEL_EXPORTER_OTLP_PROTOCOL say, set up by the standard
            OTEL_EXPORTER_OTLP_* variables.
        spool: Whether to keep what cannot be delivered now; by default as OTEL_LOGGEDMODEL_SPOOL says, else yes.
        spool_dir: Where to keep it; by default OTEL_LOGGEDMODEL_SPOOL_DIR, else the user's state directory. Exporters
            that are not OTLP's and share a class share what is in a directory: give each its own.
        spool_max_bytes: Bytes of disk for one destination; by default OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES, else 512 MiB.
        spool_max_age: Seconds after which something is not worth delivering; by default OTEL_LOGGEDMODEL_SPOOL_MAX_AGE,
            else 48 hours.
        repeat_after: Seconds after which a version that is still in use is announced again, 0 for never; by default as
            OTEL_LOGGEDMODEL_REPEAT says, else 12 hours.
        mlflow: The MLflow server: True for the one that MLFLOW_TRACKING_URI and its like say, a URI, or `Settings`. By
            default as OTEL_LOGGEDMODEL_MLFLOW says, else none. If spans go there, only the application's own do:
            records and evaluation results would be meaningless traces in its pages. Any other exporter gets all.

    Raises:
        TypeError: What is to be wrapped is no span exporter.
        ValueError: A bound is not positive, `repeat_after` is negative, `spool=True` for an exporter that needs
            `spool_dir`, or `mlflow` names no server that can be reached over HTTP.
    """

    def __init__(
        self,
        exporter: SpanExporter | None = None,
        *,
        spool: bool | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_bytes: int | None = None,
        spool_max_age: float | None = None,
        repeat_after: float | None = None,
        mlflow: bool | str | Settings | None = None,
    ) -> None:
        for name, bound in (("spool_max_bytes", spool_max_bytes), ("spool_max_age", spool_max_age)):
            if bound is not None and not bound > 0:
                raise ValueError(f"{name} is {bound!r}: it has to be more than 0; spool=False keeps nothing")
        if repeat_after is not None and not repeat_after >= 0:
            raise ValueError(f"repeat_after is {repeat_after!r}: it is seconds, and 0 for never")
        repeat_after = math.inf if repeat_after == 0 else repeat_after
        settings = _tracking_settings(mlflow)
        if exporter is None:
            exporter = otlp_exporter_from_environment() if settings is None else _exporter_to(settings)
        check_exporter(exporter)
        self._exporter = exporter
        self._durable: DurableExporter | None = None
        self._tracking: Tracking | None = None
        is_wanted = environment.is_spool_wanted() or spool_dir is not None if spool is None else spool
        # Imported here: an application that only says which version is active needs none of it.
        from otel_loggedmodel.delivery.keeping import Bounds, announced_beside, durable, place_of

        bounds = Bounds(spool_dir, spool_max_bytes, spool_max_age)
        if is_wanted:
            self._durable = durable(exporter, bounds)
            if self._durable is None and spool:
                name = type(exporter).__qualname__
                raise ValueError(f"nothing tells where {name} sends to: give it a directory of its own as spool_dir")
        self._shipper: RecordShipper | SpansAlone = RecordShipper(
            self._durable or exporter,
            repeat_after,
            place=place_of(exporter),
            beside=announced_beside(exporter, bounds) if is_wanted else None,
        )
        if settings is not None:
            self._track(settings, bounds if is_wanted else None, repeat_after)

    @property
    def wrapped(self) -> SpanExporter:
        """The exporter that does the sending."""
        return self._exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, with the records that are due. The result is the wrapped exporter's, for the spans."""
        model_ids: dict[str, None] = {}
        try:
            spans = _stamped(spans, model_ids)
        except Exception:
            swallow("looking at the versions of spans")
        if not model_ids and process.version is not None and not process.has_processor:
            warn_once(
                "no processor",
                "spans are exported without the version that is active, %s: add LoggedModelSpanProcessor() to the"
                " tracer provider, which puts it on them",
                process.version.model_id,
            )
        if self._tracking is not None:
            self._tracking.note(spans, model_ids)
        return self._shipper.export(spans, model_ids)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver the records that are due and what was kept, as far as the time goes, and flush the wrapped exporter.

        Returns:
            Whether nothing is left to deliver.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        delivered = self._shipper.flush(timeout_millis / 1000)
        try:
            # Some exporters, against the interface, return nothing; they did not say that anything is left.
            flushed = (self._durable or self._exporter).force_flush(_millis_until(deadline))
            delivered = flushed is not False and delivered
        finally:
            if self._tracking is not None:
                delivered = self._tracking.force_flush(_millis_until(deadline)) and delivered
        return delivered

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Deliver what is due, keep what cannot be delivered, and shut the wrapped exporter down.

        Args:
            timeout_millis: How long to wait for what is under way; the wrapped exporter is told how much of it is left.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        self._shipper.shutdown(timeout_millis / 1000)
        try:
            if self._durable is not None:
                self._durable.shutdown(_millis_until(deadline))
            else:
                shut_down(self._exporter, max(0.0, deadline - time.monotonic()))
        finally:
            tracking, self._tracking = self._tracking, None
            if tracking is not None:
                tracking.shutdown(max(0.0, deadline - time.monotonic()))

    def __getattr__(self, name: str) -> Any:
        """What this exporter does not have is the wrapped exporter's: processors of vendors ask theirs for more."""
        if name in ("_exporter", "__setstate__"):  # not there yet, while an exporter is made or copied
            raise AttributeError(name)
        return getattr(self._exporter, name)

    def unwrap(self) -> SpanExporter:
        """Let go of the wrapped exporter, which somebody else will use from now on, without shutting it down."""
        self._shipper.release()
        if self._durable is not None:
            self._durable.close()
        tracking, self._tracking = self._tracking, None
        if tracking is not None:
            tracking.leave()
        return self._exporter

    @property
    def pending(self) -> Pending:
        """What is kept to be delivered later."""
        from otel_loggedmodel.delivery.spool import Pending

        kept = [one.pending for one in (self._durable, self._tracking) if one is not None]
        return Pending(
            bytes=sum(one.bytes for one in kept),
            spans=sum(one.spans for one in kept),
            models=sum(one.models for one in kept),
            oldest_age=max((one.oldest_age for one in kept), default=0.0),
        )

    def _track(self, settings: Settings, bounds: Bounds | None, repeat_after: float | None) -> None:
        from otel_loggedmodel.delivery.destinations import destination_of
        from otel_loggedmodel.mlflow_server.tracking import Keeping, SpansAlone, Tracking

        keeping = Keeping() if bounds is None else Keeping(bounds.path, bounds.bytes, bounds.seconds)
        self._tracking = Tracking.shared(settings, keeping, repeat_after)
        destination = destination_of(self._exporter)
        if destination is not None and destination.endpoint == f"{settings.uri}/v1/traces":
            self._shipper.release()
            self._shipper = SpansAlone(self._durable or self._exporter)


def _millis_until(deadline: float) -> int:
    return max(0, int(1000 * (deadline - time.monotonic())))


def otlp_exporter_from_environment() -> SpanExporter:
    """An OTLP exporter as the standard environment variables describe it."""
    # Imported here: either takes longer to import than all of this library, and one of them is never needed.
    if environment.otlp_traces_protocol() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


# The MLflow server; imported where there is one.


def _tracking_settings(mlflow: bool | str | Settings | None) -> Settings | None:
    """What there is to know of the MLflow server; None where there is none."""
    said = environment.tracking_server() if mlflow is None else mlflow
    if said is False:
        return None
    from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError

    if isinstance(said, Settings):
        return said
    if said is not True and not isinstance(said, str):
        raise TypeError(f"mlflow is {type(said).__name__}: pass True, the URI of an MLflow server, or Settings")
    try:
        return Settings.from_environment(None if said is True else said)
    except SettingsError as error:
        if mlflow is not None:
            raise
        warn_once("tracking server", "%s is ignored: %s", environment.OTEL_LOGGEDMODEL_MLFLOW, error)
        return None


def _exporter_to(settings: Settings) -> SpanExporter:
    from otel_loggedmodel.mlflow_server.otlp import span_exporter

    return span_exporter(settings)


def _stamped(spans: Sequence[ReadableSpan], model_ids: dict[str, None]) -> Sequence[ReadableSpan]:
    """The spans with lost stamps put back; their versions are added to `model_ids`."""
    replaced: dict[int, ReadableSpan] = {}
    for index, span in enumerate(spans):
        whole = restamped(span)
        if whole is not span:
            replaced[index] = whole
        model_id = (whole.attributes or {}).get(attributes.ID)
        if isinstance(model_id, str):
            model_ids[model_id] = None
    if not replaced:
        return spans
    return [replaced.get(index, span) for index, span in enumerate(spans)]
