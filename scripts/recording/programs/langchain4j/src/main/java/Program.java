// SPDX-License-Identifier: Apache-2.0
import com.arize.instrumentation.langchain4j.LangChain4jInstrumentor;
import dev.langchain4j.agent.tool.P;
import dev.langchain4j.agent.tool.Tool;
import dev.langchain4j.memory.chat.MessageWindowChatMemory;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.observability.api.listener.AiServiceListener;
import dev.langchain4j.observation.listener.ObservationChatModelListener;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.SystemMessage;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.micrometer.observation.ObservationRegistry;
import io.micrometer.tracing.handler.DefaultTracingObservationHandler;
import io.micrometer.tracing.otel.bridge.OtelCurrentTraceContext;
import io.micrometer.tracing.otel.bridge.OtelTracer;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Scope;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** LangChain4j with OpenAI's models: an AI service that calls a tool, and a model that streams. */
public final class Program {
  private static final String MODELS = System.getenv("MODEL_SERVER") + "/v1";

  /** What an application calls. */
  interface Assistant {
    @SystemMessage("be brief")
    String answer(String question);
  }

  /** A tool. */
  static final class Weather {
    @Tool("Weather.")
    String getWeather(@P("Where.") String city) {
      return "SUNNY-" + city;
    }
  }

  public static void main(String[] arguments) throws Exception {
    String scenario = arguments[0];
    String question = "QUESTION-" + (scenario.equals("fail") ? "FAIL" : scenario);
    try (OpenTelemetrySdk sdk = AutoConfiguredOpenTelemetrySdk.initialize().getOpenTelemetrySdk()) {
      Span span = sdk.getTracer("application").spanBuilder("answer").startSpan();
      try (Scope scope = span.makeCurrent()) {
        if (scenario.startsWith("stream")) {
          stream(question, scenario.equals("streams") ? 2 : 1, sdk);
        } else {
          ask(question, scenario, sdk);
        }
      } catch (RuntimeException error) {
        span.recordException(error);
        span.setStatus(StatusCode.ERROR);
        if (!scenario.equals("fail")) {
          throw error;
        }
        System.out.println("failed as planned: " + error);
      } finally {
        span.end();
      }
    }
  }

  private static void ask(String question, String scenario, OpenTelemetrySdk sdk) {
    var model = OpenAiChatModel.builder().baseUrl(MODELS).apiKey("none").modelName("gpt-4o").maxRetries(0);
    var service = AiServices.builder(Assistant.class).chatMemory(MessageWindowChatMemory.withMaxMessages(20));
    if (isOpenInference()) {
      for (AiServiceListener<?> listener : openInference(sdk).createAiServiceListeners()) {
        service.registerListener(listener);
      }
    } else {
      model.listeners(List.of(observation(sdk)));
    }
    if (scenario.equals("tool")) {
      service.tools(new Weather());
    }
    Assistant assistant = service.chatModel(model.build()).build();
    if (scenario.equals("turns")) {
      assistant.answer(question + "-1");
      assistant.answer(question + "-2");
    } else {
      assistant.answer(question);
    }
  }

  private static void stream(String question, int times, OpenTelemetrySdk sdk) {
    ChatModelListener listener = isOpenInference() ? openInference(sdk).createModelListener() : observation(sdk);
    var model =
        OpenAiStreamingChatModel.builder()
            .baseUrl(MODELS)
            .apiKey("none")
            .modelName("gpt-4o")
            .listeners(List.of(listener))
            .build();
    for (int time = 1; time <= times; time++) {
      ask(question, model);
    }
  }

  private static void ask(String question, StreamingChatModel model) {
    var done = new CompletableFuture<ChatResponse>();
    model.chat(
        question,
        new StreamingChatResponseHandler() {
          @Override
          public void onCompleteResponse(ChatResponse response) {
            done.complete(response);
          }

          @Override
          public void onError(Throwable error) {
            done.completeExceptionally(error);
          }
        });
    done.join();
  }

  private static boolean isOpenInference() {
    return "openinference".equals(System.getenv("INSTRUMENTED_BY"));
  }

  private static LangChain4jInstrumentor openInference(OpenTelemetrySdk sdk) {
    return LangChain4jInstrumentor.instrument(sdk.getTracerProvider());
  }

  private static ChatModelListener observation(OpenTelemetrySdk sdk) {
    var current = new OtelCurrentTraceContext();
    var tracer = new OtelTracer(sdk.getTracer("application"), current, event -> {});
    ObservationRegistry registry = ObservationRegistry.create();
    registry.observationConfig().observationHandler(new DefaultTracingObservationHandler(tracer));
    return new ObservationChatModelListener(registry, new SimpleMeterRegistry());
  }
}
