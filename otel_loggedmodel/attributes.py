# SPDX-License-Identifier: Apache-2.0
"""Names of the attributes that this library puts on spans: dashboards and other languages depend on them."""

from typing import Final

ID: Final = "logged_model.id"
NAME: Final = "logged_model.name"

EVENT: Final = "logged_model.event"
EVENT_TIME: Final = "logged_model.event_time"
EXPERIMENT_ID: Final = "logged_model.experiment_id"
TYPE: Final = "logged_model.type"
SOURCE_RUN_ID: Final = "logged_model.source_run_id"
STATUS: Final = "logged_model.status"
CREATED_AT: Final = "logged_model.created_at"
REFERENCE: Final = "logged_model.reference"
PARAM_PREFIX: Final = "logged_model.param."
TAG_PREFIX: Final = "logged_model.tag."
TAGS_DELETED: Final = "logged_model.tags_deleted"

# The Collector's probabilistic sampler and several vendors' agents honour this older OpenTracing attribute.
SAMPLING_PRIORITY: Final = "sampling.priority"
