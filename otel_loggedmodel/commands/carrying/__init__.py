# SPDX-License-Identifier: Apache-2.0
"""What `import` and `export` do between a store of ours and other files and backends, apart from how they show it.

A source gives requests of OTLP and says where it is (`framing`, `jaeger_windows`); a `Sink` checks and stores them in
batches; `positions` remembers how far a source was read once that much is stored. So a kill costs one batch at most,
which is stored once more and counted once.
"""
