# SPDX-License-Identifier: Apache-2.0
"""Results as tables for people and as JSON for programs, with the machine they were measured on."""

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence

from benchmarks.measuring import Figure

_PACKAGES = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "opentelemetry-processor-baggage",
    "protobuf",
    "grpcio",
    "chdb-core",
    "clickhouse-connect",
    "langfuse",
    "mlflow",
)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        name: Its heading.
        unit: Printed behind the heading.
        digits: Digits after the point.
    """

    name: str
    unit: str
    digits: int = 2


@dataclasses.dataclass(frozen=True)
class Row:
    """One contestant's figures, by column; or why there are none."""

    label: str
    figures: Mapping[str, Figure] = dataclasses.field(default_factory=dict)
    skipped: str | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows that were measured together.

    Attributes:
        title: What was measured.
        method: What was measured on, and how.
        columns: The figures that rows have.
        rows: In the order in which to print them.
    """

    title: str
    method: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclasses.dataclass(frozen=True)
class Budget:
    """A limit that a figure has to keep.

    Attributes:
        name: What is limited.
        measured: The figure; its median decides.
        limit: The limit.
        unit: The unit of both.
        at_least: Whether the limit is a lower one.
    """

    name: str
    measured: Figure
    limit: float
    unit: str = "x"
    at_least: bool = False

    @property
    def held(self) -> bool:
        """Whether the figure keeps within the limit."""
        return self.measured.value >= self.limit if self.at_least else self.measured.value <= self.limit

    def __str__(self) -> str:
        measured = _number(self.measured.value)
        if self.measured.low != self.measured.high:
            measured += f" ({_number(self.measured.low)} to {_number(self.measured.high)})"
        return f"{self.name}: {measured}, budget {'>=' if self.at_least else '<='} {_number(self.limit)} {self.unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclasses.dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    tables: Sequence[Table]
    budgets: Sequence[Budget] = ()
    notes: Sequence[str] = ()


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": installed,
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def describe(found: Mapping[str, object]) -> str:
    """The machine in a few lines."""
    packages = found["packages"]
    assert isinstance(packages, Mapping)
    return "\n".join(
        [
            f"{found['cores']} cores of {found['cpu']}, {found['system']}, load average {found['load_average']}",
            f"{found['python']}; " + ", ".join(f"{name} {version}" for name, version in packages.items()),
        ]
    )


def _cpu_model() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


def render(table: Table) -> str:
    """The table as text; behind each median its quartiles."""
    headings = ["", *(f"{column.name} [{column.unit}]" for column in table.columns)]
    body = [[row.label, *(_cell(row, column) for column in table.columns)] for row in table.rows]
    widths = [max(len(line[index]) for line in (headings, *body)) for index in range(len(headings))]
    lines = [table.title, f"  {table.method}", ""]
    for line in (headings, ["-" * width for width in widths], *body):
        first = line[0].ljust(widths[0])
        lines.append(
            "  " + "  ".join([first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        )
    lines.extend(f"  {row.label}: skipped, {row.skipped}" for row in table.rows if row.skipped is not None)
    return "\n".join(lines)


def _cell(row: Row, column: Column) -> str:
    figure = row.figures.get(column.name)
    if figure is None:
        return "-"
    value, low, high = (f"{number:,.{column.digits}f}" for number in (figure.value, figure.low, figure.high))
    return value if low == high == value else f"{value} ({low} to {high})"
