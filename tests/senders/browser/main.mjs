// SPDX-License-Identifier: Apache-2.0
// A page that sends what happens in it with the SDK's own exporters.

import * as api from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web";

import { provider as documented } from "./page.mjs"; // as docs/another-language.md prints it
import { tell } from "./story.mjs";

window.sendAsDocumented = async () => {
  const span = documented.getTracer("page").startSpan("as documented");
  span.end();
  await documented.forceFlush();
  return span.spanContext().traceId;
};

window.send = async ({ encoding, url, headers, limit, lateMs }) => {
  const said = [];
  const note = (...words) => said.push(words.join(" "));
  api.diag.setLogger({ error: note, warn: note, info() {}, debug() {}, verbose() {} }, api.DiagLogLevel.WARN);
  const Exporter = encoding === "json" ? JsonExporter : ProtobufExporter;
  const provider = new WebTracerProvider({
    resource: resourceFromAttributes({ "service.name": "page", "logged_model.id": "m-page" }),
    spanLimits: limit === null ? {} : { attributeValueLengthLimit: limit },
    spanProcessors: [new BatchSpanProcessor(new Exporter({ url, headers, timeoutMillis: 8000 }))],
  });
  const told = tell(api, provider.getTracer("page"), lateMs);
  await provider.forceFlush().catch((error) => said.push(String(error)));
  await provider.shutdown().catch(() => {});
  return { told, said };
};
