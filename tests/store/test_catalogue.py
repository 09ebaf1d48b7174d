# SPDX-License-Identifier: Apache-2.0
"""Which versions there are, which ids stand for others, and which one a user means."""

import pytest

from otel_loggedmodel.presenting.naming import short_id
from otel_loggedmodel.store.catalogue import Alias, Catalogue
from otel_loggedmodel.store.numbering import numbered
from otel_loggedmodel.store.reading import AmbiguousVersionError, UnknownVersionError
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import ModelEvent

REFERENCE = identity.reference_to("0", "agent")


def model_id(name: str = "agent", experiment: str = "0", **params: str) -> str:
    return identity.model_id_of(experiment, name, params=params)


def created(name: str, at: int, experiment: str = "0", **params: str) -> ModelEvent:
    return ModelEvent(
        "created", model_id(name, experiment, **params), at, name=name, experiment_id=experiment, params=params
    )


def catalogue(*events: ModelEvent) -> Catalogue:
    times: dict[str, int] = {}
    for event in events:
        if event.kind == "created":
            times[event.model_id] = min(times.get(event.model_id, event.time_ns), event.time_ns)
    return Catalogue(records.fold(events), times)


def referred(name: str, at: int) -> ModelEvent:
    """The record of a process that knows only a name."""
    return ModelEvent("created", identity.reference_to("0", name), at, name=name, experiment_id="0")


FIRST, SECOND = model_id(k="1"), model_id(k="2")


def test_a_reference_stands_for_the_newest_version_of_its_name_at_the_time() -> None:
    known = catalogue(created("agent", 100, k="1"), created("agent", 200, k="2"), created("other", 50, k="1"))
    assert known.aliases_of([SECOND]) == (
        Alias("agent", 100, FIRST),
        Alias(REFERENCE, 100, FIRST),
        Alias("agent", 200, SECOND),
        Alias(REFERENCE, 200, SECOND),
    )


def test_a_reference_is_of_one_experiment_and_a_plain_name_of_all() -> None:
    elsewhere = model_id(experiment="7", k="1")
    known = catalogue(created("agent", 100, k="1"), created("agent", 200, experiment="7", k="1"))
    assert set(known.aliases) == {
        Alias(REFERENCE, 100, FIRST),
        Alias(identity.reference_to("7", "agent"), 200, elsewhere),
        Alias("agent", 100, FIRST),
        Alias("agent", 200, elsewhere),
    }


def test_a_reference_that_nothing_else_has_the_name_of_stands_for_itself() -> None:
    known = catalogue(referred("agent", 100))
    assert known.resolve("agent", []) == REFERENCE
    assert known.aliases == (Alias("agent", 0, REFERENCE),)


def test_a_reference_with_params_of_its_own_stands_for_itself() -> None:
    grown = ModelEvent("updated", REFERENCE, 150, span_id=1, params={"k": "later"})
    known = catalogue(referred("agent", 100), grown, created("agent", 200, k="2"))
    assert REFERENCE not in {alias.alias for alias in known.aliases}
    assert known.resolve(REFERENCE, []) == REFERENCE


def test_a_version_that_has_only_a_name_is_what_a_reference_stands_for() -> None:
    bare = model_id("agent")
    known = catalogue(referred("agent", 50), created("agent", 100))
    assert Alias(REFERENCE, 100, bare) in known.aliases
    assert known.resolve("agent", []) == known.resolve(REFERENCE, []) == bare


def test_references_of_older_stores_are_resolved_as_well() -> None:
    # They ended in zeros.
    old = REFERENCE[:18] + "0" * 16
    told = ModelEvent("created", old, 50, name="agent", experiment_id="0")
    known = catalogue(told, created("agent", 100, k="1"))
    assert Alias(old, 100, FIRST) in known.aliases
    assert known.resolve("agent", []) == known.resolve(old, []) == FIRST
    assert known.previous(FIRST) is None


def test_a_model_whose_id_is_a_name_is_that_model() -> None:
    plain = ModelEvent("created", "agent", 100, name="agent")
    known = catalogue(plain, created("agent", 200, k="2"))
    assert "agent" not in {alias.alias for alias in known.aliases}
    assert known.resolve("agent", []) == "agent"


def test_a_name_means_its_newest_version_that_is_not_deleted() -> None:
    deleted = ModelEvent("deleted", SECOND, 300, span_id=1)
    known = catalogue(created("agent", 100, k="1"), created("agent", 200, k="2"))
    assert known.resolve("agent", []) == SECOND
    assert catalogue(created("agent", 100, k="1"), created("agent", 200, k="2"), deleted).resolve("agent", []) == FIRST
    assert catalogue(created("agent", 200, k="2"), deleted).resolve("agent", []) == SECOND


def test_the_version_before_is_of_its_name_or_of_a_lower_number() -> None:
    known = catalogue(
        created("agent-v2", 100, k="1"),
        created("agent-v2", 300, k="2"),
        created("agent-v1.0", 200),
        created("agent-v1.5", 50, k="gone"),
        ModelEvent("deleted", model_id("agent-v1.5", k="gone"), 400, span_id=1),
        created("agent-v10", 100, k="1"),
        created("agent", 10, k="1"),
        created("agent-x2", 10, k="1"),
    )
    assert known.previous(model_id("agent-v2", k="2")) == model_id("agent-v2", k="1")
    assert known.previous(model_id("agent-v2", k="1")) == model_id("agent-v1.0")
    assert known.previous(model_id("agent-v10", k="1")) == model_id("agent-v2", k="2")
    assert known.previous(model_id("agent-v1.0")) is None
    assert known.previous(model_id("agent", k="1")) is None
    assert known.previous("m-unknown") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my-agent-v1.0", ("my-agent", (1, 0))),
        ("my-agent-V2", ("my-agent", (2,))),
        ("agent 3", ("agent", (3,))),
        ("agent12", ("agent", (12,))),
        ("v7", ("v", (7,))),
        ("gpt-4o", None),
        ("agent", None),
        ("2026.11", None),
        ("", None),
        ("a" * 300 + "1", None),
    ],
)
def test_a_number_at_the_end_of_a_name_is_that_of_a_version(name: str, expected: object) -> None:
    assert numbered(name) == expected


def test_versions_are_named_by_id_beginning_and_reference() -> None:
    known = catalogue(created("agent", 100, k="1"), created("agent", 200, k="2"))
    assert known.resolve(FIRST, []) == FIRST
    assert known.resolve(FIRST[:25], []) == FIRST
    assert known.resolve(REFERENCE, [REFERENCE]) == SECOND
    assert known.resolve("m-unregistered", ["m-unregistered"]) == "m-unregistered"
    assert known.resolve("m-unreg", ["m-unregistered"]) == "m-unregistered"
    with pytest.raises(AmbiguousVersionError, match=f"2 versions have ids that begin or end with '{FIRST[:10]}'"):
        known.resolve(FIRST[:10], [])


def test_what_is_shown_of_an_id_names_its_version() -> None:
    known = catalogue(created("agent", 100, k="1"), created("agent", 200, k="2"))
    for model_id in (FIRST, SECOND):
        assert known.resolve(short_id(model_id), []) == model_id
        assert known.resolve(f"…{model_id[-10:]}", []) == model_id
        assert known.resolve(model_id.removeprefix("m-"), []) == model_id
    with pytest.raises(UnknownVersionError):
        known.resolve(FIRST[-3:], [])
    # Ids of other shapes have no short form: the end of one is a word like any other.
    with pytest.raises(UnknownVersionError):
        known.resolve("registered", ["m-unregistered"])


@pytest.mark.parametrize("text", ["agnet", ""])
def test_an_unknown_version_comes_with_what_may_be_meant(text: str) -> None:
    with pytest.raises(UnknownVersionError) as failure:
        catalogue(created("agent", 100, k="1")).resolve(text, [])
    assert failure.value.suggestions == (("agent",) if text else ())


def test_a_release_that_is_taken_for_a_name_says_which_version_has_it() -> None:
    released = ModelEvent("created", FIRST, 100, span_id=1, name="agent", tags={"release": "v2"})
    with pytest.raises(UnknownVersionError, match=f"It is the release of {FIRST[-8:]}: name the version by its id"):
        catalogue(released).resolve("v2", [])


def test_a_version_that_only_an_activation_tells_of_is_not_registered() -> None:
    known = catalogue(ModelEvent("activated", "m-1", 100, span_id=1, name="agent"))
    assert not known.is_registered("m-1")
    assert known.model("m-1") is not None
    assert known.resolve("m-1", []) == "m-1"
