#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# OpenTelemetry's SDK for Go loses a whole batch of spans when one attribute of one span is not UTF-8.
#
# Go's strings may hold any bytes, and attribute.String takes them without a word. The exporter then cannot marshal the
# request, drops it, and calls the error handler; a receiver never sees the 99 sound spans. One would guess that the SDK
# repairs the text, or leaves the attribute or its span out.
#
# Seen on 2026-11-30 with go.opentelemetry.io/otel 1.47.0 over OTLP/HTTP, gRPC alike:
#     requests received: 0
#     error: traces export: failed to marshal request body in protobuf: string field contains invalid UTF-8
#
# Needs Go 1.25 and a module proxy. Exits with 0 while that is so, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

cat > go.mod <<'MOD'
module finding

go 1.25.0

require (
	go.opentelemetry.io/otel v1.47.0
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.47.0
	go.opentelemetry.io/otel/sdk v1.47.0
)
MOD

cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	var requests atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer receiver.Close()

	var failure error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failure = err }))
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(receiver.URL+"/v1/traces"))
	if err != nil {
		panic(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter))
	for number := range 100 {
		_, span := provider.Tracer("finding").Start(ctx, "span")
		if number == 50 {
			span.SetAttributes(attribute.String("text", "caf\xc3"))
		}
		span.End()
	}
	if err := provider.Shutdown(ctx); failure == nil {
		failure = err
	}
	fmt.Println("go.opentelemetry.io/otel", otel.Version())
	fmt.Println("requests received:", requests.Load())
	fmt.Println("error:", failure)
	if requests.Load() != 0 || failure == nil {
		fmt.Println("this has changed: the sound spans are sent")
		os.Exit(1)
	}
}
GO

go mod tidy > /dev/null 2>&1
go run .
