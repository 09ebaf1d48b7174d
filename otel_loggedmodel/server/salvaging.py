# SPDX-License-Identifier: Apache-2.0
"""Reads requests that protobuf refuses as a whole, span by span, so that one odd span does not cost the others.

In a text that is not UTF-8, U+FFFD takes the place of what is wrong. Senders make such texts by cutting between the
bytes of a character, and a Collector passes them on. What is garbled in other ways is left out, and counted.
"""

from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_loggedmodel.server import loose_types
from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.flat_request import FlatResource, FlatScope
from otel_loggedmodel.server.refusing import malformed
from otel_loggedmodel.server.shapes import SPANS, Shape

_M = TypeVar("_M", bound=Message)

# Of all that is odd in one request: it takes two seconds to look through so many messages.
_MOST_LOOKED_THROUGH: Final = 1_000_000

_LooseResource: Final = loose_types.flat.type("resource.v1.Resource")
_LooseScope: Final = loose_types.flat.type("common.v1.InstrumentationScope")
_LooseValue: Final = loose_types.full.type("common.v1.AnyValue")


def salvage(body: bytes, account: Account, shape: Shape = SPANS) -> Any:
    """What can be read of a request.

    Args:
        body: A serialized request that protobuf does not read.
        account: Counts what could not be read, and what was repaired.
        shape: What kind of request it is.

    Returns:
        A request of the flat type.

    Raises:
        RefusalError: Nothing of it can be read.
    """
    try:
        envelope = loose_types.Envelope.FromString(body)
    except DecodeError as error:
        raise malformed(f"the body is no {shape.name}: {error}") from error
    salvager = _Salvager(account, shape)
    request = salvager.read(envelope)
    if salvager.items == 0 and account.rejected:
        raise malformed(f"the body is no {shape.name}: {account.example}")
    return request


def read_value(serialized: bytes, account: Account) -> AnyValue | None:
    """An attribute's value, its texts repaired; None where it cannot be read."""
    try:
        return AnyValue.FromString(serialized)
    except DecodeError:
        pass
    try:
        loose = _LooseValue.FromString(serialized)
        loose_types.full.mend(loose, _MOST_LOOKED_THROUGH)
        value = AnyValue.FromString(loose.SerializeToString())
    except (DecodeError, loose_types.TooManyPartsError):
        return None
    account.repaired["texts"] += 1
    return value


class _Salvager:
    def __init__(self, account: Account, shape: Shape) -> None:
        self._account = account
        self._shape = shape
        self._left = _MOST_LOOKED_THROUGH
        self.items = 0

    def read(self, envelope: Any) -> Any:
        shape = self._shape
        request = shape.flat_request()
        # The fields of the envelope are named as in a request with spans. Their numbers are the same in both kinds.
        for number, each in enumerate(envelope.resource_spans):
            place = f"{shape.resources}[{number}]"
            resource = self._read(FlatResource, _LooseResource, b"".join(each.resource))
            if isinstance(resource, str):
                count = sum(len(scope_spans.spans) for scope_spans in each.scope_spans)
                self._account.reject_malformed(count, f"{place}.resource {resource}")
                continue
            read_resource = getattr(request, shape.resources).add()
            read_resource.resource.CopyFrom(resource)
            for scope_number, scope_spans in enumerate(each.scope_spans):
                self._read_scope(read_resource, scope_spans, f"{place}.{shape.scopes}[{scope_number}]")
        return request

    def _read_scope(self, read_resource: Any, each: Any, place: str) -> None:
        shape = self._shape
        scope = self._read(FlatScope, _LooseScope, b"".join(each.scope))
        if isinstance(scope, str):
            self._account.reject_malformed(len(each.spans), f"{place}.scope {scope}")
            return
        read_scope = getattr(read_resource, shape.scopes).add()
        read_scope.scope.CopyFrom(scope)
        items = getattr(read_scope, shape.items)
        for number, serialized in enumerate(each.spans):
            item = self._read(shape.flat_item, shape.loose_item, serialized)
            if isinstance(item, str):
                self._account.reject_malformed(1, f"{place}.{shape.items}[{number}] {item}")
            else:
                items.append(item)
                self.items += 1

    def _read(self, wanted: type[_M], loose_type: type[Any], serialized: bytes) -> _M | str:
        """A message, or what is wrong with it."""
        try:
            return wanted.FromString(serialized)
        except DecodeError:
            pass
        try:
            loose = loose_type.FromString(serialized)
            self._left -= loose_types.flat.mend(loose, self._left)
            message = wanted.FromString(loose.SerializePartialToString())
        except DecodeError as error:
            return f"cannot be read: {error}"
        except loose_types.TooManyPartsError:
            self._left = 0
            return "has texts that are not UTF-8, and too many parts to repair them"
        self._account.repaired["texts"] += 1
        return message
