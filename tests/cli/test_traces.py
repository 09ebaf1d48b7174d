# SPDX-License-Identifier: Apache-2.0
"""The command `traces`: lists, and one trace as a tree."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

import mlflow_recorded
from memory_reader import MemoryReader
from otel_loggedmodel.commands.waterfall import rendered
from otel_loggedmodel.store.trace_results import Span, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail

from .conftest import unboxed
from .doubles import HOSTILE, V1, metrics
from .terminal import run_in_terminal, without_colours

Run = Callable[..., Result]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START = 1_767_272_405_000_000_000
SUMMARY = TraceSummary(
    trace_id=TRACE,
    span_id="a" * 16,
    model_id=V1,
    span_name="POST /ask",
    service="api",
    start_ns=START,
    duration_ms=812.4,
    error=True,
    status_message="model refused",
    input_tokens=1000,
    output_tokens=50,
    cost_usd=0.0123,
    scores={"correctness": 0.5},
)
FILL = f"""
reader.summaries = [TraceSummary(trace_id={TRACE!r}, span_id="a" * 16, model_id=V1, span_name="POST /ask",
    service="api", start_ns={START}, duration_ms=812.4, input_tokens=1000, output_tokens=50, cost_usd=0.01)]
"""


def span(
    name: str, span_id: str, parent: str | None = None, start: int = 0, duration: int = 100, **more: object
) -> Span:
    """A span that begins and lasts so many milliseconds."""
    whole = Span(
        trace_id=TRACE,
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        kind="Internal",
        service="api",
        start_ns=START + start * 1_000_000,
        duration_ns=duration * 1_000_000,
        status="Unset",
    )
    return replace(whole, **more)  # type: ignore[arg-type]


def test_the_list(run: Run, reader: MemoryReader) -> None:
    reader.summaries = [SUMMARY, replace(SUMMARY, trace_id="f" * 32, error=False, status_message="", scores={})]
    lines = run("traces").stdout.splitlines()
    failed = next(line for line in lines if TRACE in line)
    for cell in (
        "2026-01-01 13:00:05Z",
        "812 ms",
        "error",
        "1,000",
        "$0.0123",
        "correctness 0.5",
        "POST /ask",
        V1[-8:],
    ):
        assert cell in failed
    assert "model refused" in failed
    assert " ok " in next(line for line in lines if "f" * 32 in line)


def test_columns_that_say_nothing_are_left_out(run: Run, reader: MemoryReader) -> None:
    reader.summaries = [replace(SUMMARY, cost_usd=None, scores={}, status_message="")]
    output = run("traces").stdout
    assert "cost" not in output
    assert "scores" not in output


def test_what_is_asked_for(run: Run, reader: MemoryReader) -> None:
    reader.details = {"v1": VersionDetail(version=Version(model_id=V1), metrics=metrics(V1))}
    run("traces", "v1", "--errors", "--order", "worst", "--limit", "5", "--offset", "10", "--service", "api")
    _, version, which, selection = reader.asked[1]
    assert version == ("v1",)
    assert (which.errors_only, which.order, which.limit, which.offset) == (True, "worst", 5, 10)  # type: ignore[attr-defined]
    assert selection.service == "api"  # type: ignore[attr-defined]


def test_json(run: Run, reader: MemoryReader) -> None:
    reader.summaries = [SUMMARY]
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=[span("ask", "a" * 16)])}
    listed = json.loads(run("traces", "--json").stdout)["traces"]
    assert listed[0]["trace_id"] == TRACE
    assert listed[0]["start_ns"] == START
    whole = json.loads(run("traces", "--id", TRACE, "--json").stdout)
    assert whole["spans"][0]["name"] == "ask"


def test_the_next_page_is_pointed_to(run: Run, reader: MemoryReader) -> None:
    reader.summaries = [SUMMARY] * 3
    assert "--offset 12 shows the next" in run("traces", "--limit", "2", "--offset", "10").stderr
    assert run("traces").stderr == ""
    reader.summaries = []
    assert "No trace matches." in run("traces").stderr


def test_a_trace_is_found_by_its_id(run: Run, reader: MemoryReader) -> None:
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=[span("ask", "a" * 16)])}
    for arguments in ((TRACE,), (TRACE.upper(),), ("--id", TRACE.upper())):
        assert TRACE in run("traces", *arguments).stdout


def test_a_version_whose_id_looks_like_a_trace_is_a_version(run: Run, reader: MemoryReader) -> None:
    reader.details = {TRACE: VersionDetail(version=Version(model_id=TRACE), metrics=metrics(TRACE))}
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=[span("ask", "a" * 16)])}
    reader.summaries = [replace(SUMMARY, span_name="of the version")]
    assert "of the version" in run("traces", TRACE).stdout


def test_what_is_neither_a_version_nor_a_trace(run: Run, reader: MemoryReader) -> None:
    assert "there is no version 'v9'" in run("traces", "v9", code=2).stderr
    assert f"there is no trace {TRACE}" in run("traces", TRACE, code=2).stderr
    assert "a trace id has 32 hex digits" in unboxed(run("traces", "--id", "xyz", code=2).stderr)


def test_a_tree_with_bars(run: Run, reader: MemoryReader) -> None:
    model = {
        "gen_ai.usage.input_tokens": "1000",
        "gen_ai.usage.output_tokens": "50",
        "gen_ai.request.model": "gpt-5",
    }
    spans = [
        span("POST /ask", "1" * 16, duration=1000, is_entry=True, model_id=V1),
        span("retrieve", "2" * 16, "1" * 16, start=0, duration=250),
        span("embed", "3" * 16, "2" * 16, start=10, duration=100),
        span(
            "chat", "4" * 16, "1" * 16, start=250, duration=750, attributes=model, status="Error", status_message="cut"
        ),
    ]
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=spans)}
    lines = run("traces", TRACE).stdout.splitlines()
    assert lines[0] == f"trace {TRACE}  2026-01-01 13:00:05Z  4 spans, 1,000 ms, 1 with errors"
    names = [line for line in lines if "ms" in line][1:]
    assert [line[1:].split("  ")[0].rstrip() for line in names] == ["POST /ask", "├─ retrieve", "│", "└─ chat"]
    assert "│  └─ embed" in names[2]
    assert f"version {V1}" in names[0]
    assert "━" * 24 in names[0]
    assert names[1].endswith("ms   " + "━" * 6)
    assert " " * 6 + "━" * 18 in names[3]
    assert "1000 in, 50 out" in names[3]
    assert "error: cut  gpt-5" in names[3]


BIG = f"""
from otel_loggedmodel.store.trace_results import Span, Trace
spans = [Span(trace_id={TRACE!r}, span_id=f"{{number:016x}}", parent_span_id=None, name=f"step {{number}}.",
    kind="Internal", service="api", start_ns={START} + number, duration_ns=1, status="Unset")
    for number in range(1, 1202)]
reader.whole_traces = {{{TRACE!r}: Trace(trace_id={TRACE!r}, spans=spans)}}
"""


def steps(shown: str) -> list[int]:
    return [int(number) for number in re.findall(r"step (\d+)\.", without_colours(shown))]


def test_a_terminal_gets_the_first_thousand_spans_and_is_told_of_the_others() -> None:
    shown = run_in_terminal(["traces", TRACE], 120, BIG)
    assert steps(shown) == list(range(1, 1001))
    assert "1,201 spans" in shown
    assert "There are 201 more: --offset 1000 shows the next, --json all." in shown
    shown = run_in_terminal(["traces", TRACE, "--limit", "150", "--offset", "1050"], 120, BIG)
    assert steps(shown) == list(range(1051, 1201))
    assert "There is 1 more: --offset 1200 shows the next, --json all." in shown
    assert "more" not in run_in_terminal(["traces", TRACE, "--offset", "1200"], 120, BIG)


def test_a_pipe_gets_all_spans_unless_told_otherwise(run: Run, reader: MemoryReader) -> None:
    spans = [span(f"step {number}.", f"{number:016x}", start=number) for number in range(1, 1202)]
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=spans)}
    assert steps(run("traces", TRACE).stdout) == list(range(1, 1202))
    limited = run("traces", TRACE, "--limit", "2", "--offset", "1000")
    assert steps(limited.stdout) == [1001, 1002]
    assert "There are 199 more" in limited.stderr


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.one_of(st.none(), st.integers(0, 8)), st.integers(-50, 50)), max_size=12),
    st.booleans(),
)
def test_every_span_is_shown_once_whatever_its_parent(
    parents: Sequence[tuple[int, int | None, int]], is_long: bool
) -> None:
    spans = [
        span(
            f"<{index}>",
            f"{own:016x}",
            None if parent is None else f"{parent:016x}",
            start,
            abs(start) * (10**9 if is_long else 1),
        )
        for index, (own, parent, start) in enumerate(parents)
    ]
    table = rendered(Trace(trace_id=TRACE, spans=spans))[1]
    cells = [str(cell) for cell in next(iter(table.columns)).cells]  # type: ignore[union-attr]
    assert sorted(cell[cell.index("<") :] for cell in cells) == sorted(one.name for one in spans)


def test_a_trace_deeper_than_the_stack(run: Run, reader: MemoryReader) -> None:
    spans = [span(f"s{index}", f"{index + 1:016x}", f"{index:016x}") for index in range(2000)]
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=spans)}
    assert "s1999" in run("traces", TRACE).stdout


def test_hostile_spans(run: Run, reader: MemoryReader) -> None:
    attributes = {"gen_ai.usage.input_tokens": HOSTILE, "gen_ai.request.model": HOSTILE}
    hostile = span(HOSTILE, "1" * 16, status="error", status_message=HOSTILE, attributes=attributes, is_entry=True)
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=[replace(hostile, model_id=HOSTILE)])}
    reader.summaries = [
        replace(SUMMARY, span_name=HOSTILE, service=HOSTILE, status_message=HOSTILE, scores={HOSTILE: 1})
    ]
    for arguments in ((TRACE,), ()):
        assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(run("traces", *arguments).stdout)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_trace_id_is_whole_at_any_width(columns: int) -> None:
    output = without_colours(run_in_terminal(["traces"], columns, FILL))
    assert TRACE in output
    assert "812 ms" in output
    assert max(map(len, output.splitlines())) <= columns


SAID = FILL.replace(
    "cost_usd=0.01",
    f'cost_usd=0.01, scores={{"correct": 0.5}}, input="{"Where is my parcel? " * 15}", output="{"Graz, " * 40}"',
)


@pytest.mark.parametrize("columns", [40, 80, 119])
def test_a_narrow_terminal_has_a_few_lines_for_each_trace(columns: int) -> None:
    shown = without_colours(run_in_terminal(["traces"], columns, SAID)).splitlines()
    head, asked, answered, numbers = shown[:4]
    assert head.startswith(f"{TRACE}  2026")
    assert asked.startswith("  > Where is my ")
    assert answered.startswith("  < Graz, Graz, ")
    assert numbers.startswith(f"    {V1[-8:]}")
    assert asked.endswith("…")
    assert max(map(len, shown)) <= columns
    if columns == 80:
        assert head.endswith("812 ms  ok")
        assert numbers == f"    {V1[-8:]}, correct 0.5, 1,000 → 50 tokens, $0.0100, POST /ask, api"
    failed = without_colours(run_in_terminal(["traces"], columns, SAID.replace("cost_", "error=True, cost_")))
    assert "error" in failed or columns < 80


@pytest.mark.parametrize(
    ("columns", "left_out"), [(145, {"service", "span", "tokens"}), (200, {"service"}), (400, set())]
)
def test_a_wide_terminal_has_a_line_for_each_trace(columns: int, left_out: set[str]) -> None:
    shown = without_colours(run_in_terminal(["traces"], columns, SAID))
    table, _, rest = shown.partition("Not shown")
    titles, _, row = table.splitlines()[:3]
    assert {"trace", "took", "scores", "input", "output"} <= set(titles.split())
    assert left_out <= set(re.findall(r"\w+", rest))
    assert "Where is my parcel? Where is" in row
    assert "Graz, Graz, Graz, Graz" in row
    assert max(map(len, shown.splitlines())) <= columns
    # What is spare goes to what people read.
    assert row.count("parcel") == {145: 1, 200: 1, 400: 6}[columns]


def test_a_pipe_has_a_line_with_everything_for_each_trace(run: Run, reader: MemoryReader) -> None:
    said = "Where is my parcel? " * 15
    reader.summaries = [replace(SUMMARY, input=said, reason="no answer")]
    *_, row = run("traces").stdout.rstrip().splitlines()
    for cell in (TRACE, "1,000 → 50", "$0.0123", "correctness 0.5", said.strip(), "no answer", "POST /ask", V1[-8:]):
        assert cell in row


def test_tokens_and_models_of_mlflows_spans_are_shown(run: Run, reader: MemoryReader) -> None:
    trace = mlflow_recorded.trace_of_the_agent()
    reader.whole_traces = {trace.trace_id: trace}
    lines = [line for line in run("traces", "--id", trace.trace_id).stdout.splitlines() if "ms" in line]
    assert "34 in, 10 out" in lines[1]
    assert [("17 in, 5 out" in line, "gpt-4o" in line) for line in lines if "Completions" in line] == [(True, True)] * 2


def test_messages_below_the_tree_and_in_the_json(run: Run, reader: MemoryReader) -> None:
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "QUJD" * 400}
    said = [{"role": "user", "parts": [{"type": "text", "content": f"Where?{HOSTILE}"}, blob]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "Graz. " * 1000}]}]
    attributes = {"gen_ai.input.messages": json.dumps(said), "gen_ai.output.messages": json.dumps(answer)}
    call = span("chat", "2" * 16, "1" * 16, attributes=attributes)
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=[span("root", "1" * 16), call])}
    assert "Where?" not in run("traces", TRACE).stdout
    shown = run("traces", TRACE, "--messages").stdout
    assert "Where?" in shown
    assert "image/png, 1.2 kB" in shown
    assert "2,000 more characters" in shown
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(shown)
    whole = json.loads(run("traces", TRACE, "--messages", "--json").stdout)
    (asked, answered) = whole["spans"][1]["messages"]
    assert asked["parts"][0]["text"] == f"Where?{HOSTILE}"
    assert asked["parts"][1]["media"] == {"mime_type": "image/png", "size": 1200, "uri": "", "file_id": "", "name": ""}
    assert (answered["is_output"], answered["parts"][0]["text"]) == (True, "Graz. " * 1000)
    assert whole["spans"][0]["messages"] == []
    # Whoever reads JSON takes what they need of it.
    assert json.loads(run("traces", TRACE, "--json").stdout) == whole
    assert "--messages shows them" in run("traces", TRACE).stderr


def test_a_trace_without_messages_says_so(run: Run, reader: MemoryReader) -> None:
    reader.whole_traces = {TRACE: Trace(trace_id=TRACE, spans=[span("root", "1" * 16)])}
    assert "No span of this trace has messages." in run("traces", TRACE, "--messages").stdout
    assert "--messages" not in run("traces", TRACE).stderr
