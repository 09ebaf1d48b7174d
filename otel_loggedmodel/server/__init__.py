# SPDX-License-Identifier: Apache-2.0
"""The backend: takes traces as OTLP, puts them into a store, and answers questions about them as JSON.

`settings` says what can be chosen and `running` runs it. A request goes through `otlp_http` or `otlp_grpc`, `intake`,
`decoding` and `batching` to a `store.writing.SpanWriter`; a question goes through `api` to a `store.reading.Reader`.
"""
