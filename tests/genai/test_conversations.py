# SPDX-License-Identifier: Apache-2.0
"""Rows that are conversations, and scorers that judge them as a whole."""

import asyncio
import json
import logging

import pandas
import pytest

import otel_loggedmodel
from otel_loggedmodel.conventions.messages import transcripts
from otel_loggedmodel.genai import Scorer, make_judge, scorer
from otel_loggedmodel.genai.found_traces import trace_of_finished
from otel_loggedmodel.genai.rows import RowReader
from otel_loggedmodel.genai.scorers import (
    ConversationalGuidelines,
    ConversationalToolCallEfficiency,
    ConversationCompleteness,
    UserFrustration,
)

SCRIPT = {"conversation": ["hello", "and then?"], "expectations": {"goal": "two turns"}}
SAID = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "x"},
    {"role": "assistant", "content": "y"},
    {"role": "user", "content": "thanks"},
]


@scorer
def turns(session):
    return len(session)


@scorer
def said(conversation):
    return " | ".join(f"{one['role']}: {one['content']}" for one in conversation)


@scorer
def as_wanted(session, expectations):
    return len(session) == 2 and expectations == {"goal": "two turns"}


@scorer
def brief(outputs):
    return len(outputs) < 30


def chat(messages):
    return f"answer to {messages[-1]['content']}"


def values(result) -> list[dict[str, object]]:
    return [{one.name: one.value for one in row.feedback} for row in result.rows]


def of_conversations(results) -> list:
    return [span for span in results if span.attributes.get("gen_ai.conversation.id")]


def test_a_conversation_is_held_turn_by_turn_and_judged_once(evaluate, results, traced) -> None:
    result = evaluate([SCRIPT], [turns, said, as_wanted, brief], chat)
    told = "user: hello | assistant: answer to hello | user: and then? | assistant: answer to and then?"
    assert values(result) == [{"turns": 2, "said": told, "as_wanted": True, "brief": True}, {"brief": True}]
    assert (result.count, result.metrics["turns/mean"]) == (2, 2.0)
    assert result.rows[1].inputs == {
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "answer to hello"},
            {"role": "user", "content": "and then?"},
        ]
    }
    entries = [span for span in traced.memory.get_finished_spans() if span.name == "chat"]
    session = entries[0].attributes["gen_ai.conversation.id"]
    assert [span.attributes["gen_ai.conversation.id"] for span in entries] == [session, session]
    whole = of_conversations(results())
    assert {span.attributes["gen_ai.evaluation.name"] for span in whole} == {"turns", "said", "as_wanted"}
    for span in whole:
        assert span.attributes["gen_ai.conversation.id"] == session
        assert span.parent.span_id == entries[0].context.span_id
        assert span.attributes["logged_model.evaluation.turns"] == tuple(row.trace_id for row in result.rows)
        assert "logged_model.evaluation.group" not in span.attributes
    (key,) = {span.attributes["logged_model.evaluation.row"] for span in whole}
    of_turns = [span for span in results() if span not in whole]
    assert {span.attributes["logged_model.evaluation.group"] for span in [*entries, *of_turns]} == {key}
    assert {row.session for row in result.rows} == {session}
    assert list(result.result_df["session"]) == [session, session]
    assert result.rows[0].feedback[0].metadata == {"mlflow.trace.session": session}


def test_what_was_said_already_is_judged_without_a_function(evaluate, results) -> None:
    result = evaluate([{"messages": SAID}], [turns, said, brief])
    told = "system: be brief | user: x | assistant: y | user: thanks"
    assert values(result) == [{"turns": 1, "said": told, "brief": True}, {}]
    assert (result.count, result.error_count, len(of_conversations(results()))) == (2, 0, 2)


def test_a_function_gets_what_it_names(evaluate) -> None:
    got = []

    def responses(input, session_id, persona):
        got.append((len(input), session_id, persona))
        return {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "o"}]}]}

    async def anything(**given):
        got.append((len(given["messages"]), given["mlflow_session_id"]))
        return {"choices": [{"message": {"role": "assistant", "content": "c"}}]}

    def question(question, messages):
        got.append((question, [one["content"] for one in messages]))
        return "q"

    row = {"conversation": ["a", "b"], "inputs": {"persona": "shy"}}
    told = values(evaluate([row], [said], responses))[0]["said"]
    assert told == "user: a | assistant: o | user: b | assistant: o"
    assert values(evaluate([row], [said], anything))[0]["said"] == told.replace(": o", ": c")
    asked = {"conversation": [{"inputs": {"question": "a"}}, {"inputs": {"question": "b"}}]}
    assert values(evaluate([asked], [said], question))[0]["said"] == told.replace(": o", ": q")
    (first, second), (third, fourth) = got[:2], got[2:4]
    assert (first, second) == ((1, first[1], "shy"), (3, first[1], "shy"))
    assert (third, fourth) == ((1, third[1]), (3, third[1]))
    assert got[4:] == [("a", ["a"]), ("b", ["a", "q", "b"])]
    assert first[1] != third[1]
    with pytest.raises(TypeError, match="cannot be called with the inputs of the first row"):
        evaluate([SCRIPT], [said], lambda question: question)


def test_a_turn_that_fails_ends_its_conversation_and_no_other(evaluate, results) -> None:
    def fails(messages):
        if messages[-1]["content"] == "two":
            raise RuntimeError("no")
        return "yes"

    result = evaluate([{"conversation": ["one", "two", "three"]}, {"conversation": ["four"]}], [turns, brief], fails)
    assert (result.count, result.error_count) == (4, 2)
    rows = {row.inputs["messages"][-1]["content"]: row for row in result.rows}
    assert rows["two"].error == "RuntimeError: no"
    assert rows["three"].error == "turn 2 of its conversation failed: RuntimeError: no"
    assert rows["three"].trace_id is None
    assert [span.attributes["gen_ai.evaluation.score.value"] for span in of_conversations(results())] == [1.0]


def test_rows_and_traces_of_one_session_are_one_conversation(evaluate, results, caplog) -> None:
    table = pandas.DataFrame(
        {
            "session": ["s1", "s2", "s1", None],
            "inputs.question": ["a", "b", "c", "d"],
            "outputs": ["A", "B", "C", "D"],
        }
    )
    result = evaluate(table, [turns, said])
    found = {row.inputs["question"]: [one.value for one in row.feedback] for row in result.rows}
    told = "user: a | assistant: A | user: c | assistant: C"
    assert found == {"a": [2, told], "b": [1, "user: b | assistant: B"], "c": [], "d": []}
    assert len(of_conversations(results())) == 4
    with caplog.at_level(logging.WARNING):
        assert evaluate([{"inputs": {"q": 1}, "outputs": "x"}], [turns]).metrics == {}
    assert "turns judged nothing, as no row is a conversation" in caplog.text


def test_traces_of_a_session_are_judged_where_their_first_turn_is(evaluate, results, make_traced) -> None:
    made = make_traced()
    tracer = made.provider.get_tracer("application")
    for number, (session, key) in enumerate(
        [("s1", "session.id"), ("s2", "gen_ai.conversation.id"), ("s1", "gen_ai.conversation.id"), ("", "session.id")]
    ):
        span = tracer.start_span("answer", start_time=(1000 - number) * 1_000_000_000)
        span.set_attributes({key: session, "input.value": f"q{number}", "output.value": f"a{number}"})
        span.end()
    traces = [trace_of_finished([span]) for span in made.memory.get_finished_spans()]
    result = evaluate(iter(traces), [turns, said], None, None)
    by_question = {
        trace.inputs: [one.value for one in row.feedback] for row, trace in zip(result.rows, traces, strict=True)
    }
    # Traces come in any order, as a store gives the newest first.
    assert by_question["q2"] == [2, "user: q2 | assistant: a2 | user: q0 | assistant: a0"]
    assert (by_question["q0"], by_question["q1"][0], by_question["q3"]) == ([], 1, [])
    spans = of_conversations(results())
    assert {span.attributes["gen_ai.conversation.id"] for span in spans} == {"s1", "s2"}
    assert all("logged_model.evaluation.row" not in span.attributes for span in spans)
    # The same again is the same result, and counts once.
    evaluate(iter(traces), [turns, said], None, None)
    assert {span.context.span_id for span in of_conversations(results())} == {span.context.span_id for span in spans}
    assert values(evaluate([[traces[0], traces[2]]], [turns], None, "v1"))[0] == {"turns": 2}


def test_the_same_conversation_is_the_same_row_wherever_it_is_kept(tmp_path) -> None:
    def keys(records):
        return [(one.key, [turn.row.key for turn in one.turns]) for one in RowReader().read(records)]

    longer = {"conversation": ["hello", "and then?", "and now?"]}
    (first,), (second,) = keys([SCRIPT]), keys([longer])
    # What follows makes another conversation, and not other turns before.
    assert first[0] != second[0]
    assert first[1] == second[1][:2]
    assert keys([{"conversation": json.dumps(SCRIPT["conversation"])}]) == [first]
    assert keys([{**SCRIPT, "id": first[0]}]) == [first]
    assert keys([{**SCRIPT, "id": "greeting"}]) == [("greeting", ["greeting/1", "greeting/2"])]
    (_, again), twice = keys([SCRIPT, SCRIPT]), keys([longer, longer])
    assert again[0] != first[0]
    assert len({key for one in twice for key in one[1]}) == 6


@pytest.mark.parametrize(
    ("record", "error", "text"),
    [
        ({"conversation": []}, ValueError, "has no turn: no message has the role 'user'"),
        ({"conversation": [{"role": "assistant", "content": "hello"}]}, ValueError, "has no turn"),
        ({"conversation": {"role": "user"}}, TypeError, "the conversation of row 0 is dict: pass a list of messages"),
        ({"conversation": ["a", 3]}, TypeError, "message 1 of row 0 is int"),
        ({"conversation": [{"question": "a"}]}, ValueError, "turn 0 of row 0 has no `inputs`"),
        (
            {"conversation": ["a"], "inputs": 3},
            TypeError,
            "inputs of row 0 are int: beside a conversation, pass a dict",
        ),
        ([], TypeError, "row 0 is a list: pass dicts with `inputs`, traces, or lists of traces"),
    ],
)
def test_what_is_no_conversation_is_refused(record, error, text) -> None:
    with pytest.raises(error, match=text):
        list(RowReader().read([record]))


def test_scorers_of_conversations_take_no_single_row(evaluate) -> None:
    with pytest.raises(TypeError, match="takes outputs beside a conversation"):
        scorer(lambda session, outputs: True)
    with pytest.raises(TypeError, match=r"takes mood: its parameters can be .* of whole conversations session"):
        scorer(lambda session, mood: True)
    assert scorer(lambda session, **more: True, name="any").takes == ("session",)
    with pytest.raises(ValueError, match="turns judges whole conversations, and the rows are single calls"):
        evaluate([{"inputs": {"question": "a"}}], [turns, brief], lambda question: question)

    class Marked(Scorer):
        is_session_level_scorer = True

        def __call__(self, *, outputs):
            return True

    with pytest.raises(TypeError, match="'Marked' is one for whole conversations and takes neither"):
        evaluate([SCRIPT], [Marked()], chat)

    class Foreign:
        name = "foreign"
        is_session_level_scorer = True

        def __call__(self, traces=None):
            return 0

        def run(self, session=None, **more):
            return len(session) + len(more)

    assert values(evaluate([SCRIPT], [Foreign()], chat))[0] == {"foreign": 2}


def test_a_scorer_that_fails_on_a_conversation_is_a_result(evaluate, results) -> None:
    @scorer
    async def fails(session):
        await asyncio.sleep(0)
        raise KeyError("goal")

    result = evaluate([SCRIPT, {"conversation": ["x"]}], [fails, turns], chat)
    assert result.scorer_errors == {"fails": 2}
    assert [span.attributes.get("error.type") for span in of_conversations(results())].count("KeyError") == 2


def test_judges_see_the_conversation(evaluate, make_traced) -> None:
    asked = []

    def model(prompt):
        asked.append(prompt)
        return '{"rationale": "r", "score": "pass"}'

    judge = make_judge("kind", "Is the assistant kind in {{ conversation }}? See {{ expectations }}.", model)
    assert judge.is_session_level_scorer
    assert values(evaluate([SCRIPT], [judge], chat))[0] == {"kind": True}
    assert '{"role": "assistant", "content": "answer to hello"}' in asked[0]
    assert "two turns" in asked[0]
    made = make_traced()
    with made.provider.get_tracer("a").start_as_current_span("answer") as span:
        span.set_attributes({"input.value": "q", "output.value": "a", "openinference.span.kind": "TOOL"})
    trace = trace_of_finished([made.spans["answer"]])
    for one in (ConversationCompleteness(model), ConversationalGuidelines(model, guidelines="no {{ outputs }}"), judge):
        assert one(session=[trace]).value is True
        assert '"content": "a"' in asked[-1]
    assert ConversationalToolCallEfficiency(model)(session=[trace]).value is True
    assert '"type": "TOOL"' in asked[-1]
    assert UserFrustration(lambda _: '{"score": "resolved"}')(session=[trace]).value == 0.5
    with pytest.raises(ValueError, match="name 'outputs' beside a conversation"):
        make_judge("kind", "{{ conversation }} {{ outputs }}", model)
    with pytest.raises(ValueError, match="kind judges whole conversations: pass session="):
        judge(inputs="a", outputs="b")


def test_a_conversation_that_was_judged_before_a_kill_is_not_held_again(evaluate, results) -> None:
    held = []

    def interrupted(messages):
        held.append(messages[-1]["content"])
        if len(held) == 5:
            raise KeyboardInterrupt
        return "yes"

    rows = [{"conversation": [f"{number}a", f"{number}b"]} for number in range(4)]
    with pytest.raises(KeyboardInterrupt):
        evaluate(rows, [turns, brief], interrupted, max_workers=1)
    result = evaluate(rows, [turns, brief], interrupted, max_workers=1)
    assert held == ["0a", "0b", "1a", "1b", "2a", "2a", "2b", "3a", "3b"]
    assert (result.count, result.resumed_count, result.metrics["turns/mean"]) == (8, 4, 2.0)
    assert len(of_conversations(results())) == 4


def test_an_answer_is_read_in_whichever_form_it_came() -> None:
    class Odd:
        def __str__(self):
            raise RuntimeError

    class Response:
        def model_dump(self):
            return {"choices": [{"message": {"role": "assistant", "content": "dumped"}}]}

    for outputs, text in [
        ("plain", "plain"),
        ({"response": "only"}, "only"),
        (Response(), "dumped"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "last"}]}, "last"),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
        (3, "3"),
        (Odd(), '"<test_an_answer_is_read_in_whichever_form_it_came.<locals>.Odd, whose text cannot be had>"'),
    ]:
        assert transcripts.answer(outputs) == text
    assert transcripts.asked({"input": "a question"}) == [{"role": "user", "content": "a question"}]
    assert otel_loggedmodel.genai.scorers.KnowledgeRetention(len).is_session_level_scorer
