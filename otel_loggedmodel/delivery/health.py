# SPDX-License-Identifier: Apache-2.0
"""Counts what became of the spans or log records that an exporter was handed, as OpenTelemetry metrics.

Names are those of the semantic conventions, if they have one:
https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/. `otel.sdk.exporter.span.exported` counts each span once:
when it is delivered, or, with `error.type`, when it is given up. `otel.sdk.exporter.span.inflight` counts what waits.
The sum of the two is what was handed in here and what was adopted.
"""

import itertools
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_loggedmodel import environment
from otel_loggedmodel._forking import call_in_forked_child
from otel_loggedmodel.delivery.spool import Pending
from otel_loggedmodel.version import __version__

COMPONENT_TYPE: Final = "otel_loggedmodel_exporter"
_numbers: Final = itertools.count()


class Health:
    """The counts of one exporter in this process. Any thread may count.

    Attributes:
        accepted: Spans that were handed in.
        delivered: Spans that were acknowledged, adopted ones included.
        kept: Spans that were put away to be delivered later.
        dropped: Spans that were given up, by reason.

    Args:
        pending: What is waiting now.
        attributes: Attributes that tell the destination, such as `server.address`.
        meter_provider: Where metrics go. The default is the global one, but only if the environment asks for metrics:
            some users pay for each series, and have not asked for these by installing this library.
        component_type: What metrics call it.
        noun: What is counted, as metrics call one: `span` or `log`.
        unit: The unit that belongs to it.
    """

    def __init__(
        self,
        pending: Callable[[], Pending],
        attributes: Mapping[str, str | int] | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        component_type: str = COMPONENT_TYPE,
        noun: str = "span",
        unit: str = "{span}",
    ) -> None:
        self._reset()
        self._pending = pending
        name = f"{component_type}/{next(_numbers)}"
        self._attributes = {"otel.component.type": component_type, "otel.component.name": name, **(attributes or {})}
        if meter_provider is None and not environment.are_metrics_wanted():
            meter_provider = metrics.NoOpMeterProvider()
        things = "log records" if noun == "log" else f"{noun}s"
        meter = metrics.get_meter("otel_loggedmodel", __version__, meter_provider)
        self._exported = meter.create_counter(
            f"otel.sdk.exporter.{noun}.exported",
            unit,
            f"The number of {things} for which the export has finished, either successful or failed.",
        )
        self._accepted = meter.create_counter(
            f"otel_loggedmodel.exporter.{noun}.accepted", unit, f"The number of {things} that the exporter was handed."
        )
        self._kept = meter.create_counter(
            f"otel_loggedmodel.spool.{noun}.stored", unit, f"The number of {things} that were kept for later delivery."
        )
        meter.create_observable_up_down_counter(
            f"otel.sdk.exporter.{noun}.inflight",
            [self._observing(lambda waiting: waiting.spans + waiting.models)],
            unit,
            f"The number of {things} which were passed to the exporter, but that have not been exported yet.",
        )
        meter.create_observable_gauge(
            "otel_loggedmodel.spool.size",
            [self._observing(lambda waiting: waiting.bytes)],
            "By",
            "The size of the requests that wait to be delivered.",
        )
        meter.create_observable_gauge(
            "otel_loggedmodel.spool.oldest_age",
            [self._observing(lambda waiting: waiting.oldest_age)],
            "s",
            "How long the oldest request has been waiting.",
        )
        call_in_forked_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self.accepted = self.delivered = self.kept = 0
        self.dropped: Counter[str] = Counter()

    def accept(self, count: int) -> None:
        """Spans were handed in."""
        with self._lock:
            self.accepted += count
        self._accepted.add(count, self._attributes)

    def keep(self, count: int) -> None:
        """Spans were put away to be delivered later."""
        with self._lock:
            self.kept += count
        self._kept.add(count, self._attributes)

    def deliver(self, count: int) -> None:
        """Spans were acknowledged."""
        with self._lock:
            self.delivered += count
        self._exported.add(count, self._attributes)

    def drop(self, reason: str, count: int) -> None:
        """Spans were given up."""
        with self._lock:
            self.dropped[reason] += count
        self._exported.add(count, {**self._attributes, "error.type": reason})

    def _observing(self, figure: Callable[[Pending], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        # A meter keeps its callbacks for as long as it lives, but exporters come and go.
        owner = weakref.ref(self)

        def observe(_: CallbackOptions) -> Iterator[Observation]:
            health = owner()
            if health is not None:
                yield Observation(figure(health._pending()), health._attributes)

        return observe
