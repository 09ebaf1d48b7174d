// SPDX-License-Identifier: Apache-2.0

//! What a program in Rust does while it is traced. Its arguments: a protocol, and the time of a clock that is late, in
//! milliseconds. It prints what it sent, a span's ids by its name.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let protocol = if arguments[1] == "http/json" { Protocol::HttpJson } else { Protocol::HttpBinary };
    let late = SystemTime::UNIX_EPOCH + Duration::from_millis(arguments[2].parse().unwrap());
    let exporter = SpanExporter::builder().with_http().with_protocol(protocol).build().unwrap();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let tracer = provider.tracer("sender");

    let root = tracer
        .span_builder("request")
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("cut", "x".repeat(19) + "\u{1f600}"),
            KeyValue::new("long", "y".repeat(200_000)),
            KeyValue::new("least", i64::MIN),
            KeyValue::new("half", 0.5),
            KeyValue::new("yes", true),
            KeyValue::new("texts", Value::Array(Array::String(vec!["a".into(), "\u{1f600}".into()]))),
            KeyValue::new("numbers", Value::Array(Array::I64(vec![1, 2]))),
            KeyValue::new("empty", ""),
        ])
        .start(&tracer);
    let root_context = root.span_context().clone();
    let inside = Context::new().with_span(root);
    let mut failing = tracer.start_with_context("fails", &inside);
    failing.record_error(&std::io::Error::other("it broke"));
    failing.set_status(Status::error("it broke"));
    failing.end();
    let failing_context = failing.span_context().clone();
    let mut behind = tracer
        .span_builder("late")
        .with_kind(SpanKind::Client)
        .with_start_time(late)
        .with_links(vec![Link::with_context(failing_context.clone())])
        .start_with_context(&tracer, &inside);
    let late_context = behind.span_context().clone();
    behind.end_with_timestamp(late + Duration::from_millis(250));
    inside.span().end();
    provider.shutdown().unwrap();

    let told: Vec<String> = [("request", root_context), ("fails", failing_context), ("late", late_context)]
        .iter()
        .map(|(name, context)| in_json(name, context))
        .collect();
    println!("{{{}}}", told.join(", "));
}

fn in_json(name: &str, context: &SpanContext) -> String {
    format!(r#""{name}": {{"traceId": "{}", "spanId": "{}"}}"#, context.trace_id(), context.span_id())
}
