# SPDX-License-Identifier: Apache-2.0
"""The environment variables of durable delivery: what they mean, and what becomes of values that mean nothing."""

from pathlib import Path

import pytest

from otel_loggedmodel import environment


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1048576", 1048576),
        ("512MB", 512_000_000),
        ("512 mb", 512_000_000),
        ("1GiB", 2**30),
        ("1.5k", 1500),
        ("200M", 200_000_000),
        ("10b", 10),
        ("", None),
    ],
)
def test_sizes(value: str, found: int | None, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES", value)
    assert environment.spool_max_bytes() == found
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("value", "found"), [("90", 90), ("48h", 172_800), ("7d", 604_800), ("0.5h", 1800), ("30 min", 1800), ("", None)]
)
def test_ages(value: str, found: float | None, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_MAX_AGE", value)
    assert environment.spool_max_age() == found
    assert caplog.messages == []


@pytest.mark.parametrize("value", ["lots", "-1", "0", "1e3", "12 parsecs", "MB", "0x10", "inf", "nan"])
def test_values_that_mean_nothing_are_reported_once_and_not_used(value: str, monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES", value)
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_MAX_AGE", value)
    for _ in range(2):
        assert environment.spool_max_bytes() is None
        assert environment.spool_max_age() is None
    size, age = caplog.messages
    assert size == (
        f"OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES is {value!r} and is ignored: write bytes, as in 536870912, 512MB or 1GiB"
    )
    assert "OTEL_LOGGEDMODEL_SPOOL_MAX_AGE" in age


@pytest.mark.parametrize(
    ("value", "wanted"), [("", True), ("1", True), ("on", True), ("0", False), ("off", False), ("False", False)]
)
def test_the_switch(value: str, wanted: bool, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL", value)
    assert environment.is_spool_wanted() is wanted
    assert caplog.messages == []


def test_a_switch_that_is_none_leaves_it_on(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL", "maybe")
    assert environment.is_spool_wanted()
    assert caplog.messages == ["OTEL_LOGGEDMODEL_SPOOL is 'maybe' and counts as on: write 1 or 0"]


def test_the_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME")
    assert environment.spool_directory() == tmp_path / ".local/state/otel-loggedmodel/spool"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert environment.spool_directory() == tmp_path / ".local/state/otel-loggedmodel/spool"
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/state")
    assert environment.spool_directory() == Path("/var/lib/state/otel-loggedmodel/spool")
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_DIR", "~/spool")
    assert environment.spool_directory() == tmp_path / "spool"
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_DIR", "spool")
    assert environment.spool_directory() == Path.cwd() / "spool"


def test_a_user_without_a_home_has_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert environment.spool_directory() is None


def test_a_directory_of_nobody_is_reported_and_not_used(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_DIR", "~no-such-user/spool")
    assert environment.spool_directory() == environment.default_spool_directory()
    (message,) = caplog.messages
    assert message.startswith("OTEL_LOGGEDMODEL_SPOOL_DIR is '~no-such-user/spool' and is ignored: ")
