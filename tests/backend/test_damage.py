# SPDX-License-Identifier: Apache-2.0
"""Stores that are damaged, as disks and copies do it: the backend tells, the rest is read, and it can be mended."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asking import ask
from effort import only_in_full, some
from waiting import wait_until

from .sending import Traces
from .serving import Serving, command
from .test_hard_times import refuse

SPANS_AN_INSERT = 30
VERSION = "damaged"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with four parts."""
    directory = tmp_path_factory.mktemp("sound")
    traces = Traces(VERSION, 1)
    with Serving(directory / "log", "--data", directory / "data") as serving:
        for _ in range(4):
            assert serving.post(traces.request(SPANS_AN_INSERT)[1]).status == 200
    return directory / "data"


@pytest.fixture
def data(tmp_path: Path, sound: Path) -> Path:
    """A copy of it, as `cp -a` makes one."""
    return Path(shutil.copytree(sound, tmp_path / "data", symlinks=True))


def part_of(data: Path) -> Path:
    """The directory of a part of the table of spans."""
    parts = [path.parent for path in data.glob("store/*/*/*/columns.txt") if "SpanName" in path.read_text()]
    return sorted(parts)[1]


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def flip_all_over(path: Path) -> None:
    """Change a byte here and there, so that whoever reads finds one."""
    content = bytearray(path.read_bytes())
    for place in range(64, len(content), 64):
        content[place] ^= 0xFF
    path.write_bytes(content)


def without_a_file(part: Path) -> None:
    (part / "data.cmrk4").unlink()


def with_a_flipped_checksum(part: Path) -> None:
    flip(part / "checksums.txt")


def spans_of(serving: Serving) -> int:
    return len(serving.trace_ids(VERSION))


def metric(serving: Serving, name: str) -> float:
    lines = ask(serving.http, "GET", "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith(f"otel_loggedmodel_{name} ")]
    return float(line.split()[1])


@pytest.mark.parametrize("damage", some([without_a_file, with_a_flipped_checksum]))
def test_a_part_that_the_engine_sets_aside_is_told_and_restored(
    tmp_path: Path, data: Path, damage: Callable[[Path], None]
) -> None:
    backup = tmp_path / "backup.tar.gz"
    assert command("store", "backup", backup, "--store", f"chdb://{data}").returncode == 0
    part = part_of(data)
    damage(part)
    place = part.parent / "detached" / f"broken-on-start_{part.name}"
    with Serving(tmp_path / "second log", "--data", data) as serving:
        assert f"{SPANS_AN_INSERT} rows of otel_traces from 20" in serving.log
        assert f"are set aside as damaged, in {place}" in serving.log
        assert "store restore" in serving.log
        assert (metric(serving, "set_aside_rows"), metric(serving, "set_aside_parts")) == (SPANS_AN_INSERT, 1)
        assert metric(serving, "gone_rows") == 0
        assert spans_of(serving) == 3 * SPANS_AN_INSERT
        doctor = command("doctor", OTEL_EXPORTER_OTLP_ENDPOINT=serving.http)
        assert f"{SPANS_AN_INSERT} rows of otel_traces" in doctor.stdout
        assert str(place) in doctor.stdout
        # The backend that has the store open is found, and asked.
        restored = command("store", "restore", backup, "--store", f"chdb://{data}")
        assert (restored.returncode, f"{SPANS_AN_INSERT} spans" in restored.stderr) == (0, True), restored
        assert spans_of(serving) == 4 * SPANS_AN_INSERT
    assert (place / "count.txt").read_text() == str(SPANS_AN_INSERT)


@only_in_full
def test_a_part_that_is_gone_is_missed(tmp_path: Path, data: Path) -> None:
    shutil.rmtree(part_of(data))
    with Serving(tmp_path / "second log", "--data", data) as serving:
        assert f"{SPANS_AN_INSERT} rows of otel_traces of 20" in serving.log
        assert "are gone" in serving.log
        assert metric(serving, "gone_rows") == SPANS_AN_INSERT
        assert spans_of(serving) == 3 * SPANS_AN_INSERT
    # It is told until somebody says that it is known.
    assert f"{SPANS_AN_INSERT} rows" in command("store", "repair", "--store", f"chdb://{data}").stdout
    with Serving(tmp_path / "third log", "--data", data) as serving:
        assert "are gone" not in serving.log


@only_in_full
@pytest.mark.parametrize(
    "is_running", some([True, False]), ids=lambda is_running: "running" if is_running else "stopped"
)
def test_a_flipped_byte_in_the_data_is_told_and_set_aside(tmp_path: Path, data: Path, is_running: bool) -> None:
    part = part_of(data)
    flip_all_over(part / "data.bin")
    serving = Serving(tmp_path / "second log", "--data", data)
    serving.start()
    try:
        answer = ask(serving.http, "GET", f"/api/v1/traces?version={VERSION}&limit=1000")
        error = json.loads(answer.body)["error"]["message"]
        assert answer.status == 503
        assert f"the part {part.name} of the store at {data} is damaged" in error
        assert "store repair" in error
        assert "Code:" not in error
        if not is_running:
            serving.stop()
        repaired = command("store", "repair", "--store", f"chdb://{data}")
        assert repaired.returncode == 0, repaired
        assert f"set the part {part.name} of otel_traces aside" in repaired.stdout
        assert f"{SPANS_AN_INSERT} rows of otel_traces" in repaired.stdout
        if not is_running:
            serving.start()
        assert spans_of(serving) == 3 * SPANS_AN_INSERT
        assert metric(serving, "set_aside_rows") == SPANS_AN_INSERT
        again = command("store", "repair", "--store", f"chdb://{data}")
        assert "Nothing is damaged" in again.stderr
    finally:
        serving.kill()
    assert (part.parent / "detached" / part.name / "data.bin").exists()


@pytest.mark.parametrize("damage", ["a checksum", "the data"])
@only_in_full
def test_what_follows_from_spans_is_filled_in_anew_where_it_is_damaged(tmp_path: Path, data: Path, damage: str) -> None:
    counted = [path.parent for path in data.glob("store/*/*/*/columns.txt") if "LoggedModelCall" in path.read_text()]
    if damage == "a checksum":  # which the engine finds as it starts
        flip(counted[0] / "checksums.txt")
    else:
        flip_all_over(counted[0] / "data.bin")
        repaired = command("store", "repair", "--store", f"chdb://{data}")
        assert "filled in anew what was damaged of the table of what counts" in repaired.stdout, repaired
    with Serving(tmp_path / "second log", "--data", data) as serving:
        wait_until(lambda: not notes_of(serving), "the table to be filled in")
        assert traces_of(serving) == 4 * SPANS_AN_INSERT
        assert "damaged" not in serving.log
    assert not list(data.glob("store/*/*/detached/*"))


def notes_of(serving: Serving) -> list[str]:
    return [note for note in serving.get("/api/v1/compare", {"version": VERSION})["notes"] if "is not prepared" in note]


def traces_of(serving: Serving) -> int:
    (version,) = serving.get("/api/v1/compare", {"version": VERSION})["versions"]
    return int(version["traces"])


def definition(data: Path) -> Path:
    [found] = data.glob("store/*/*/otel_traces.sql")
    return found


def with_a_cut_definition(data: Path) -> None:
    path = definition(data)
    path.write_bytes(path.read_bytes()[:200])


def with_an_empty_definition(data: Path) -> None:
    definition(data).write_bytes(b"")


def without_a_definition(data: Path) -> None:
    definition(data).unlink()


def with_nonsense_in_a_definition(data: Path) -> None:
    path = definition(data)
    path.write_bytes(path.read_bytes().replace(b"DateTime64(9)", b"DateTime64(("))


def copied_through_its_links(data: Path) -> None:
    copy = data.with_name("copy")
    shutil.copytree(data, copy, symlinks=False)
    shutil.rmtree(data)
    copy.rename(data)


def copied_without_its_links(data: Path) -> None:
    for path in [*data.glob("metadata/*"), *data.glob("data/*/*")]:
        assert path.is_symlink()
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    some(
        [
            with_a_cut_definition,
            copied_through_its_links,
            with_an_empty_definition,
            without_a_definition,
            with_nonsense_in_a_definition,
            copied_without_its_links,
        ],
    ),
)
@only_in_full
def test_a_store_that_the_engine_would_not_open_as_it_was(
    tmp_path: Path, data: Path, damage: Callable[[Path], None]
) -> None:
    damage(data)
    files = {path for path in data.rglob("*") if path.is_file() and "/detached" not in str(path)}
    said = refuse("--data", data).splitlines()[-1]
    assert f"otel-loggedmodel store repair --store chdb://{data}" in said
    assert "Code:" not in said
    repaired = command("store", "repair", "--store", f"chdb://{data}")
    assert repaired.returncode == 0, repaired
    assert "put back" in repaired.stdout
    with Serving(tmp_path / "second log", "--data", data) as serving:
        assert spans_of(serving) == 4 * SPANS_AN_INSERT
        assert serving.post(Traces(VERSION, 2).request(5)[1]).status == 200
        assert spans_of(serving) == 4 * SPANS_AN_INSERT + 5
    # What was there is there, or in its place of rest.
    kept = {path.name for path in data.rglob("*")}
    assert {path.name for path in files} - kept <= {"otel-loggedmodel-rows.json.new"}


@pytest.mark.parametrize("name", some(["backup.tar.gz", "backup", "backup.tar"]))
def test_a_backup_makes_a_new_store(tmp_path: Path, data: Path, name: str) -> None:
    backup = tmp_path / name
    with Serving(tmp_path / "second log", "--data", data) as serving:
        made = command("store", "backup", backup, "--store", f"chdb://{data}", "--json")
        # Nothing half-made is beside it.
        assert list(tmp_path.glob(".partial*")) == []
        assert json.loads(made.stdout) == {"path": str(backup), "spans": 4 * SPANS_AN_INSERT}
        assert backup.stat().st_mode & 0o077 == 0
        again = command("store", "backup", backup, "--store", f"chdb://{data}")
        assert (again.returncode, "is there already" in again.stderr) == (2, True)
        assert spans_of(serving) == 4 * SPANS_AN_INSERT
    stopped = backup.with_name(f"stopped-{name}")
    assert command("store", "backup", stopped, "--store", f"chdb://{data}").returncode == 0
    assert stopped.stat().st_mode & 0o077 == 0
    new = tmp_path / "new"
    for added in (4 * SPANS_AN_INSERT, 0):  # what is there already is not added again
        restored = command("store", "restore", backup, "--store", f"chdb://{new}", "--json")
        assert json.loads(restored.stdout) == {"path": str(backup), "spans": added}, restored
    with Serving(tmp_path / "third log", "--data", new) as serving:
        assert spans_of(serving) == 4 * SPANS_AN_INSERT


@only_in_full
def test_what_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "file.tar").write_bytes(b"no backup")
    (tmp_path / "file").write_bytes(b"no backup")
    (tmp_path / "directory").mkdir()
    for name, code in (("directory", 2), ("file.tar", 3), ("nothing", 2), ("file", 2)):
        done = command("store", "restore", tmp_path / name, "--store", f"chdb://{tmp_path / 'data'}")
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done
        assert ("file.tar cannot be read as a backup" in done.stderr) is (code == 3)


@only_in_full
def test_a_backup_that_was_cut_and_what_a_killed_restoring_left(tmp_path: Path, data: Path) -> None:
    backup, new = tmp_path / "backup.tar", tmp_path / "new"
    assert command("store", "backup", backup, "--store", f"chdb://{data}").returncode == 0
    cut = tmp_path / "cut.tar"
    cut.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    assert command("store", "restore", backup, "--store", f"chdb://{new}").returncode == 0
    left = "CREATE DATABASE restoring_0"
    database = "from otel_loggedmodel.store.database import open_database\ndatabase = open_database({url!r})\n{rest}"
    run_python(database.format(url=f"chdb://{new}", rest=f"database.command({left!r})\ndatabase.close()"))
    done = command("store", "restore", cut, "--store", f"chdb://{new}")
    assert done.returncode == 3
    assert f"{cut} cannot be read as a backup" in done.stderr
    assert "nothing was added" in done.stderr
    assert "repair" not in done.stderr
    restored = command("store", "restore", backup, "--store", f"chdb://{new}", "--json")
    assert json.loads(restored.stdout)["spans"] == 0
    asked = "print([row['name'] for row in database.query('SELECT name FROM system.databases')])\ndatabase.close()"
    assert "restoring" not in run_python(database.format(url=f"chdb://{new}", rest=asked))


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


@only_in_full
def test_a_store_is_changed_by_those_alone_who_may(tmp_path: Path) -> None:
    target = tmp_path / "stolen"
    body = json.dumps({"path": str(target)}).encode()
    for variables in ({}, {"OTEL_LOGGEDMODEL_TOKEN": "secret"}):
        with Serving(tmp_path / "log", "--data", tmp_path / "data", **variables) as serving:
            for headers in ({}, {"x-otel-loggedmodel-secret": "guess"}, {"authorization": "Bearer guess"}):
                for path in ("backup", "restore", "repair"):
                    answer = ask(serving.http, "POST", f"/api/v1/store/{path}", body, headers)
                    assert answer.status == (401 if variables else 403)
            with_token = {"authorization": "Bearer secret"}
            answer = ask(serving.http, "POST", "/api/v1/store/backup", body, with_token)
            assert (answer.status, target.exists()) == ((200, True) if variables else (403, False))
            page = ask(
                serving.http, "POST", "/api/v1/store/repair", b"", {**with_token, "sec-fetch-site": "cross-site"}
            )
            assert page.status == 403


@only_in_full
def test_what_is_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    with Serving(tmp_path / "log", "--data", data) as serving:
        assert serving.post(Traces(VERSION, 1).request(5)[1]).status == 200
        assert f"others can read what is stored: {data} has the mode 755" in serving.log
        for path in data.rglob("*"):
            mode = path.lstat().st_mode
            assert path.is_symlink() or mode & 0o077 == 0, (path, oct(mode))
    data.chmod(0o700)
    with Serving(tmp_path / "second log", "--data", data) as serving:
        assert "others can read" not in serving.log
