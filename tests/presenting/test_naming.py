# SPDX-License-Identifier: Apache-2.0
"""A version is called by its name and label first, and by an id that tells it from others of its name."""

import pytest

from otel_loggedmodel.presenting.naming import Title, short_id, titles_of
from otel_loggedmodel.store.results import Comparison, ConfigurationDifference, VersionMetrics
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions import identity

ONE, TWO = (identity.model_id_of("0", "agent", params={"k": number}) for number in "12")


def comparison(*names: str | None, **tags: tuple[str | None, ...]) -> Comparison:
    ids = (ONE, TWO, "three")
    return Comparison(
        versions=tuple(VersionMetrics(model_id=ids[place], name=name) for place, name in enumerate(names)),
        configuration=tuple(
            ConfigurationDifference(kind="tag", key=key, values=values) for key, values in tags.items()
        ),
    )


def test_the_short_ids_of_one_name_differ() -> None:
    assert short_id(ONE) != short_id(TWO)
    assert ONE.endswith(short_id(ONE))
    assert short_id("v1") == "v1"
    # Of a run.
    assert short_id("9478a4f0653b47bf8a75595922c31ca2") == "9478a4f0"


@pytest.mark.parametrize(
    ("compared", "calls"),
    [
        (comparison("agent", "agent", release=("v1", "v2")), ["v1", "v2"]),
        (comparison("agent", "agent"), [short_id(ONE), short_id(TWO)]),
        (comparison("agent-v1", "agent-v2"), ["agent-v1", "agent-v2"]),
        (comparison("agent", "agent", release=(None, "v2")), ["agent", "agent v2"]),
        (comparison(None, None), [short_id(ONE), short_id(TWO)]),
    ],
)
def test_a_sentence_calls_versions_by_as_little_as_tells_them_apart(compared: Comparison, calls: list[str]) -> None:
    assert list(titles_of(compared).calls) == calls


def test_a_title_has_the_release_else_the_commit_and_the_stage() -> None:
    title = Title.of(Version(model_id=ONE, name="agent", tags={"vcs.ref.head.revision": "c3f1d2a" * 6}))
    assert (title.text, title.stage) == ("agent c3f1d2a", "")
    title = Title.of(Version(model_id=ONE, name="agent", tags={"release": "v1", "stage": "production"}))
    assert (title.text, title.stage, title.is_serving) == ("agent v1", "production", True)
    assert title.full == f"agent v1 {short_id(ONE)}"
    assert Title(model_id=ONE).text == short_id(ONE)
