// SPDX-License-Identifier: Apache-2.0
// What a program does while it is traced: the same in Node and in a browser.

export function tell({ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, tracer, lateMs) {
  const root = tracer.startSpan("request", {
    kind: SpanKind.SERVER,
    attributes: { "cut": "x".repeat(19) + "\u{1f600}", "long": "y".repeat(200000), "whole": 9007199254740991, "beyond": 1e19,
      "half": 0.5, "yes": true, "texts": ["a", null, "\u{1f600}"], "numbers": [1, 2.5], "empty": "" },
  }, ROOT_CONTEXT);
  const inside = trace.setSpan(ROOT_CONTEXT, root);
  const failing = tracer.startSpan("fails", {}, inside);
  failing.recordException(new TypeError("it broke"));
  failing.setStatus({ code: SpanStatusCode.ERROR, message: "it broke" });
  failing.end();
  // Its clock is an hour behind.
  const late = tracer.startSpan("late", { kind: SpanKind.CLIENT, startTime: lateMs, links: [{ context: failing.spanContext() }] }, inside);
  late.end(lateMs + 250);
  root.end();
  return Object.fromEntries([root, failing, late].map((span) => [span.name, span.spanContext()]));
}
