"""Sends every kind of metric with the OpenTelemetry SDK: sdk_metrics.py (cumulative|delta) ENDPOINT SERVICE ROUNDS

A process of its own, because the SDK's providers are global. Each round is one export. Prints the ids of the traces
during which something was measured, one a line.
"""

import sys
import time

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk import metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

temporality, endpoint, service, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
DELTA, CUMULATIVE = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE
wanted = DELTA if temporality == "delta" else CUMULATIVE
kinds = (metrics.Counter, metrics.UpDownCounter, metrics.Histogram, metrics.ObservableCounter)
exporter = OTLPMetricExporter(
    endpoint=f"{endpoint}/v1/metrics", preferred_temporality={kind: wanted for kind in kinds}
)
provider = metrics.MeterProvider(
    resource=Resource.create({"service.name": service, "service.instance.id": "one", "host.name": "pi"}),
    metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)],
    views=[View(instrument_name="answer.size", aggregation=ExponentialBucketHistogramAggregation())],
)
meter = provider.get_meter("clients", "1.0")
tracer = TracerProvider().get_tracer("clients")

observed = 0


def observe(_):
    global observed
    observed += 7
    return [Observation(observed, {"shard": "a"})]


things = meter.create_counter("things", unit="1", description="Things counted.")
level = meter.create_up_down_counter("level", unit="1")
wait = meter.create_histogram("wait", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1, 10])
size = meter.create_histogram("answer.size", unit="By")
temperature = meter.create_gauge("temperature", unit="Cel")
meter.create_observable_counter("seen", [observe])

traces = []
for i in range(rounds):
    with tracer.start_as_current_span("measured") as span:
        traces.append(f"{span.get_span_context().trace_id:032x}")
        things.add(5, {"kind": "a.b"})
        level.add(-1)
        for seconds in (0.05, 0.5, 5, 50):
            wait.record(seconds)
        for exponent in range(10):
            size.record(2**exponent)
        size.record(0)
        temperature.set(20 + i)
    if not provider.force_flush():
        sys.exit("not everything was taken")
    time.sleep(0.05)
provider.shutdown()
print("\n".join(traces))
