# SPDX-License-Identifier: Apache-2.0
"""Which log records of a request are kept, and whether they may be stored as they are.

Most log records say nothing of any version. These are kept only if somebody asks for it. By default a record is kept if
it or its resource has a version, or if it is an event that is read here (`conventions.log_events`).
"""

from functools import partial
from typing import Any, Final

from otel_loggedmodel.attributes import ID
from otel_loggedmodel.conventions import log_events
from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.checking import Check, Checked, checked
from otel_loggedmodel.server.log_repairing import LogRepairs
from otel_loggedmodel.server.repairing import EARLIEST_NS, NO_SPAN_ID, NO_TRACE_ID
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.shapes import LOG_RECORDS

_ID_BYTES: Final = ID.encode()
_NAME_BYTES: Final = log_events.NAME_ATTRIBUTE.encode()


def check_logs(body: bytes, settings: Settings, now_ns: int, account: Account | None = None) -> Checked:
    """See what of a request with log records is to be stored, and make it so that it can be.

    Args:
        body: A serialized `ExportLogsServiceRequest`.
        settings: The limits, and whether all records are kept.
        now_ns: The time, since the epoch.
        account: What was removed and changed before, if anything.

    Raises:
        RefusalError: It is no such request, or storing it takes too much memory.
    """
    account = Account() if account is None else account
    return checked(body, settings, account, LOG_RECORDS, partial(_LogCheck, settings, now_ns, account, body))


class _LogCheck(Check):
    def __init__(
        self, settings: Settings, now_ns: int, account: Account, body: bytes, request: Any, may_be_large: bool
    ) -> None:
        super().__init__(settings, now_ns, request, may_be_large, LOG_RECORDS.plural)
        self._now_ns = now_ns
        self._account = account
        self._keeps_all = settings.keep_all_logs
        # Looking through the attributes of each record takes longer than all else. If these bytes are nowhere in the
        # request, there is no need to.
        self._may_have_ids = _ID_BYTES in body
        self._may_have_names = _NAME_BYTES in body
        self.repairs = LogRepairs(settings, self._latest_ns, account, may_be_large=may_be_large)

    def run(self) -> None:
        """Leave out what is not kept, change the rest so that it may be stored, and weigh it."""
        weight = self.weight
        for resource_logs in self._request.resource_logs:
            resource = resource_logs.resource
            if not self._has_sound_attributes(resource):
                self.repairs.repair_attributes(resource)
            self.repairs.make_texts(resource)
            resource_size = len(resource.SerializePartialToString()) + len(resource_logs.schema_url)
            keeps_all = self._keeps_all or (
                self._may_have_ids and any(attribute.key == ID for attribute in resource.attributes)
            )
            for scope_logs in resource_logs.scope_logs:
                if not keeps_all:
                    self._leave_out(scope_logs)
                scope = scope_logs.scope
                if not self._has_sound_attributes(scope):
                    self.repairs.repair_scope(scope)
                self.repairs.make_texts(scope)
                before = weight.parts
                for record in scope_logs.log_records:
                    self._check_record(record)
                records = len(scope_logs.log_records)
                self.repairs.make_texts_of_all(scope_logs, "log_records", weight.parts - before + records)
                weight.spans += records
                scope_size = len(scope.SerializePartialToString()) + len(scope_logs.schema_url)
                weight.repeated += records * (resource_size + scope_size)

    def _leave_out(self, scope_logs: Any) -> None:
        records = scope_logs.log_records
        kept = [record for record in records if self._is_kept(record)]
        if len(kept) == len(records):
            return
        self._account.rejected["not_kept"] += len(records) - len(kept)
        left = type(scope_logs)(log_records=kept)
        del records[:]
        records.MergeFrom(left.log_records)

    def _is_kept(self, record: Any) -> bool:
        if record.event_name in log_events.READ:
            return True
        if not self._may_have_ids and not self._may_have_names:
            return False
        # Our own processor writes the id last.
        for attribute in reversed(record.attributes):
            key = attribute.key
            if key == ID:
                return True
            if key == log_events.NAME_ATTRIBUTE and attribute.value.string_value in log_events.READ:
                return True
        return False

    def _check_record(self, record: Any) -> None:
        if not self._is_sound(record):
            self.repairs.repair_record(record, self._now_ns)
        self.weight.parts += len(record.attributes)

    def _is_sound(self, record: Any) -> bool:
        trace_id, span_id = record.trace_id, record.span_id
        has_ids = (
            len(trace_id) == 16 and len(span_id) == 8 and trace_id != NO_TRACE_ID and span_id != NO_SPAN_ID
        ) or not (trace_id or span_id)
        return (
            has_ids
            and EARLIEST_NS <= (record.time_unix_nano or record.observed_time_unix_nano) <= self._latest_ns
            and len(record.attributes) <= self._max_attributes
            and not (self._may_be_large and len(record.SerializePartialToString()) > self._max_bytes)
        )
