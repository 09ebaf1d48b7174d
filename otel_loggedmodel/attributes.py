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
# A record that is too large for one span goes on in others. These name the span that they continue, in hex digits.
CONTINUES: Final = "logged_model.continues"
# Of a param or tag that is too long for one value: `sha256:<hex digits>:<bytes>` of the whole, and its pieces.
DIGEST_PREFIX: Final = "logged_model.digest."
PIECE_OF: Final = "logged_model.piece.of"
PIECE_DIGEST: Final = "logged_model.piece.digest"
PIECE_FIRST: Final = "logged_model.piece.first"
PIECE_PREFIX: Final = "logged_model.piece."

# The conventions' own: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/
EVALUATION_RESULT: Final = "gen_ai.evaluation.result"  # the name of a span or event, not of an attribute
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
ERROR_TYPE: Final = "error.type"
# Who or what judged, and what makes two results comparable.
EVALUATION_SOURCE: Final = "logged_model.evaluation.source"
EVALUATION_SOURCE_ID: Final = "logged_model.evaluation.source_id"
EVALUATION_DATASET: Final = "logged_model.evaluation.dataset"
EVALUATION_DATASET_NAME: Final = "logged_model.evaluation.dataset_name"
EVALUATION_ROW: Final = "logged_model.evaluation.row"
EVALUATION_EXPECTED: Final = "logged_model.evaluation.expected"  # what should come out of the row, as text or JSON
EVALUATION_GROUP: Final = "logged_model.evaluation.group"  # rows that belong together, where that is not the row itself
# The conversation that a span is a turn of, under the conventions' name. A result with it judges the conversation.
CONVERSATION: Final = "gen_ai.conversation.id"
EVALUATION_TURNS: Final = "logged_model.evaluation.turns"  # the traces of the conversation that a result judges
EVALUATION_TAG_PREFIX: Final = "logged_model.evaluation.tag."
EVALUATION_SCORER: Final = "logged_model.evaluation.scorer"

# The assessment that a result belongs to. The newest result of one counts, and a result without a value takes it away.
EVALUATION_ASSESSMENT: Final = "logged_model.evaluation.assessment"
# Names of spans that tag a trace later, and that say what should have come out of it.
TRACE_TAG: Final = "logged_model.trace_tag"
EXPECTATION: Final = "logged_model.expectation"
# What should have come out, as JSON: of a record `logged_model.expectation`.
EXPECTATION_VALUE: Final = "logged_model.expectation.value"
# The run that a row or a result belongs to: its id, and what it is called.
EVALUATION_RUN: Final = "logged_model.evaluation.run"
EVALUATION_RUN_NAME: Final = "logged_model.evaluation.run_name"

# The record of a run: a span of this name, with this event.
RUN_RECORD: Final = "logged_model.run"
RUN_EVENT: Final = "run"
RUN_STATUS: Final = "logged_model.run.status"
RUN_STARTED_AT: Final = "logged_model.run.started_at"
RUN_ROWS: Final = "logged_model.run.rows"
RUN_ROWS_FAILED: Final = "logged_model.run.rows_failed"
RUN_ROWS_TOTAL: Final = "logged_model.run.rows_total"
RUN_SCORERS: Final = "logged_model.run.scorers"
RUN_SCORER_ERRORS: Final = "logged_model.run.scorer_errors"
RUN_METRICS: Final = "logged_model.run.metrics"

# A row of a data set: a span of this name, with the row as JSON. Without that, the row was taken away.
DATASET_ROW: Final = "logged_model.dataset_row"
DATASET_VALUES: Final = "logged_model.dataset_row.values"

# The Collector's probabilistic sampler and several vendors' agents honour this older OpenTracing attribute.
SAMPLING_PRIORITY: Final = "sampling.priority"
