# SPDX-License-Identifier: Apache-2.0
"""Versions of a store as LoggedModels."""

from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus


def model_of(version: Version) -> LoggedModel:
    """What a store knows of a version."""
    return LoggedModel(
        model_id=version.model_id,
        name=version.name,
        experiment_id=version.experiment_id,
        creation_timestamp=version.creation_timestamp,
        last_updated_timestamp=version.last_updated_timestamp,
        model_type=version.model_type,
        source_run_id=version.source_run_id,
        status=LoggedModelStatus(version.status),
        tags=version.tags,
        params=version.params,
    )
