// SPDX-License-Identifier: Apache-2.0
// A program in Node that is set up by its environment alone, and says things by log records: a message and two scores.
// Its argument is a protocol, which the environment says too. It prints the ids of its span.

const api = require("@opentelemetry/api");
const { NodeSDK } = require("@opentelemetry/sdk-node");

const response = `response over ${process.argv[2]}`;
const sdk = new NodeSDK();
sdk.start();
const logger = api.logs.getLogger("sender");
api.trace.getTracer("sender").startActiveSpan("chat", async (span) => {
  span.setAttribute("gen_ai.response.id", response);
  logger.emit({ eventName: "gen_ai.user.message", body: { content: "hello from Node", nested: [1, null, { a: 0.5 }] } });
  logger.emit({
    eventName: "gen_ai.evaluation.result",
    severityNumber: api.SeverityNumber.INFO,
    attributes: { "gen_ai.evaluation.name": "in context", "gen_ai.evaluation.score.value": 0.25 },
  });
  span.end();
  // Later, and nowhere near the span.
  logger.emit({
    context: api.ROOT_CONTEXT,
    eventName: "gen_ai.evaluation.result",
    attributes: {
      "gen_ai.evaluation.name": "by response",
      "gen_ai.evaluation.score.value": 1,
      "gen_ai.response.id": response,
    },
  });
  await sdk.shutdown();
  const { traceId, spanId } = span.spanContext();
  console.log(JSON.stringify({ request: { traceId, spanId } }));
});
