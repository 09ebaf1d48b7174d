# SPDX-License-Identifier: Apache-2.0
"""Evaluations of which the truth is known: versions on the rows of data sets, and feedback of people beside them.

Rows differ from each other far more than the versions do. So most of what is planted shows only if the versions are
compared row by row.
"""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_loggedmodel.store.results import Verdict
from planted_traces import API, EVALUATION, Recorder, Resource, Result, Stamp, Trace, Value, write_attributes

START_NS: Final = 1_795_000_000 * 10**9
ROWS: Final = 30
MANY_ROWS: Final = 1200
SIMILAR: Final = "similarity"
CORRECT: Final = "correct"
SCORERS: Final = {SIMILAR: "1c0fe1a96d30b7f2", CORRECT: "2d91b7c04e5aa813"}
REWRITTEN: Final = {SIMILAR: "a37c5e0194bd62f8", CORRECT: "b4d80f62e7193ca5"}
QUESTIONS: Final = "0f3a94d1c27b58e6"
QUESTIONS_NAME: Final = "questions"
_SECOND: Final = 10**9


@dataclass(frozen=True)
class Row:
    """A row of a data set, and how well the first version does on it."""

    key: str
    input: str
    similarity: float
    correct: float


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A version that was evaluated.

    Attributes:
        dataset: Digest of the data set.
        rows: The rows that it was evaluated on.
        similarity: What it scores on a row, from what the first version does and the place of the row.
        correct: Likewise.
        scorers: Digests of the scorers.
        times: How often each row was evaluated.
        verdicts: What is true of it held against the first version; what is not named is not known from so much.
    """

    dataset: str = QUESTIONS
    rows: Sequence[Row]
    similarity: Callable[[float, int], float] = lambda value, place: value
    correct: Callable[[float, int], float] = lambda value, place: value
    scorers: Mapping[str, str]
    times: int = 1
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class Evaluations:
    """What was sent, and what it comes to.

    Attributes:
        request: A serialized `ExportTraceServiceRequest`.
        versions: By id; the first is what the others are held against.
        results: All results.
    """

    request: bytes
    versions: Mapping[str, Evaluated]
    results: Sequence[Result]

    def pairs(self, base: str, candidate: str, name: str) -> list[tuple[float, float]]:
        """The values of the rows of a data set that both versions have, by the same scorer."""
        found: dict[str, dict[tuple[object, str], list[float]]] = {base: {}, candidate: {}}
        for result in self.results:
            if result.name == name and result.row and result.model_id in found:
                found[result.model_id].setdefault((result.kind, result.row), []).append(result.value)
        both = sorted(found[base].keys() & found[candidate].keys())
        return [(statistics.fmean(found[base][key]), statistics.fmean(found[candidate][key])) for key in both]

    def of(self, version: str, *, production: bool | None = None) -> list[Result]:
        """The results of a version; of production or of data sets alone where it is said."""
        return [
            result for result in self.results if result.model_id == version and production in {None, not result.kind[2]}
        ]


def make_evaluations(seed: int = 1) -> Evaluations:
    """Evaluations of versions. The same seed makes the same."""
    rng = random.Random(seed)
    rows = _rows(rng, ROWS, digits=16)
    many = _rows(rng, MANY_ROWS, digits=16)
    own_ids = _rows(rng, ROWS, digits=0)
    worse, better = Verdict.WORSE, Verdict.BETTER
    noise = _balanced(rng, ROWS, 0.03)
    much = _balanced(rng, MANY_ROWS, 0.2)
    passing = [place for place, row in enumerate(rows) if row.correct]

    def lower(value: float, place: int) -> float:
        return value - 0.06 + noise[place]

    versions = {
        "base": Evaluated(rows=rows, scorers=SCORERS, verdicts={}),
        # Rows change, and as many to one side as to the other.
        "twin": Evaluated(
            rows=rows,
            similarity=lambda value, place: value + 4 * noise[place],
            correct=lambda value, place: 1 - value if place in {passing[0], _failing(rows)[0]} else value,
            scorers=SCORERS,
            verdicts={},
        ),
        "lower": Evaluated(rows=rows, similarity=lower, scorers=SCORERS, verdicts={SIMILAR: worse}),
        "higher": Evaluated(
            rows=rows,
            similarity=lambda value, place: value + 0.06 + noise[place],
            scorers=SCORERS,
            verdicts={SIMILAR: better},
        ),
        "failing": Evaluated(
            rows=rows,
            correct=lambda value, place: 0.0 if place in passing[:11] else value,
            scorers=SCORERS,
            verdicts={CORRECT: worse},
        ),
        # What was planted in `lower`, and scored in ways that cannot tell.
        "rescored": Evaluated(rows=rows, similarity=lower, scorers=REWRITTEN, verdicts={}),
        "elsewhere": Evaluated(
            dataset="e81d5b02f7c6394a", rows=own_ids, similarity=lower, scorers=SCORERS, verdicts={}
        ),
        "partial": Evaluated(rows=rows[:8], similarity=lower, scorers=SCORERS, verdicts={}),
        # And in ways that can.
        "most": Evaluated(rows=rows[:24], similarity=lower, scorers=SCORERS, verdicts={SIMILAR: worse}),
        "repeated": Evaluated(rows=rows, similarity=lower, scorers=SCORERS, times=3, verdicts={SIMILAR: worse}),
        "grown": Evaluated(
            dataset="f92e6c13a8d74b5b",
            rows=[*rows, *_rows(rng, 5, digits=16)],
            similarity=lambda value, place: lower(value, place % ROWS),
            scorers=SCORERS,
            verdicts={SIMILAR: worse},
        ),
        "many": Evaluated(dataset="aa07f3d24be98c61", rows=many, scorers=SCORERS, verdicts={}),
        "many_lower": Evaluated(
            dataset="aa07f3d24be98c61",
            rows=many,
            similarity=lambda value, place: value - 0.03 + much[place],
            scorers=SCORERS,
            verdicts={SIMILAR: worse, CORRECT: Verdict.SAME},
        ),
        "many_twin": Evaluated(
            dataset="aa07f3d24be98c61",
            rows=many,
            similarity=lambda value, place: value + much[place] / 10,
            scorers=SCORERS,
            verdicts={SIMILAR: Verdict.SAME, CORRECT: Verdict.SAME},
        ),
    }
    recorder = Recorder()
    for place, (model_id, evaluated) in enumerate(versions.items()):
        _evaluate(recorder, rng, model_id, evaluated, START_NS + place * 10_000 * _SECOND)
    # Of production, where people like the twin less, by a measure that is called the same.
    for model_id, liked in (("base", 45), ("twin", 15)):
        for number in range(50):
            _use(recorder, rng, model_id, START_NS + (200_000 + number) * _SECOND, float(number < liked))
    return Evaluations(_request(recorder), versions, recorder.results)


def _failing(rows: Sequence[Row]) -> list[int]:
    return [place for place, row in enumerate(rows) if not row.correct]


def _rows(rng: random.Random, count: int, digits: int) -> list[Row]:
    """Rows with digests as keys, or with ids of their own where those have no digits."""
    rows = []
    for place in range(count):
        key = f"{rng.getrandbits(4 * digits):0{digits}x}" if digits else f"case {place}"
        rows.append(Row(key, f"question {key}", rng.uniform(0.2, 0.9), float(place % 4 != 0)))
    return rows


def _balanced(rng: random.Random, count: int, spread: float) -> list[float]:
    """So many numbers of which the sum is 0."""
    half = [rng.uniform(0, spread) for _ in range(count // 2)]
    values = [*half, *(-value for value in half)]
    rng.shuffle(values)
    return values


def _evaluate(recorder: Recorder, rng: random.Random, model_id: str, evaluated: Evaluated, start_ns: int) -> None:
    stamp = Stamp(model_id, model_id, model_id)
    for repetition in range(evaluated.times):
        for place, row in enumerate(evaluated.rows):
            begins = start_ns + (repetition * len(evaluated.rows) + place) * _SECOND
            trace = Trace(recorder, rng, begins, Resource(API, "test"))
            of_row: dict[str, Value] = {
                "logged_model.evaluation.dataset": evaluated.dataset,
                "logged_model.evaluation.row": row.key,
                "logged_model.evaluation.expected": f"answer to {row.input}",
            }
            if evaluated.dataset == QUESTIONS:
                of_row["logged_model.evaluation.dataset_name"] = QUESTIONS_NAME
            texts: dict[str, Value] = {"input.value": row.input, "output.value": f"{model_id} answers {row.input}"}
            entry = trace.entry(stamp, begins, 10**8, attributes={**of_row, **texts})
            # Runs of one row differ, by as much to one side as to the other.
            off = 0.01 * (repetition - (evaluated.times - 1) / 2)
            values = {
                SIMILAR: evaluated.similarity(row.similarity, place) + off,
                CORRECT: evaluated.correct(row.correct, place),
            }
            for name, value in values.items():
                details: dict[str, Value] = {
                    **of_row,
                    "gen_ai.evaluation.name": name,
                    "gen_ai.evaluation.score.value": value,
                    "gen_ai.evaluation.explanation": f"{name} of {row.key}",
                    "logged_model.evaluation.source": "code",
                    "logged_model.evaluation.scorer": evaluated.scorers[name],
                }
                if name == CORRECT:
                    details["gen_ai.evaluation.score.label"] = "pass" if value else "fail"
                trace.span(EVALUATION, entry.span_id, begins + _SECOND, begins + _SECOND, details, stamp=stamp)
                kind = ("code", evaluated.scorers[name], evaluated.dataset)
                recorder.results.append(Result(trace.trace_id.hex(), model_id, name, value, kind, row.key))


def _use(recorder: Recorder, rng: random.Random, model_id: str, start_ns: int, value: float) -> None:
    stamp = Stamp(model_id, model_id, model_id)
    trace = Trace(recorder, rng, start_ns, Resource(API, "production"))
    entry = trace.entry(stamp, start_ns, 10**8)
    details: dict[str, Value] = {
        "gen_ai.evaluation.name": CORRECT,
        "gen_ai.evaluation.score.value": value,
        "logged_model.evaluation.source": "human",
    }
    trace.span(EVALUATION, entry.span_id, start_ns + _SECOND, start_ns + _SECOND, details, stamp=stamp)
    recorder.results.append(Result(trace.trace_id.hex(), model_id, CORRECT, value, ("human", "", "")))


def _request(recorder: Recorder) -> bytes:
    request = ExportTraceServiceRequest()
    by_resource: dict[Resource, list[object]] = {}
    for resource, span in recorder.spans:
        by_resource.setdefault(resource, []).append(span)
    for resource, spans in by_resource.items():
        resource_spans = request.resource_spans.add()
        write_attributes(resource_spans.resource.attributes, resource.attributes)
        resource_spans.scope_spans.add().spans.extend(spans)  # type: ignore[arg-type]
    # A part again, as a sender does that was not answered.
    again = request.resource_spans.add()
    again.CopyFrom(request.resource_spans[0])
    del again.scope_spans[0].spans[100:]
    return request.SerializeToString()
