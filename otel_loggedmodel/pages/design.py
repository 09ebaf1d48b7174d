# SPDX-License-Identifier: Apache-2.0
"""Every token and component of the pages once, with made-up values, for those who work on them: `serve --dev`."""

import math
from collections.abc import Mapping
from typing import Any, Final

from otel_loggedmodel.pages import charts, figures, narrowing
from otel_loggedmodel.pages.addresses import Links
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.deciding import Outcome
from otel_loggedmodel.presenting.differing import words_that_differ
from otel_loggedmodel.presenting.naming import Title
from otel_loggedmodel.store.faceting import PARTS
from otel_loggedmodel.store.results import Verdict
from otel_loggedmodel.store.trace_results import Facets, TracesPart, TraceSummary

# Names in `pages.css`, and what each is for.
COLOURS: Final = (
    *(("surface-0", "page"), ("surface-1", "panel"), ("surface-2", "sunken, under the mouse")),
    *(("line", "hairline"), ("line-strong", "edge of a control"), ("ink-1", "text"), ("ink-2", "second text")),
    *(("a", "version A"), ("a-soft", "only A has it"), ("b", "version B"), ("b-soft", "only B has it")),
    *(("c2", "version C"), ("c3", "D"), ("c4", "E"), ("c5", "F"), ("c6", "G"), ("c7", "H")),
    *(("better", "verdict"), ("better-soft", "behind it"), ("worse", "verdict, failure"), ("worse-soft", "behind it")),
    *(("unknown", "verdict: unknown, same"), ("unknown-soft", "behind it"), ("focus", "keyboard, current row")),
)
_FIRST: Final = Title(model_id=f"m-{'1' * 24}e60e7c40", name="support-agent", label="v1", stage="production")
_SECOND: Final = Title(model_id=f"m-{'1' * 24}8d868dd0", name="support-agent", label="v2", stage="candidate")
_PARTS: Final = 24


def values() -> Mapping[str, Any]:
    """What the template shows."""
    trends: list[list[float | None]] = [
        [60 + 12 * math.sin(part / 3) for part in range(_PARTS)],
        [None] * 9 + [150.0 + part for part in range(15)],
    ]
    series = [charts.Series("A", trends[0]), charts.Series("B", trends[1], marks=[9 * 3_600_000])]
    common: dict[str, Any] = {"span_id": "b" * 16, "span_name": "POST /ask", "service": "support-agent", "start_ns": 1}
    return {
        "colours": COLOURS,
        "titles": [_FIRST, _SECOND, Title(model_id=f"m-{'2' * 24}521a83f4", name="triage")],
        "outcomes": list(Outcome),
        "verdicts": list(Verdict),
        "intervals": [(verdict, figures.interval(_span(verdict), f"{verdict}")) for verdict in Verdict],
        "group": figures.interval(_span(Verdict.BETTER), "Quality", 24, with_ends=True),
        "spark": figures.sparkline(trends[0], "p50 over its life", formatting.milliseconds),
        "over_time": charts.over_time(series, 0, 3_600_000, "Latency over time", formatting.milliseconds),
        "distribution": charts.distributions(
            [{32: 5, 34: 40, 36: 70, 38: 30}, {38: 10, 40: 50, 42: 90, 44: 20}],
            ["A v1", "B v2"],
            "Distribution of latency",
            [62.0, 120.0],
        ),
        "bars": figures.bars([67.2, 147.0], 160.0, "chat: 67.2 and 147 ms"),
        "pieces": words_that_differ(
            "Answer in one sentence, from these articles only.",
            "Answer in three sentences, from these articles only, and name them.",
        ),
        "traces": [
            TraceSummary(
                trace_id="1" * 32,
                model_id=_SECOND.model_id,
                duration_ms=339.0,
                input_tokens=299,
                output_tokens=54,
                cost_usd=0.00103,
                scores={"grounded": 1.0},
                input="How do I reset my password?",
                output="On the sign-in page choose Forgot password and enter your e-mail address.",
                **common,
            ),
            TraceSummary(
                trace_id="2" * 32,
                model_id=_FIRST.model_id,
                duration_ms=31.0,
                error=True,
                input="Can I get my money back for a yearly plan?",
                reason="503 the model gave no answer",
                **common,
            ),
        ],
        "dots": figures.dots((0, 2, 0, 1, 0, 4, 19, 0, 3, 0, 5, 0, 14), 1.0, "27 higher, 7 lower, 19 the same"),
        "when": narrowing.when(
            Facets(
                traces=1,
                parts=tuple(
                    TracesPart(start_ms=60_000 * part, traces=40 - abs(part - 20), errors=part % 5)
                    for part in range(PARTS)
                ),
                step_ms=60_000,
            )
        ),
        "by_id": {_FIRST.model_id: _FIRST, _SECOND.model_id: _SECOND},
        "links": Links(),
    }


def _span(verdict: Verdict) -> figures.Span:
    delta = {Verdict.BETTER: 60.0, Verdict.WORSE: -40.0, Verdict.SAME: 0.5, Verdict.UNKNOWN: 20.0}[verdict]
    width = {Verdict.SAME: 1.0, Verdict.UNKNOWN: 60.0}.get(verdict, 15.0)
    return figures.Span(
        low=delta - width,
        high=delta + width,
        delta=delta,
        base=100.0,
        margin=5.0,
        higher_is_better=True,
        verdict=verdict,
    )
