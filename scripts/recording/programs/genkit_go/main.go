// SPDX-License-Identifier: Apache-2.0

// Genkit for Go with its own telemetry and OpenAI's models: a flow that lets a model call a tool.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/genkit"
	"github.com/firebase/genkit/go/plugins/compat_oai/openai"
	"github.com/openai/openai-go/option"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

type place struct {
	City string `json:"city"`
}

func main() {
	ctx := context.Background()
	scenario := os.Args[1]
	question := "QUESTION-" + scenario
	if scenario == "fail" {
		question = "QUESTION-FAIL"
	}
	exporter, err := otlptracehttp.New(ctx)
	check(err)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	defer provider.Shutdown(ctx)

	models := &openai.OpenAI{APIKey: "none", Opts: []option.RequestOption{
		option.WithBaseURL(os.Getenv("MODEL_SERVER") + "/v1"), option.WithMaxRetries(0),
	}}
	g := genkit.Init(ctx, genkit.WithPlugins(models))
	weather := genkit.DefineTool(g, "get_weather", "Weather.", func(_ *ai.ToolContext, at place) (string, error) {
		return "SUNNY-" + at.City, nil
	})
	ask := genkit.DefineFlow(g, "ask", func(ctx context.Context, question string) (string, error) {
		options := []ai.GenerateOption{ai.WithModelName("openai/gpt-4o"), ai.WithSystem("be brief"),
			ai.WithPrompt(question), ai.WithTools(weather)}
		if scenario == "stream" {
			options = append(options, ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return nil }))
		}
		return genkit.GenerateText(ctx, g, options...)
	})
	answer, err := ask.Run(ctx, question)
	if err != nil && strings.Contains(question, "FAIL") {
		fmt.Println("failed as planned")
		return
	}
	check(err)
	fmt.Println(answer)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
