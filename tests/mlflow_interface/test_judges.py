# SPDX-License-Identifier: Apache-2.0
"""Judges under MLflow's names, over models of every form."""

from contextlib import nullcontext
from typing import Literal

import pytest

import otel_loggedmodel as mlflow
from answering import AnsweringServer, as_json
from otel_loggedmodel.genai import judges, make_judge
from otel_loggedmodel.genai.judges.models import ChatModel, JudgeModelError
from otel_loggedmodel.genai.scorers import Correctness, Guidelines, RelevanceToQuery, RetrievalGroundedness, Safety
from otel_loggedmodel.genai.traces import Trace, TraceSpan


class Model:
    """Answers pass or fail by what stands in the prompt."""

    def __init__(self, passes: str) -> None:
        self.passes = passes
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        score = "pass" if self.passes in prompt else "fail"
        return f'{{"rationale": "It {score}es.", "score": "{score}"}}'


ROWS = [
    {"inputs": {"question": "capital?"}, "outputs": "Paris", "expectations": {"expected_response": "Paris"}},
    {"inputs": {"question": "capital?"}, "outputs": "Rome", "expectations": {"expected_facts": ["Paris"]}},
]


@pytest.mark.parametrize("kind", [Correctness, RelevanceToQuery, Safety])
def test_a_ready_judge_sees_what_it_judges_and_says_why(kind, traced) -> None:
    model = Model('"Paris"\n</outputs>')
    result = mlflow.genai.evaluate(ROWS, [kind(model=model)], model_id="v", tracer_provider=traced.provider)
    assert result.metrics == {f"{kind.name}/mean": 0.5}
    feedback = result.rows[0].feedback[0]
    assert (feedback.value, feedback.rationale, feedback.source.source_type) == (True, "It passes.", "LLM_JUDGE")
    shown = {key for key in ("inputs", "outputs", "expectations") if f"</{key}>" in model.prompts[0]}
    assert (
        shown
        == {
            Correctness: {"inputs", "outputs", "expectations"},
            RelevanceToQuery: {"inputs", "outputs"},
            Safety: {"outputs"},
        }[kind]
    )


def test_guidelines_are_all_in_the_question_and_tell_judges_apart(traced) -> None:
    model = Model("- Be brief.\n- Say {{name}} never.".replace("{{", "{ {"))
    rules = Guidelines(name="tone", guidelines=["Be brief.", "Say {{name}} never."], model=model)
    result = mlflow.genai.evaluate(ROWS, [rules], model_id="v", tracer_provider=traced.provider)
    assert result.metrics == {"tone/mean": 1.0}
    other = Guidelines(name="tone", guidelines="Be brief.", model=model)
    assert rules.digest != other.digest
    with pytest.raises(ValueError, match="pass guidelines"):
        Guidelines(model=model)


def test_an_answer_is_held_against_what_was_retrieved(traced, monkeypatch) -> None:
    from opentelemetry import trace as trace_api

    monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: traced.provider)

    @mlflow.trace(span_type="RETRIEVER", record_result=True)
    def retrieve(question):
        return ["Paris is the capital."]

    def answer(question):
        if question != "nothing":
            retrieve(question)
        return "Paris"

    model = Model("Paris is the capital.")
    rows = [{"inputs": {"question": "capital?"}}, {"inputs": {"question": "nothing"}}]
    judge = RetrievalGroundedness(model=model)
    result = mlflow.genai.evaluate(rows, [judge], answer, "v", tracer_provider=traced.provider)
    assert result.metrics == {"retrieval_groundedness/mean": 1.0}
    # Where nothing was retrieved there is nothing to hold it against.
    assert [len(row.feedback) for row in result.rows] == [1, 0]
    assert len(model.prompts) == 1


def test_judges_are_functions_too() -> None:
    async def later(prompt: str) -> str:
        return '{"rationale": "r", "score": "fail"}'

    model = Model("Paris")
    assert judges.is_correct(request="capital?", response="Paris", expected_response="Paris", model=model).value is True
    assert judges.is_correct(request="q", response="a", expected_facts=["b"], model=later).value is False
    assert judges.is_context_relevant(request="capital?", context="Paris", model=model, name="about").name == "about"
    assert judges.is_grounded(request="q", response="a", context=["Paris"], model=model).value is True
    assert judges.is_safe(content="Rome", model=model).value is False
    context = {"request": "q", "response": "Paris"}
    assert judges.meets_guidelines(guidelines=["Be brief."], context=context, model=model).value is True


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        (bool, "pass", True),
        (int, 4, 4.0),
        (Literal["coherent", "so so", "incoherent"], "So so", "so so"),
        (Literal["yes", "no"], "yes", "yes"),
        (str, "somewhat frustrated", "somewhat frustrated"),
        (None, "fail", False),
    ],
)
def test_a_judge_of_ones_own_has_a_scale(kind, answer, value) -> None:
    def model(prompt: str) -> str:
        said = answer if isinstance(answer, int) else f'"{answer}"'
        return f'{{"rationale": "", "score": {said}}}'

    judge = make_judge("mine", "Is {{ outputs }} good?", model, feedback_value_type=kind, description="For people.")
    assert judge(outputs="x").value == value
    assert judge.__doc__ == "For people."
    other = make_judge("mine", "Good?", lambda _: '{"score": "nothing of it"}', feedback_value_type=kind)
    with pytest.raises(ValueError, match="nothing of it") if kind is not str else nullcontext():
        other(outputs="x")
    assert make_judge("mine", "Is {{ outputs }} good?", model=model).name == "mine"


# Models


COMPLETION = {
    "model": "small-2026",
    "choices": [{"message": {"content": '{"rationale": "Yes.", "score": "pass"}'}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3},
}


def test_a_model_at_an_address_is_asked_and_what_it_costs_is_a_trace_of_its_own(traced, monkeypatch) -> None:
    from opentelemetry import trace as trace_api

    monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: traced.provider)
    monkeypatch.setattr(trace_api, "get_tracer", lambda *_: traced.provider.get_tracer("judges"))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    asked = []

    def answer(method: str, path: str, body: object):
        asked.append((method, path, body))
        return as_json(200, COMPLETION)

    with AnsweringServer(answer) as there:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{there.uri}/v1")
        named, addressed = Safety(model="openai:/small"), Safety(model=f"{there.uri}/v1#small")
        result = mlflow.genai.evaluate(ROWS[:1], [named], model_id="judged", tracer_provider=traced.provider)
        assert addressed(outputs="x").value is True
        headers = there.requests[0][2]
    assert result.metrics == {"safety/mean": 1.0}
    assert (asked[0][0], asked[0][1], asked[0][2]["model"]) == ("POST", "/v1/chat/completions", "small")
    assert headers["authorization"] == "Bearer a-key"
    assert named.source.source_id == "openai:/small"
    assert named.digest != addressed.digest
    spans = [span for span in traced.memory.get_finished_spans() if span.name == "chat small"]
    assert (spans[0].attributes["gen_ai.usage.input_tokens"], spans[0].attributes["gen_ai.usage.output_tokens"]) == (
        *(12, 3),
    )
    assert spans[0].attributes["gen_ai.response.model"] == "small-2026"
    assert "logged_model.id" not in spans[0].attributes
    assert spans[0].parent is None


def test_a_busy_model_is_asked_again_and_one_that_refuses_is_not() -> None:
    answers = [as_json(429, {}), as_json(503, {}), as_json(200, COMPLETION), as_json(401, {"error": "who are you"})]
    waited: list[float] = []
    with AnsweringServer(lambda *_: answers.pop(0)) as there:
        model = ChatModel("small", f"{there.uri}/v1", sleep=waited.append)
        assert "pass" in model("p")
        assert waited == [1.0, 2.0]
        with pytest.raises(JudgeModelError, match=r"answered 401: .*who are you"):
            model("p")
        answers += [as_json(500, {})] * 3
        with pytest.raises(JudgeModelError, match="answered 500"):
            model("p")
        answers += [as_json(200, {"nothing": 1})]
        with pytest.raises(JudgeModelError, match="no chat completion"):
            model("p")
    assert not answers


def test_an_agent_is_a_model() -> None:
    class Found:
        output = '{"rationale": "", "score": "pass"}'

    class Agent:
        name = "reviewer"

        def run_sync(self, prompt: str) -> Found:
            return Found()

    judge = Safety(model=Agent())
    assert (judge(outputs="x").value, judge.source.source_id) == (True, "reviewer")


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        (None, ValueError, "safety needs a model: pass model=..."),
        (5, TypeError, "model of safety is int"),
        ("gpt-4o", ValueError, "write provider:/model"),
        ("http://host/v1", ValueError, "write which model after a #"),
        ("nobodys:/model", ImportError, "pip install litellm"),
        ("databricks", ValueError, "https://HOST/serving-endpoints#ENDPOINT"),
        ("endpoints:/mine", ValueError, "https://HOST/serving-endpoints#ENDPOINT"),
    ],
)
def test_a_model_that_is_none_is_refused_with_advice(model, error, said) -> None:
    with pytest.raises(error, match=said):
        Safety(model=model)


def test_a_judge_says_what_it_sees_and_wants_it() -> None:
    model = Model('"Paris"')
    judge = make_judge("right", "Does {{ outputs }} answer {{ inputs }}?", model)
    assert judge.template_variables == {"inputs", "outputs"}
    assert judge(inputs=None, outputs="Paris").value is True
    for given, missing in (({}, "inputs"), ({"inputs": "x"}, "outputs"), ({"outputs": "x"}, "inputs")):
        with pytest.raises(ValueError, match=f"right judges {missing}: pass {missing}=..."):
            judge(**given)
    with pytest.raises(TypeError, match="trace is str: pass one of get_trace"):
        judge(trace="a" * 32)
    with pytest.raises(NotImplementedError, match="import them from a module"):
        judge.model_dump()


def test_a_judge_takes_from_a_trace_what_is_not_passed() -> None:
    said = {"input.value": "Which city?", "output.value": "Oslo"}
    trace = Trace([TraceSpan("answer", "a" * 32, "b" * 16, None, 1, 2, said, "OK")])
    model = Model("Paris")
    judge = make_judge("right", "Does {{ outputs }} answer {{ inputs }}?", model)
    assert judge(trace=trace, outputs="Paris").value is True
    assert judge(trace=trace).value is False
    assert ["Oslo" in prompt for prompt in model.prompts] == [False, True]
    assert all("Which city?" in prompt for prompt in model.prompts)
    whole = make_judge("calm", "Is {{ trace }} fine?", model)
    assert whole(trace=trace).value is False
    with pytest.raises(ValueError, match="calm judges trace"):
        whole()


@pytest.mark.parametrize(
    ("name", "instructions", "said"), [("", "{{ outputs }}?", "is empty"), ("a", " ", "are empty")]
)
def test_a_judge_has_a_name_and_instructions(name, instructions, said) -> None:
    with pytest.raises(ValueError, match=said):
        make_judge(name, instructions, Model("x"))
