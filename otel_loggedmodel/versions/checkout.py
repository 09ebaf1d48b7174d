# SPDX-License-Identifier: Apache-2.0
"""What of a git checkout goes into a version, and under which tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_loggedmodel.versions.git import GitState

# Names are OpenTelemetry's, if it has one: https://opentelemetry.io/docs/specs/semconv/registry/attributes/vcs/
COMMIT_TAG: Final = "vcs.ref.head.revision"
BRANCH_TAG: Final = "vcs.ref.head.name"
REPOSITORY_TAG: Final = "vcs.repository.url.full"
DIRTY_TAG: Final = "git.dirty"
DIFF_DIGEST_TAG: Final = "git.diff.sha256"
DIFF_TAG: Final = "git.diff"


def what_runs(state: GitState) -> dict[str, str]:
    """The tags that make the version. The same code has the same tags on every branch and in every clone."""
    return _present({COMMIT_TAG: state.commit, DIFF_DIGEST_TAG: state.diff_digest})


def where_from(state: GitState) -> dict[str, str]:
    """The tags that are good to know, but do not make another version."""
    return _present(
        {
            BRANCH_TAG: state.branch,
            REPOSITORY_TAG: state.remote_url,
            DIRTY_TAG: "true" if state.dirty else "false",
            DIFF_TAG: state.diff,
        }
    )


def under_mlflows_names(state: GitState) -> dict[str, str]:
    """The same once more, for code that looks for MLflow's tags."""
    return _present(
        {
            "mlflow.git.branch": state.branch,
            "mlflow.git.commit": state.commit,
            "mlflow.git.dirty": "true" if state.dirty else "false",
            "mlflow.git.repo_url": state.remote_url,
        }
    )


def default_name(state: GitState) -> str:
    """The repository's name, from its remote, else from its folder."""
    source = (state.remote_url or state.root).rstrip("/\\")
    return re.split(r"[/\\:]", source)[-1].removesuffix(".git").strip() or "application"


def _present(tags: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if value is not None}
