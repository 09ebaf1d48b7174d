// SPDX-License-Identifier: Apache-2.0

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a program in Java does while it is traced. Its arguments: a protocol, which the environment says too, and the time
 * of a clock that is late, in milliseconds. It prints what it sent, a span's ids by its name.
 */
public final class Sender {
  public static void main(String[] arguments) {
    Instant late = Instant.ofEpochMilli(Long.parseLong(arguments[1]));
    var sdk = AutoConfiguredOpenTelemetrySdk.initialize().getOpenTelemetrySdk();
    Tracer tracer = sdk.getTracer("sender");

    Span root =
        tracer
            .spanBuilder("request")
            .setSpanKind(SpanKind.SERVER)
            .setAttribute("cut", "x".repeat(19) + "\uD83D\uDE00")
            .setAttribute("half of a character", "x\uD83D")
            .setAttribute("long", "y".repeat(200_000))
            .setAttribute("least", Long.MIN_VALUE)
            .setAttribute("half", 0.5)
            .setAttribute("yes", true)
            .setAttribute(AttributeKey.stringArrayKey("texts"), List.of("a", "\uD83D\uDE00"))
            .setAttribute(AttributeKey.longArrayKey("numbers"), List.of(1L, 2L))
            .setAttribute("empty", "")
            .startSpan();
    Context inside = Context.root().with(root);
    Span failing = tracer.spanBuilder("fails").setParent(inside).startSpan();
    failing.recordException(new IllegalStateException("it broke"));
    failing.setStatus(StatusCode.ERROR, "it broke");
    failing.end();
    Span behind =
        tracer
            .spanBuilder("late")
            .setParent(inside)
            .setSpanKind(SpanKind.CLIENT)
            .setStartTimestamp(late)
            .addLink(failing.getSpanContext())
            .startSpan();
    behind.end(late.plusMillis(250));
    root.end();
    sdk.shutdown().join(30, TimeUnit.SECONDS);

    System.out.println(
        Stream.of("request:" + ids(root), "fails:" + ids(failing), "late:" + ids(behind))
            .map(entry -> entry.replaceFirst("(\\w+):", "\"$1\": "))
            .collect(Collectors.joining(", ", "{", "}")));
  }

  private static String ids(Span span) {
    var context = span.getSpanContext();
    return "{\"traceId\": \"" + context.getTraceId() + "\", \"spanId\": \"" + context.getSpanId() + "\"}";
  }
}
