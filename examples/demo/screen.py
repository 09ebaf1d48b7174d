# SPDX-License-Identifier: Apache-2.0
"""The report as text, with colours where they are wanted."""

from collections.abc import Sequence
from datetime import datetime

from report import Report, VersionReport


class Paint:
    """Puts colours around text, or leaves it as it is."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def _in(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._wanted else text

    def bold(self, text: str) -> str:
        return self._in("1", text)

    def good(self, text: str) -> str:
        return self._in("32", text)

    def bad(self, text: str) -> str:
        return self._in("31", text)

    def dim(self, text: str) -> str:
        return self._in("2", text)


def lines_of(report: Report, paint: Paint) -> list[str]:
    """The report as text."""
    versions = report.versions
    lines = [paint.bold("What arrived, by version")]
    lines += [f"  {version.release}  {version.model.name}  {version.model.model_id}" for version in versions]
    rows = [("", [version.release for version in versions])]
    rows += [
        ("  " + key, [_short(version.model.params.get(key, "-")) for version in versions])
        for key in _differing(versions)
    ]
    rows += [
        ("traces", [str(len(version.entries)) for version in versions]),
        ("errors", [_share(version.errors, len(version.entries)) for version in versions]),
        ("latency p50", [f"{version.latency_ms(0.5):.0f} ms" for version in versions]),
        ("latency p95", [f"{version.latency_ms(0.95):.0f} ms" for version in versions]),
        ("tokens in", [_per_trace(version.input_tokens, version) for version in versions]),
        ("tokens out", [_per_trace(version.output_tokens, version) for version in versions]),
    ]
    first = max(len(label) for label, _ in rows) + 2
    second = max((len(cell) for _, cells in rows for cell in cells), default=0) + 2
    table = [
        "  " + label.ljust(first) + "".join(cell.ljust(second) for cell in cells).rstrip() for label, cells in rows
    ]
    lines += ["", paint.bold(table[0]), *table[1:], "", paint.bold("Links")]
    for version in versions:
        complete = version.linked == len(version.entries) and version.stamped == version.spans
        linked = f"{version.linked} of {len(version.entries)} entry spans link to the model's root span"
        text = f"  {version.release}  {linked}; {version.stamped} of {version.spans} spans carry its id"
        lines.append(paint.good(text) if complete else paint.bad(text))
    lines += ["", paint.bold("Each version's own trace, which is its audit log")]
    for version in versions:
        lines.append(f"  {version.release}  trace {version.model.model_id.removeprefix('m-')}")
        for entry in version.audit:
            time = datetime.fromtimestamp(entry.time_ns / 1e9).strftime("%H:%M:%S.%f")[:-3]
            lines.append(f"      {paint.dim(time)}  {entry.what.ljust(26)} {_by(entry.pids)}")
    return lines


def _differing(versions: Sequence[VersionReport]) -> list[str]:
    keys = dict.fromkeys(key for version in versions for key in version.model.params)
    return [key for key in keys if len({version.model.params.get(key) for version in versions}) > 1]


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:27] + "..."


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else str(part)


def _per_trace(tokens: int, version: VersionReport) -> str:
    return f"{tokens} ({tokens / len(version.entries):.0f} a trace)" if version.entries else str(tokens)


def _by(pids: Sequence[str]) -> str:
    if len(pids) == 1:
        return f"pid {pids[0]}"
    return f"pids {', '.join(pids[:-1])} and {pids[-1]}: one span, sent {len(pids)} times"
