# SPDX-License-Identifier: Apache-2.0
"""LoggedModelPropagator: lets the version of a request cross to other services, as W3C baggage.

Baggage goes out with every request, to third parties as well, and comes in from whoever sends one. So the version is
not put into the Context's own baggage, where any propagator would send it on: this propagator adds it to single
requests, when the scope or the environment asked for that and the host may know. Should somebody else's propagator
take its place, nothing goes out.
"""

import functools
import ipaddress
import re
import threading
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import SpanKind

from otel_loggedmodel import environment
from otel_loggedmodel._errors import swallow, warn_once
from otel_loggedmodel.attributes import ID
from otel_loggedmodel.versions.active import Version, current_version, is_propagated, version_of

_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HEADER: Final = "baggage"
# Where an HTTP or RPC client's span says which host it calls, the stable conventions first. Source:
# https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and its releases before 1.23.
_HOST_ATTRIBUTES: Final = ("server.address", "url.full", "net.peer.name", "http.url", "http.host")
_HOST_PATTERN: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")


class LoggedModelPropagator(TextMapPropagator):
    """Sends and keeps clean the baggage entry `logged_model.id`, around the propagator that does the rest.

    The active version goes out with a request where its scope was entered with `use_model(..., propagate=True)`, or
    where OTEL_LOGGEDMODEL_PROPAGATE says so for the whole process. Otherwise an entry that came in goes on, as all
    baggage does. Other entries are left alone. An id that is not 1 to 128 of `A-Za-z0-9._-` neither comes in nor goes
    out.

    `use_model(propagate=True)` and the environment install one by themselves. Install your own, before, to name hosts
    in code: `set_global_textmap(LoggedModelPropagator(hosts=["*.internal"]))`.

    Args:
        propagator: What carries the trace context and baggage; by default the global propagator at this moment. Where
            it carries no baggage, the version travels in a `baggage` header that holds nothing else.
        propagate: Whether the active version goes out where no scope says. By default as OTEL_LOGGEDMODEL_PROPAGATE
            says.
        hosts: The only hosts that a version may go to: names, addresses, or `*.example.com` for all below a domain.
            By default those of OTEL_LOGGEDMODEL_PROPAGATE_HOSTS, and any host where that is not set. Where hosts are
            given, a request whose span does not say which host it goes to gets no version.

    Raises:
        TypeError: `hosts` is one string, or holds something else than strings.
        ValueError: One of `hosts` is no host, such as a URL.
    """

    def __init__(
        self,
        propagator: TextMapPropagator | None = None,
        *,
        propagate: bool | None = None,
        hosts: Iterable[str] | None = None,
    ) -> None:
        inner = _global_propagator() if propagator is None else propagator
        self._inner: Final = inner.wrapped if isinstance(inner, LoggedModelPropagator) else inner
        self._own_baggage: Final = None if _HEADER in self._inner.fields else W3CBaggagePropagator()
        self._by_default: Final = environment.is_propagation_wanted() if propagate is None else propagate
        self._hosts: Final = _hosts_of_environment() if hosts is None else _checked(hosts)

    @property
    def wrapped(self) -> TextMapPropagator:
        """The propagator that carries everything else."""
        return self._inner

    @property
    def fields(self) -> set[str]:
        """The names of the headers that may be set."""
        return {*self._inner.fields, _HEADER}

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """What came in, without an id that cannot be one."""
        extracted = self._inner.extract(carrier, context, getter)
        try:
            if self._own_baggage is not None:
                arrived = self._own_baggage.extract(carrier, Context(), getter)
                value = baggage.get_baggage(ID, arrived)
                if value is not None:
                    extracted = baggage.set_baggage(ID, value, extracted)
            if baggage.get_baggage(ID, extracted) is not None and version_from_baggage(extracted) is None:
                extracted = baggage.remove_baggage(ID, extracted)
        except Exception:
            swallow("reading the version of a request")
        return extracted

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Send what may go out to the host that the current span calls."""
        context = get_current() if context is None else context
        # Whatever fails below, an entry that must not go out is not there any more.
        sent = context if baggage.get_baggage(ID, context) is None else baggage.remove_baggage(ID, context)
        try:
            version = self._outgoing(context)
            if version is None:
                if self._hosts is not None:
                    _take_out_of(carrier)
            elif self._own_baggage is None:
                sent = baggage.set_baggage(ID, version.model_id, sent)
            else:
                self._own_baggage.inject(carrier, baggage.set_baggage(ID, version.model_id, Context()), setter)
        except Exception:
            swallow("sending the version with a request")
        self._inner.inject(carrier, sent, setter)

    def _outgoing(self, context: Context) -> Version | None:
        asked = is_propagated(context)
        version = current_version(context) if (self._by_default if asked is None else asked) else None
        if version is None and asked is None:
            version = version_from_baggage(context)  # what came in goes on
        if version is None:
            return None
        if not _ACCEPTABLE.fullmatch(version.model_id):
            warn_once(
                f"propagating {version.model_id}",
                "the version %r does not go out with requests: only ids of 1 to 128 of A-Za-z0-9._- do; "
                "make it with create_external_model, or rename it",
                version.model_id,
            )
            return None
        if self._hosts is not None and not _is_among(_host_called(context), self._hosts):
            return None
        return version


def version_from_baggage(context: Context | None) -> Version | None:
    """The version that came in with a request, if it can be one."""
    value = baggage.get_baggage(ID, context)
    if isinstance(value, str) and _ACCEPTABLE.fullmatch(value):
        return version_of(value)
    return None


_installing: Final = threading.Lock()
_installed: LoggedModelPropagator | None = None


def install(*, propagate: bool | None = None, hosts: Iterable[str] | None = None) -> None:
    """Have the global propagator send versions, as `LoggedModelPropagator` does. One that does is left alone."""
    global _installed  # noqa: PLW0603 - the global propagator is one for a process, too
    try:
        with _installing:
            if not isinstance(_global_propagator(), LoggedModelPropagator):
                _installed = LoggedModelPropagator(propagate=propagate, hosts=hosts)
                _set_global_propagator(_installed)
    except Exception:
        swallow("installing the propagator")


def uninstall() -> None:
    """Put the propagator back that `install` found, unless another one has been set since."""
    with _installing:
        if _installed is not None and _global_propagator() is _installed:
            _set_global_propagator(_installed.wrapped)


# Imported when it is needed: the import loads every propagator of OTEL_PROPAGATORS, and raises where one is not there.


def _global_propagator() -> TextMapPropagator:
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


def _set_global_propagator(propagator: TextMapPropagator) -> None:
    from opentelemetry.propagate import set_global_textmap

    set_global_textmap(propagator)


# Hosts


def _checked(hosts: Iterable[str]) -> frozenset[str]:
    if isinstance(hosts, str):
        raise TypeError(f"hosts is a string: pass a list, [{hosts!r}]")
    return frozenset(_checked_host(host) for host in hosts)


def _checked_host(host: object) -> str:
    if not isinstance(host, str):
        raise TypeError(f"hosts has {host!r}: pass strings")
    name = host.strip().lower()
    if not (_address(name) or _HOST_PATTERN.fullmatch(name)):
        raise ValueError(f'{host!r} is no host: pass a name, an address, or "*.example.com", without scheme or port')
    return _address(name) or name.rstrip(".")


def _hosts_of_environment() -> frozenset[str] | None:
    given = environment.propagation_hosts()
    if given is None:
        return None
    hosts = set()
    for host in given:
        try:
            hosts.add(_checked_host(host))
        except ValueError as error:
            variable = environment.OTEL_LOGGEDMODEL_PROPAGATE_HOSTS
            warn_once(f"{variable} {host}", "%s: %s; it is left out", variable, error)
    return frozenset(hosts)  # empty where all were wrong: then no host is right


def _is_among(host: str | None, allowed: frozenset[str]) -> bool:
    if host is None:
        return False
    if host in allowed:
        return True
    labels = host.split(".")
    return any(f"*.{'.'.join(labels[index:])}" in allowed for index in range(1, len(labels)))


def _host_called(context: Context) -> str | None:
    """The host that the current span says it calls; None where it does not, as one that is not recorded."""
    span: Any = trace.get_current_span(context)
    if getattr(span, "kind", None) not in (SpanKind.CLIENT, SpanKind.PRODUCER):
        return None  # a server's span names the server's own host, as its caller spelled it
    attributes = getattr(span, "attributes", None) or {}
    value = next((value for name in _HOST_ATTRIBUTES if isinstance(value := attributes.get(name), str) and value), None)
    return None if value is None else _host_in(value)


@functools.lru_cache(maxsize=1024)
def _host_in(text: str) -> str | None:
    """The host of a URL, of `host:port` or of a host alone, as `hosts` are spelled."""
    try:
        host = _address(text) or urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return None
    return _address(host) or host.lower().rstrip(".") or None


def _address(text: str) -> str | None:
    """The canonical spelling of an IP address, or None if the text is no IP address."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None


def _take_out_of(carrier: Any) -> None:
    """Take the entry out of a header that a request has already, as one that was redirected has."""
    headers = getattr(carrier, "get", None)
    present = headers(_HEADER) if callable(headers) else None
    if not isinstance(present, str) or ID not in present:
        return
    kept = [entry for entry in present.split(",") if entry.partition("=")[0].strip() != ID]
    if kept:
        carrier[_HEADER] = ",".join(kept)
    else:
        del carrier[_HEADER]
