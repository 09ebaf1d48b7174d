# SPDX-License-Identifier: Apache-2.0
"""What requests of OTLP have in common, whatever is exported: resources, scopes in them, and items in those.

A request of spans and one of log records differ in the names of these three. So one piece of code takes either apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_T = TypeVar("_T")


@dataclass(frozen=True)
class Layers:
    """The names of the three in one kind of request.

    Attributes:
        resources: The name of the field of resources.
        scopes: The name of the field of scopes in a resource.
        items: The name of the field of items in a scope.
    """

    resources: str
    scopes: str
    items: str

    def halves(self, payload: bytes, request: Any) -> list[tuple[bytes, int]]:
        """A request in two halves, each with the number of its items. With fewer than two it stays as it is.

        Args:
            payload: The request.
            request: The same as a message.
        """
        total = self._count(request)
        if total < 2:
            return [(payload, total)]
        first, second = type(request)(), type(request)()
        taken = 0
        for of_resource, of_scope in self._scopes(request):
            items = list(getattr(of_scope, self.items))
            cut = min(len(items), max(0, total // 2 - taken))
            for half, part in ((first, items[:cut]), (second, items[cut:])):
                if part:
                    self._add(half, of_resource, of_scope, part)
            taken += len(items)
        return [(half.SerializeToString(), self._count(half)) for half in (first, second)]

    def each(self, request: Any) -> Iterator[tuple[Resource, InstrumentationScope, Iterable[Any]]]:
        """The items of a request, with their resource and their scope as the SDK has them."""
        for of_resource in getattr(request, self.resources):
            resource = Resource(attributes_of(of_resource.resource.attributes), of_resource.schema_url or None)
            for of_scope in getattr(of_resource, self.scopes):
                scope = InstrumentationScope(
                    of_scope.scope.name,
                    of_scope.scope.version or None,
                    of_scope.schema_url or None,
                    attributes_of(of_scope.scope.attributes),
                )
                yield resource, scope, getattr(of_scope, self.items)

    def _scopes(self, request: Any) -> Iterator[tuple[Any, Any]]:
        for of_resource in getattr(request, self.resources):
            for of_scope in getattr(of_resource, self.scopes):
                yield of_resource, of_scope

    def _count(self, request: Any) -> int:
        return sum(len(getattr(of_scope, self.items)) for _, of_scope in self._scopes(request))

    def _add(self, request: Any, of_resource: Any, of_scope: Any, items: Iterable[Any]) -> None:
        target = getattr(request, self.resources).add(schema_url=of_resource.schema_url)
        target.resource.CopyFrom(of_resource.resource)
        scope = getattr(target, self.scopes).add(schema_url=of_scope.schema_url)
        scope.scope.CopyFrom(of_scope.scope)
        getattr(scope, self.items).extend(items)


def encodable(items: Sequence[_T], encoded: Callable[[Sequence[_T]], bytes]) -> list[_T]:
    """The items that can be encoded. One that cannot must not cost the others."""
    kept: list[_T] = []
    for item in items:
        try:
            encoded([item])
        except Exception:  # noqa: S112 - the caller counts what is missing
            continue
        kept.append(item)
    return kept


def attributes_of(pairs: Iterable[Any]) -> dict[str, Any]:
    """Attributes as the SDK has them."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: Any) -> Any:
    """A value as the SDK has it; None for none."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(value_of(item) for item in value.array_value.values)
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)
