# SPDX-License-Identifier: Apache-2.0
"""A version from the state of the git checkout that the application runs from."""

import dataclasses
import logging
import os
from types import TracebackType

from otel_loggedmodel.fluent import clear_active_model, create_external_model, set_active_model, set_logged_model_tags
from otel_loggedmodel.versions import checkout, git
from otel_loggedmodel.versions.model import ActiveModel

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class GitVersioning:
    """What `enable_git_model_versioning` found and made; as a context manager, active inside the block only.

    Attributes:
        info: The state of the checkout, or None where there is none.
        active_model: The version made from it, or None.
    """

    info: git.GitState | None
    active_model: ActiveModel | None

    def __enter__(self) -> "GitVersioning":
        if self.active_model is not None:
            self.active_model.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.active_model is not None:
            self.active_model.__exit__(kind, error, traceback)


def enable_git_model_versioning(
    remote_name: str = "origin",
    *,
    name: str | None = None,
    path: str | os.PathLike[str] | None = None,
    record_diff: bool = False,
) -> GitVersioning:
    """Create a version from the state of the git checkout and make it the active one.

    The version is made of the commit and, if the working tree differs from it, of a digest of the difference, untracked
    files included. So the same code is the same version on every branch and in every clone, and two different edits of
    one commit are two versions. Branch and repository are tags that make no difference. It reads the checkout with
    `git`, which takes some tens of milliseconds: call it at start-up. If there is no git or no checkout, it logs a
    warning and changes nothing.

    Args:
        remote_name: The remote whose URL is recorded, without any credentials.
        name: Name of the version; that of the repository by default.
        path: A folder in the checkout; the working directory by default.
        record_diff: Whether to record the difference itself, as a tag. It may hold secrets.

    Returns:
        The state and the version, usable as a context manager.

    Raises:
        TypeError: The name is not a string.
        ValueError: It cannot be a name.
    """
    try:
        state = git.read_git_state(path, remote_name=remote_name, record_diff=record_diff)
    except git.GitUnavailable as error:
        _logger.warning("no version from git: %s", error)
        return GitVersioning(info=None, active_model=None)
    model = create_external_model(
        checkout.default_name(state) if name is None else name, tags=checkout.what_runs(state)
    )
    set_logged_model_tags(model.model_id, checkout.where_from(state) | checkout.under_mlflows_names(state))
    return GitVersioning(info=state, active_model=set_active_model(model_id=model.model_id))


def disable_git_model_versioning() -> None:
    """Have no active version any more, as `clear_active_model` does."""
    clear_active_model()
