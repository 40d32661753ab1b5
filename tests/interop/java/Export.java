import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributesBuilder;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Exports spans with OpenTelemetry's SDK for Java, and prints what became of each batch as one line of JSON. With {@code agent} it
 * makes the same spans through the API alone, for the agent to export.
 *
 * <p>{@code Export jdk|okhttp|agent ORDER}: ORDER is that of {@code ../clients/mod.rs}. Endpoint, key, compression and service name
 * come from the variables of OpenTelemetry.
 */
final class Export {
  private static final SpanKind[] KINDS = {
    SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER
  };

  /** Longer than any exporter goes on. */
  private static final long PATIENCE_SECONDS = 120;

  /** Hands batches on to the real exporter, and remembers what became of them. */
  private static final class Recorder implements SpanExporter {
    final List<String> batches = Collections.synchronizedList(new ArrayList<>());
    private final SpanExporter exporter;

    Recorder(SpanExporter exporter) {
      this.exporter = exporter;
    }

    @Override
    public CompletableResultCode export(Collection<SpanData> spans) {
      long start = System.nanoTime();
      CompletableResultCode result = exporter.export(spans);
      result.whenComplete(
          () -> {
            double seconds = (System.nanoTime() - start) / 1e9;
            batches.add("{\"exported\":" + result.isSuccess() + ",\"seconds\":" + seconds + "}");
          });
      return result;
    }

    @Override
    public CompletableResultCode flush() {
      return exporter.flush();
    }

    @Override
    public CompletableResultCode shutdown() {
      return exporter.shutdown();
    }
  }

  public static void main(String[] arguments) throws InterruptedException {
    String order = arguments[1];
    int batches = number(order, "batches");
    if (arguments[0].equals("agent")) {
      for (int batch = 0; batch < batches; batch++) {
        makeSpans(GlobalOpenTelemetry.get(), order);
        // Longer than OTEL_BSP_SCHEDULE_DELAY: only the agent could flush.
        Thread.sleep(500);
      }
      return;
    }
    List<Recorder> recorders = new ArrayList<>();
    var sdk =
        AutoConfiguredOpenTelemetrySdk.builder()
            .addSpanExporterCustomizer(
                (exporter, config) -> {
                  recorders.add(new Recorder(exporter));
                  return recorders.get(0);
                })
            .build()
            .getOpenTelemetrySdk();
    for (int batch = 0; batch < batches; batch++) {
      makeSpans(sdk, order);
      sdk.getSdkTracerProvider().forceFlush().join(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }
    sdk.shutdown().join(PATIENCE_SECONDS, TimeUnit.SECONDS);
    System.out.println(recorders.get(0).batches);
    // Threads of a client may linger.
    System.exit(0);
  }

  private static void makeSpans(OpenTelemetry openTelemetry, String order) {
    Tracer tracer = openTelemetry.tracerBuilder("interop").setInstrumentationVersion("1.2.3").build();
    AttributesBuilder attributes =
        Attributes.builder()
            .put("text", "ü")
            .put("int", -5)
            .put("double", 0.25)
            .put("bool", true)
            .put(AttributeKey.stringArrayKey("list"), "a", "b");
    int padding = number(order, "padding");
    if (padding > 0) {
      attributes.put("padding", "x".repeat(padding));
    }
    SpanContext linked =
        SpanContext.createFromRemoteParent(
            "0102030405060708090a0b0c0d0e0f10", "0102030405060708", TraceFlags.getDefault(), TraceState.getDefault());
    Instant start = Instant.now();
    Instant firstStart = start.plus(Duration.ofDays(number(order, "ahead_days")));
    Span root =
        tracer
            .spanBuilder("span 1")
            .setSpanKind(KINDS[0])
            .setStartTimestamp(firstStart)
            .setNoParent()
            .setAllAttributes(attributes.build())
            .addLink(linked, Attributes.builder().put("l", 2).build())
            .startSpan();
    root.addEvent("happened", Attributes.builder().put("e", 1).build());
    Context below = Context.root().with(root);
    for (int n = 2; n <= KINDS.length; n++) {
      Span span =
          tracer.spanBuilder("span " + n).setSpanKind(KINDS[n - 1]).setParent(below).setStartTimestamp(start).startSpan();
      if (n == 2) {
        span.setStatus(StatusCode.ERROR, "bad");
      }
      span.end(start.plusMillis(1));
    }
    root.end(firstStart.plusMillis(2));
  }

  private static int number(String order, String name) {
    Matcher matcher = Pattern.compile("\"" + name + "\":(\\d+)").matcher(order);
    return matcher.find() ? Integer.parseInt(matcher.group(1)) : 0;
  }
}
