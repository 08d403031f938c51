"""Sends logs, metrics and spans with the OpenTelemetry SDK: sdk.py (grpc|http) ENDPOINT SERVICE COUNT

A process of its own, because the SDK's providers are global. Prints the trace ids it made, one a line, after every
exporter has said that all of it was taken.
"""

import logging
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, endpoint, service, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
logging.basicConfig(level=logging.WARNING)

if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def options(_):
        return {"endpoint": endpoint, "insecure": True}
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def options(signal):
        return {"endpoint": f"{endpoint}/v1/{signal}", "compression": Compression.Gzip}


resource = Resource.create({"service.name": service, "service.version": "1.2.3"})

tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**options("traces"))))
tracer = tracers.get_tracer("clients")
trace_ids = []
for i in range(count):
    with tracer.start_as_current_span("order", attributes={"order.number": i}) as root:
        with tracer.start_as_current_span("pay"):
            pass
        trace_ids.append(f"{root.get_span_context().trace_id:032x}")

meters = MeterProvider(
    resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter(**options("metrics")))]
)
meter = meters.get_meter("clients")
orders = meter.create_counter("orders", unit="1")
latency = meter.create_histogram("latency", unit="s")
for i in range(count):
    orders.add(1, {"kind": "new" if i % 2 else "old"})
    latency.record(i / count)

loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**options("logs"))))
logger = loggers.get_logger("clients")
for i in range(count):
    now = time.time_ns()
    record = LogRecord(
        timestamp=now,
        observed_timestamp=now,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=f"order {i} of {service} taken",
        attributes={"order.number": i},
    )
    logger.emit(record)

flushed = [provider.force_flush() for provider in (tracers, meters, loggers)]
for provider in (tracers, meters, loggers):
    provider.shutdown()
if not all(flushed[:2]):
    sys.exit(f"not everything was taken: {flushed}")
print("\n".join(trace_ids))
