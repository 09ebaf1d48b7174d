# SPDX-License-Identifier: Apache-2.0
"""The bounds on what a process remembers."""

import otel_loggedmodel as mlflow
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.versions import catalogue as module
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.catalogue import Catalogue, catalogue


def test_versions_without_end_do_not_use_memory_without_end(monkeypatch, caplog) -> None:
    monkeypatch.setattr(module, "MAX_MODELS", 100)
    monkeypatch.setattr(catalogue, "activated", Latest(100))
    first = mlflow.create_external_model("a", params={"n": "first"})
    for number in range(500):
        mlflow.create_external_model("a", params={"n": str(number)})
        mlflow.set_active_model(model_id=f"unknown-{number}")
    assert len(catalogue._models) == 100
    assert len(catalogue._histories) == 100
    assert len(catalogue.activated) == 100
    assert catalogue.get(first.model_id) is None
    assert mlflow.set_active_model("a").params == {"n": "499"}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "forgets the oldest; a version is meant to be a state of the application" in warning


def test_large_versions_are_bounded_by_their_bytes(monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    for number in range(50):
        mlflow.create_external_model("a", params={"n": str(number), "prompt": "x" * 100_000})
    assert len(catalogue._models) == 9
    assert catalogue._bytes == sum(module._size_of(model) for model in catalogue._models.values())
    assert sum(event.size for _, event in catalogue._journal) == catalogue._journal_bytes <= 1_000_000


def test_the_journal_is_bounded_and_keeps_the_newest() -> None:
    own = Catalogue()
    for number in range(module.MAX_EVENTS + 10):
        own.update("m", tags={"n": str(number)})
    events = own.events_after(0)
    assert len(events) == module.MAX_EVENTS
    assert events[-1][0] == own.last_number == module.MAX_EVENTS + 10
    assert events[-1][1].tags == {"n": str(module.MAX_EVENTS + 9)}
    assert own._journal_bytes == sum(event.size for _, event in events)
    assert [number for number, _ in own.events_after(own.last_number - 2)] == [own.last_number - 1, own.last_number]


def test_many_updates_of_one_model_are_repeated_as_few() -> None:
    model = mlflow.create_external_model("a", tags={"gone": "1"})
    for number in range(1000):
        mlflow.set_logged_model_tags(model.model_id, {f"k{number % 10}": str(number)})
        mlflow.log_model_params({f"p{number}": "v"}, model.model_id)
    mlflow.delete_logged_model_tag(model.model_id, "gone")
    announcement = catalogue.announcement_of(model.model_id)
    assert len(announcement) == module.MAX_UPDATES_PER_MODEL
    assert announcement[0].kind == "created"
    assert records.fold(announcement)[model.model_id].model == mlflow.get_logged_model(model.model_id)


def test_an_update_that_changes_nothing_is_no_event() -> None:
    model = mlflow.create_external_model("a", tags={"t": "1"}, params={"k": "v"})
    before = catalogue.last_number
    mlflow.set_logged_model_tags(model.model_id, {"t": "1"})
    mlflow.log_model_params({"k": "v"}, model.model_id)
    mlflow.finalize_logged_model(model.model_id, "READY")
    assert catalogue.last_number == before


def test_events_have_strictly_increasing_times_even_when_the_clock_stands_still(monkeypatch) -> None:
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_000)
    for number in range(5):
        mlflow.create_external_model("a", params={"n": str(number)})
    assert [event.time_ns for _, event in catalogue.events_after(0)] == [1000, 1001, 1002, 1003, 1004]
