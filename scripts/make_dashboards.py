# SPDX-License-Identifier: Apache-2.0
"""Writes the dashboards of dashboards/ with Grafana's own SDK, or with --check says if they are current.

    .venv/tools/bin/python scripts/make_dashboards.py

The SDK has every type of Grafana's schema, so that what is made here opens there. Queries of ClickHouse are written for
the plugin `grafana-clickhouse-datasource`, which the SDK does not know: a test runs each.
"""

import argparse
import json
import pathlib
import sys
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef, DynamicConfigValue, VariableHide, VariableRefresh

FOLDER: Final = pathlib.Path(__file__).resolve().parent.parent / "dashboards"
_CLICKHOUSE: Final = DataSourceRef(type_val="grafana-clickhouse-datasource", uid="${datasource}")
_PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Which entry spans a panel is about. A version is its name and the last eight digits of its id, as everywhere.
_SPANS: Final = '"${database}".otel_traces'
_VERSION: Final = "concat(names[toString(LoggedModelId)], ' ', right(LoggedModelId, 8))"
# Not every entry span says the name of its version.
_NAMES: Final = (
    "WITH (SELECT mapFromArrays(groupArray(id), groupArray(name)) FROM (SELECT toString(LoggedModelId) AS id,"
    f" toString(max(LoggedModelName)) AS name FROM {_SPANS} WHERE $__timeFilter(Timestamp)"
    " AND LoggedModelRole = 'entry' GROUP BY id)) AS names "
)
_ENTRIES: Final = (
    "$__timeFilter(Timestamp) AND LoggedModelRole = 'entry'"
    " AND names[toString(LoggedModelId)] IN (${name:singlequote})"
    " AND ServiceName IN (${service:singlequote})"
)


class ClickHouse(Builder[Dataquery], Dataquery):
    """A query for ClickHouse.

    Args:
        sql: With the plugin's macros.
        is_series: Whether its first column is the time, and its second names a line.
    """

    def __init__(self, sql: str, *, is_series: bool) -> None:
        self._sql = " ".join(sql.split())
        self._is_series = is_series

    def build(self) -> Dataquery:
        """Itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As the plugin stores it."""
        return {
            "refId": "A",
            "datasource": _CLICKHOUSE,
            "editorType": "sql",
            "queryType": "timeseries" if self._is_series else "table",
            "format": 0 if self._is_series else 1,
            "rawSql": self._sql,
        }


def clickhouse() -> Any:
    """What the Collector's `clickhouse` exporter or the backend stored, once `store prepare` has seen it."""
    made = _begun("LoggedModel versions in ClickHouse", "otel-loggedmodel-clickhouse", "grafana-clickhouse-datasource")
    made.with_variable(
        dashboard.TextBoxVariable("database").label("Database").default_value("default").hide(VariableHide.DONT_HIDE)
    )
    for name, label, column in (("name", "Name", "LoggedModelName"), ("service", "Service", "ServiceName")):
        query = (
            f"SELECT DISTINCT {column} FROM {_SPANS} WHERE LoggedModelRole = 'entry'"
            f" AND Timestamp > now() - toIntervalDay(30) ORDER BY {column}"
        )
        made.with_variable(_several(name, label, query, _CLICKHOUSE))
    made.with_panel(
        _table("Versions", "Of the traces that began in this time. What is better, otel-loggedmodel compare tells.")
        .with_target(
            ClickHouse(
                f"""{_NAMES}SELECT {_VERSION} AS version, uniqExact(TraceId) AS traces,
                countIf(StatusCode = 'Error') / count() AS error_rate,
                quantile(0.5)(Duration) / 1e9 AS p50, quantile(0.95)(Duration) / 1e9 AS p95, max(Timestamp) AS last_seen
                FROM {_SPANS} WHERE {_ENTRIES} GROUP BY version ORDER BY last_seen DESC LIMIT 100""",
                is_series=False,
            )
        )
        .datasource(_CLICKHOUSE)
        .override_by_name("error_rate", [DynamicConfigValue("unit", "percentunit")])
        .override_by_name("p50", [DynamicConfigValue("unit", "s")])
        .override_by_name("p95", [DynamicConfigValue("unit", "s")])
    )
    for title, unit, value in (
        ("Traces", "short", "uniqExact(TraceId)"),
        ("Error rate", "percentunit", "countIf(StatusCode = 'Error') / count()"),
        ("Latency, median", "s", "quantile(0.5)(Duration) / 1e9"),
        ("Latency, 95 of 100 are faster", "s", "quantile(0.95)(Duration) / 1e9"),
    ):
        query = (
            f"{_NAMES}SELECT $__timeInterval(Timestamp) AS time, {_VERSION} AS version, {value} AS value"
            f" FROM {_SPANS} WHERE {_ENTRIES} GROUP BY time, version ORDER BY time"
        )
        made.with_panel(_lines(title, unit).datasource(_CLICKHOUSE).with_target(ClickHouse(query, is_series=True)))
    scores = f"""SELECT $__timeInterval(Timestamp) AS time,
        concat(SpanAttributes['gen_ai.evaluation.name'], ', ', right(LoggedModelId, 8)) AS score,
        avg(toFloat64OrNull(SpanAttributes['gen_ai.evaluation.score.value'])) AS value
        FROM {_SPANS} WHERE $__timeFilter(Timestamp) AND LoggedModelRole = 'evaluation'
        GROUP BY time, score HAVING value IS NOT NULL ORDER BY time"""
    made.with_panel(_lines("Scores", "short").datasource(_CLICKHOUSE).with_target(ClickHouse(scores, is_series=True)))
    failures = f"""{_NAMES}SELECT {_VERSION} AS version, LoggedModelError AS error, LoggedModelRoute AS route,
        count() AS traces, max(Timestamp) AS last_seen FROM "${{database}}".otel_traces_counted
        WHERE {_ENTRIES} AND LoggedModelError != '' GROUP BY version, error, route ORDER BY traces DESC LIMIT 50"""
    made.with_panel(
        _table("Failures", "What entry spans failed with.")
        .datasource(_CLICKHOUSE)
        .with_target(ClickHouse(failures, is_series=False))
    )
    activations = f"""SELECT $__timeInterval(Timestamp) AS time,
        concat(SpanAttributes['logged_model.name'], ' ', right(LoggedModelId, 8), ', ', ServiceName) AS version,
        count() AS value FROM {_SPANS} WHERE $__timeFilter(Timestamp)
        AND SpanAttributes['logged_model.event'] = 'activated' GROUP BY time, version ORDER BY time"""
    made.with_panel(
        _lines("Activations", "short").datasource(_CLICKHOUSE).with_target(ClickHouse(activations, is_series=True))
    )
    return made.build()


def collector() -> Any:
    """What collector-config.yaml measures of each version, as Prometheus scrapes it."""
    made = _begun("LoggedModel versions at the Collector", "otel-loggedmodel-collector", "prometheus")
    for name, label in (("logged_model_name", "Name"), ("service_name", "Service")):
        query = f"label_values(logged_model_calls_total, {name})"
        made.with_variable(_several(name, label, query, _PROMETHEUS))
    chosen = 'logged_model_name=~"$logged_model_name", service_name=~"$service_name"'
    by = "logged_model_name, logged_model_id"
    failed = f'logged_model_calls_total{{{chosen}, status_code="STATUS_CODE_ERROR"}}'
    calls = f"logged_model_calls_total{{{chosen}}}"
    seconds = f"logged_model_duration_seconds_bucket{{{chosen}}}"
    for title, unit, expression in (
        ("Requests a second", "reqps", f"sum by ({by}) (rate({calls}[$__rate_interval]))"),
        (
            "Error rate",
            "percentunit",
            f"(sum by ({by}) (rate({failed}[$__rate_interval])) or 0 * sum by ({by}) (rate({calls}[$__rate_interval])))"
            f" / sum by ({by}) (rate({calls}[$__rate_interval]))",
        ),
        (
            "Latency, median",
            "s",
            f"histogram_quantile(0.5, sum by (le, {by}) (rate({seconds}[$__rate_interval])))",
        ),
        (
            "Latency, 95 of 100 are faster",
            "s",
            f"histogram_quantile(0.95, sum by (le, {by}) (rate({seconds}[$__rate_interval])))",
        ),
    ):
        target = prometheus.Dataquery().expr(expression).legend_format("{{logged_model_name}} {{logged_model_id}}")
        made.with_panel(_lines(title, unit).datasource(_PROMETHEUS).with_target(target.datasource(_PROMETHEUS)))
    overflow = prometheus.Dataquery().expr(
        'sum(rate(logged_model_calls_total{otel_metric_overflow="true"}[1h])) or vector(0)'
    )
    made.with_panel(
        stat.Panel()
        .title("Requests a second without a version")
        .description("Counted together, as there are more combinations of labels than the Collector's limit.")
        .unit("reqps")
        .height(8)
        .span(12)
        .datasource(_PROMETHEUS)
        .with_target(overflow.datasource(_PROMETHEUS))
    )
    return made.build()


def _begun(title: str, uid: str, kind: str) -> dashboard.Dashboard:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type(kind)
    made = dashboard.Dashboard(title).uid(uid).tags(["opentelemetry", "genai"]).time("now-24h", "now").refresh("1m")
    return made.timezone("browser").with_variable(source)


def _several(name: str, label: str, query: str, source: DataSourceRef) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(source)
    return variable.multi(True).include_all(True).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _lines(title: str, unit: str) -> timeseries.Panel:
    return timeseries.Panel().title(title).unit(unit).min(0).height(8).span(12)


def _table(title: str, description: str) -> table.Panel:
    return table.Panel().title(title).description(description).height(8).span(24)


def main() -> int:
    """Write or check, as the command line says."""
    parser = argparse.ArgumentParser(description="Write the dashboards for Grafana.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if one is out of date")
    check = parser.parse_args().check
    stale = []
    for name, made in (("clickhouse", clickhouse()), ("collector", collector())):
        path = FOLDER / f"{name}.json"
        text = json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(made)), indent=2, sort_keys=True) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"dashboards/ is not what scripts/make_dashboards.py makes: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
