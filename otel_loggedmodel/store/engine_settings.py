# SPDX-License-Identifier: Apache-2.0
"""How ClickHouse is to work for us: the configuration of the embedded engine, and the settings of statements."""

from typing import Final

CONFIGURATION_NAME: Final = "otel-loggedmodel.xml"
# The embedded engine overlooks errors of writing, even of a full disk. What it acknowledges or merges after one is
# broken. So it stops while some space is left.
_KEEP_FREE_BYTES: Final = 256 * 1024 * 1024
# Many small inserts are merged again and again. Merging four times as many parts at a time as by default saves a fifth
# of the processor time that receiving spans takes, and leaves some more parts to be read.
_PARTS_OF_A_MERGE: Final = 20
# A part that is smaller in memory has one file for all columns instead of some 120. An insert under load makes parts of
# some 12 MB, and making so many files takes as long as writing what is in them.
_ONE_FILE_BELOW_BYTES: Final = 32 * 1024 * 1024
CONFIGURATION: Final = f"""\
<clickhouse>
    <storage_configuration>
        <disks><default><keep_free_space_bytes>{_KEEP_FREE_BYTES}</keep_free_space_bytes></default></disks>
    </storage_configuration>
    <backups><allowed_path>/</allowed_path></backups>
    <merge_tree>
        <merge_selector_base>{_PARTS_OF_A_MERGE}</merge_selector_base>
        <min_bytes_for_wide_part>{_ONE_FILE_BELOW_BYTES}</min_bytes_for_wide_part>
    </merge_tree>
</clickhouse>
"""

# ClickHouse remembers which parts of a table have no row that meets a condition, and takes one condition for another:
# rows that meet it were left out, after the same question with other parameters.
ALWAYS: Final = {"use_query_condition_cache": 0}
# The engine compiles to native code what a process asks for the fourth time, once for each expression. For a comparison
# of versions that takes half a second, and answers no sooner. A server that many ask has other reasons.
NOT_COMPILED: Final = {"compile_expressions": 0, "compile_aggregate_expressions": 0, "compile_sort_description": 0}
# What the analysis of large expressions may leave out.
QUICKLY_ANALYSED: Final = {
    # Looking for chains of comparisons hashes, at each AND, a column with the whole query that it comes from. For a
    # comparison of versions that is two thirds of the time of the analysis.
    "optimize_and_compare_chain": 0,
    # Merging the steps of a comparison of versions takes a fifth of its fixed time, and saves little of the rest.
    "query_plan_merge_expressions": 0,
}
# Of a statement with this comment, columns are worked out of spans as they are read. With a condition, these are worked
# out of the spans that meet it alone only if steps of the plan are merged. That saves far more than the analysis takes.
WORKED_OUT: Final = "/* worked out of spans */"
READ_SETTINGS: Final = {
    # Nobody can cancel a query, so it ends by itself.
    "max_execution_time": 120,
    # Tuples are cast by place. If they had names, they would be cast by name.
    "enable_named_columns_in_function_tuple": 0,
    **QUICKLY_ANALYSED,
    **ALWAYS,
}


def of_reading(sql: str) -> dict[str, int]:
    """The settings of a statement that reads."""
    return {**READ_SETTINGS, "query_plan_merge_expressions": 1} if WORKED_OUT in sql else READ_SETTINGS
