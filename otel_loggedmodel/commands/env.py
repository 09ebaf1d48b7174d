# SPDX-License-Identifier: Apache-2.0
"""`env`: the lines that deploy a version."""

from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from otel_loggedmodel._checking import check_name, has_id_shape
from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting.deploying import Syntax, lines_for, variables_for
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError

EXAMPLES: Final = """
eval "$(otel-loggedmodel env my-agent-v2)" && opentelemetry-instrument python app.py
otel-loggedmodel env my-agent-v2 --format kubernetes --endpoint http://collector:4318
"""


def env(
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    syntax: Annotated[Syntax, typer.Option("--format", help="What the lines are for.")] = Syntax.SHELL,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="URL", help="Also say where spans go, such as http://collector:4318."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Take VERSION, an id, as it is; ask no store.")] = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Print the environment variables that make a version the active one."""
    if endpoint is not None:
        _check_endpoint(endpoint)
    if offline and not has_id_shape(version):
        raise typer.BadParameter(
            f"{clean(version)!r} is no id (m- and 32 hex digits), and --offline looks nothing up", param_hint="VERSION"
        )
    model_id = version if offline else _looked_up(version, store, token_file)
    try:
        check_name(model_id, "the version's id")
    except ValueError as error:
        raise ReadingError(f"{error}; no environment variable can carry it") from None
    variables = variables_for(model_id, endpoint)
    if json:
        printing.show_json(variables)
    else:
        printing.write(lines_for(variables, syntax))


def _looked_up(version: str, store: str | None, token_file: options.TokenFile) -> str:
    try:
        with opening.reader(store, token_file, "Looking up the version") as reader:
            found = reader.version(version).version
    except StoreUnavailableError as error:
        if not has_id_shape(version):
            raise
        raise StoreUnavailableError(f"{error}\nWith --offline the id is taken as it is.") from None
    if found.deleted:
        printing.complain(f"Warning: {found.model_id} was deleted.")
    return found.model_id


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(check_name(endpoint, "it"))
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_fine = False
    if not is_fine:
        raise typer.BadParameter("write a URL such as http://collector:4318", param_hint="--endpoint")
