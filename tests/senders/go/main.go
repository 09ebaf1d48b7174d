// SPDX-License-Identifier: Apache-2.0

// What a program in Go does while it is traced. Its arguments: a protocol, and the time of a clock that is late, in
// milliseconds. It prints what it sent, a span's ids by its name.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	_ "github.com/mostynb/go-grpc-compression/zstd" // what the Collector compresses with
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

func exporter(ctx context.Context, protocol string) (*otlptrace.Exporter, error) {
	switch protocol {
	case "http/protobuf":
		return otlptracehttp.New(ctx, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	case "grpc":
		return otlptracegrpc.New(ctx)
	default: // grpc+zstd; the exporter's own option knows gzip alone
		compressor := grpc.UseCompressor(strings.TrimPrefix(protocol, "grpc+"))
		return otlptracegrpc.New(ctx, otlptracegrpc.WithDialOption(grpc.WithDefaultCallOptions(compressor)))
	}
}

func main() {
	ctx := context.Background()
	milliseconds, err := strconv.ParseInt(os.Args[2], 10, 64)
	check(err)
	late := time.UnixMilli(milliseconds)
	exporter, err := exporter(ctx, os.Args[1])
	check(err)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(check))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter))
	tracer := provider.Tracer("sender")

	inside, root := tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("cut", strings.Repeat("x", 19)+"\U0001f600"),
		attribute.String("long", strings.Repeat("y", 200000)),
		attribute.Int64("least", -9223372036854775808),
		attribute.Float64("half", 0.5),
		attribute.Bool("yes", true),
		attribute.StringSlice("texts", []string{"a", "\U0001f600"}),
		attribute.Int64Slice("numbers", []int64{1, 2}),
		attribute.String("empty", ""),
	))
	_, failing := tracer.Start(inside, "fails")
	failing.RecordError(errors.New("it broke"))
	failing.SetStatus(codes.Error, "it broke")
	failing.End()
	_, behind := tracer.Start(inside, "late", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(late),
		trace.WithLinks(trace.Link{SpanContext: failing.SpanContext()}))
	behind.End(trace.WithTimestamp(late.Add(250 * time.Millisecond)))
	root.End()
	check(provider.Shutdown(ctx))

	told := map[string]map[string]string{}
	for name, span := range map[string]trace.Span{"request": root, "fails": failing, "late": behind} {
		context := span.SpanContext()
		told[name] = map[string]string{"traceId": context.TraceID().String(), "spanId": context.SpanID().String()}
	}
	text, err := json.Marshal(told)
	check(err)
	fmt.Println(string(text))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
