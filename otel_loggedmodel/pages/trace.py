# SPDX-License-Identifier: Apache-2.0
"""One trace: its waterfall, and of one span what was said, what was measured, and all that it carries."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.conventions import previews
from otel_loggedmodel.conventions.messages import messages_of
from otel_loggedmodel.pages.addresses import Links
from otel_loggedmodel.pages.conversation import Conversation, conversation_of, table_of, text_of
from otel_loggedmodel.pages.dataset_row import row_of
from otel_loggedmodel.pages.waterfall import Evaluation, Row, evaluations_of, rows_of
from otel_loggedmodel.store.trace_results import Span, Trace

# How many rows a page has: as many as a browser lays out at once.
MOST_ROWS: Final = 500
# How many spans of a trace are read, the earliest first. Each page of rows reads all of them and puts them into the
# order of their tree, which takes half a second for so many.
MOST_SPANS: Final = 10_000
_MOST_LOOKED_AT: Final = 100


def values(trace: Trace, span_id: str | None, text: str, only: str, page: int) -> Mapping[str, Any]:
    """What the template shows.

    Args:
        trace: The trace.
        span_id: The key of the row of which everything is shown; by default the first that failed, else the first with
            messages.
        text: Only spans whose name, service or attributes have this.
        only: `errors`, `models`, or empty for all spans.
        page: Which part of the spans, from 1 on.
    """
    rows = rows_of(trace)
    evaluations = evaluations_of(trace)
    by_span: dict[str, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        by_span[evaluation.span_id].append(evaluation)
    matching = [row for row in rows if _matches(row, text.casefold(), only)]
    pages = max(1, -(-len(matching) // MOST_ROWS))
    selected = _selected(rows, span_id)
    if span_id is not None and page == 0:
        page = next((place // MOST_ROWS + 1 for place, row in enumerate(matching) if row is selected), 1)
    page = min(max(page, 1), pages)
    begin = min((row.span.start_ns for row in rows), default=0)
    end = max((row.span.start_ns + row.span.duration_ns for row in rows), default=0)
    return {
        "trace": trace,
        "rows": matching[(page - 1) * MOST_ROWS : page * MOST_ROWS],
        "count": len(matching),
        "spans": len(rows),
        "page": page,
        "pages": pages,
        "text": text,
        "only": only,
        "begin_ms": begin / 1_000_000,
        "duration_ms": (end - begin) / 1_000_000,
        "errors": sum(row.failed for row in rows),
        "versions": list(dict.fromkeys(row.span.model_id for row in rows if row.span.model_id)),
        "services": sorted({row.span.service for row in rows if row.span.service}),
        "selected": selected,
        "root_name": _root(rows).span.name if rows else "",
        "heading": _asked(rows) or (_root(rows).span.name if rows else "") or "Trace",
        "tokens": _tokens(rows),
        "reason": _reason(rows),
        "scores": [(one.name, one.value or one.label) for one in evaluations],
        "conversation": Conversation() if selected is None else conversation_of(selected.span),
        "tables": {} if selected is None else _tables(selected.span),
        "row_of": row_of(trace),
        "evaluations": evaluations,
        "by_span": by_span,
        "names": {row.key: row.span.name for row in rows},
        "links": Links(),
    }


def _root(rows: Sequence[Row]) -> Row:
    """What a trace is called after: its entry span, else its first."""
    return next((row for row in rows if row.span.is_entry), rows[0])


def _asked(rows: Sequence[Row]) -> str:
    """What somebody asked, as far as a span says it: the first that has an input."""
    texts = (previews.asked_in(row.span.attributes, row.span.events) for row in rows[:_MOST_LOOKED_AT])
    return next(filter(None, texts), "")


def _tokens(rows: Sequence[Row]) -> tuple[int, int] | None:
    """Tokens in and out, of spans of which no other is said to contain them."""
    calls = [row for row in rows if row.llm is not None and (row.input_tokens or row.output_tokens)]
    if not calls:
        return None
    parents = {row.span.parent_span_id for row in calls}
    innermost = [row for row in calls if row.span.span_id not in parents]
    return sum(row.input_tokens or 0 for row in innermost), sum(row.output_tokens or 0 for row in innermost)


def _reason(rows: Sequence[Row]) -> str:
    """Why a trace failed: what its entry span says, else the deepest span that failed; empty where it did not."""
    failed = [row for row in rows if row.failed]
    if not failed:
        return ""
    return next(
        (row.span.status_message for row in [_root(rows), *failed[::-1]] if row.failed and row.span.status_message), ""
    )


def _matches(row: Row, text: str, only: str) -> bool:
    if only == "errors" and not row.failed:
        return False
    if only == "models" and row.llm is None:
        return False
    if not text:
        return True
    span = row.span
    return (
        text in span.name.casefold()
        or text in span.service.casefold()
        or text in span.status_message.casefold()
        or any(text in value.casefold() for value in span.attributes.values())
    )


def _selected(rows: Sequence[Row], span_id: str | None) -> Row | None:
    if span_id is not None:
        return next((row for row in rows if row.key == span_id), None)
    failed = [row for row in rows if row.failed]
    # The deepest is where an error comes from; the others pass it on.
    if failed:
        return max(failed, key=lambda row: row.depth)
    # Where the first calls have no messages, the others have none either.
    calls = itertools.islice((row for row in rows if row.llm is not None), _MOST_LOOKED_AT)
    with_messages = next((row for row in calls if messages_of(row.span.attributes, row.span.events)), None)
    return with_messages or (rows[0] if rows else None)


def _tables(span: Span) -> Mapping[str, Any]:
    """What a span carries, each value up to a bound."""
    return {
        "attributes": table_of(span.attributes, span, "attributes"),
        "resource": table_of(span.resource, span, "resource"),
        "events": [table_of(event.attributes, span, str(number)) for number, event in enumerate(span.events)],
        "status_message": text_of(span.status_message, ""),
    }
