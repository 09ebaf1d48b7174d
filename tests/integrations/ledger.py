# SPDX-License-Identifier: Apache-2.0
"""What a receiver got of an application with several processes, held against what the application answered.

Every process makes spans named `work` with the attributes `number`, of the request, and `pid`. The SDK gives each
process a `service.instance.id` of its own, forked ones included, which tells whose a record is.
"""

from collections import Counter
from collections.abc import Mapping

from otlp_receiver import ReceivedSpan


def records(spans: list[ReceivedSpan], event: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.attributes.get("logged_model.event") == event]


def application_spans(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    return [span for span in spans if "logged_model.event" not in span.attributes]


def version_of(span: ReceivedSpan) -> object:
    return span.attributes.get("logged_model.id")


def instance_of(span: ReceivedSpan) -> object:
    return span.resource["service.instance.id"]


def check_work(spans: list[ReceivedSpan], expected: Mapping[int, tuple[int, str]]) -> None:
    """Every request left its spans, once, from the process that answered, all with the version that it was to have.

    Args:
        spans: All that was received.
        expected: By request number, the process that answered and the version's id.
    """
    work = [span for span in spans if span.name == "work"]
    found = {span.attributes["number"]: (span.attributes["pid"], version_of(span)) for span in work}
    lost = {number: whose for number, whose in expected.items() if number not in found}
    assert lost == {}, f"lost: {lost}"
    assert found == dict(expected), f"other than expected: {found.items() - expected.items()}"
    assert len(work) == len(found)
    version_of_trace = {span.trace_id: version_of(span) for span in work}
    others = [span for span in application_spans(spans) if span.name != "work" and span.trace_id in version_of_trace]
    assert [span for span in others if version_of(span) != version_of_trace[span.trace_id]] == []
    assert {span.trace_id for span in others if span.kind == "SERVER"} == set(version_of_trace)


def check_activations(spans: list[ReceivedSpan]) -> None:
    """Each process activated each version that it worked with, once, and that was delivered once."""
    pairs = {(instance_of(span), version_of(span)) for span in application_spans(spans) if span.name == "work"}
    pids = {(instance_of(span), span.attributes["pid"]) for span in spans if span.name == "work"}
    assert len({instance for instance, _ in pids}) == len({pid for _, pid in pids}) == len(pids)
    activated = records(spans, "activated")
    counted = Counter((instance_of(span), version_of(span)) for span in activated)
    assert pairs <= set(counted)
    assert set(counted.values()) == {1}
    assert len({span.span_id for span in activated}) == len(activated)


def check_created(spans: list[ReceivedSpan], *model_ids: str) -> None:
    """Every version was announced, and all copies of an announcement are the same span."""
    created = records(spans, "created")
    assert {version_of(span) for span in created} == set(model_ids)
    assert len({(span.trace_id, span.span_id) for span in created}) == len(model_ids)


def check_answers(spans: list[ReceivedSpan], requests: int, model_id: str) -> None:
    """The same for the application of the documentation, which has one span `answer` in each request."""
    answers = [span for span in spans if span.name == "answer"]
    assert len(answers) == requests
    of_requests = [span for span in application_spans(spans) if span.trace_id in {span.trace_id for span in answers}]
    assert len([span for span in of_requests if span.kind == "SERVER"]) == requests
    assert {version_of(span) for span in of_requests} == {model_id}
    activated = Counter(instance_of(span) for span in records(spans, "activated"))
    assert {instance_of(span) for span in answers} <= set(activated)
    assert set(activated.values()) == {1}
