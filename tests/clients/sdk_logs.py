"""Logs with Python's logging through the OpenTelemetry SDK's handler: sdk_logs.py (grpc|http) ENDPOINT SERVICE COUNT

A process of its own, because the SDK's providers are global. Prints the trace ids of the spans in which each line was
logged, one a line, after everything was taken.
"""

import logging
import sys

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

protocol, endpoint, service, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    exporter = OTLPLogExporter(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    exporter = OTLPLogExporter(endpoint=endpoint, compression=Compression.Gzip)

resource = {"service.name": service, "deployment.environment": "test", "k8s.namespace.name": "shop", "rack": "r7"}
provider = LoggerProvider(resource=Resource.create(resource))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = logging.getLogger("shop.orders")
logger.setLevel(logging.DEBUG)
logger.propagate = False
logger.addHandler(LoggingHandler(level=logging.DEBUG, logger_provider=provider))

tracer = TracerProvider().get_tracer("sdk_logs")
trace_ids = []
for i in range(count):
    with tracer.start_as_current_span("order") as span:
        trace_ids.append(f"{span.get_span_context().trace_id:032x}")
        logger.info("order %d taken", i, extra={"tenant_id": f"t{i % 3}", "order": i})
logger.debug("details")
logger.warning("stock is low")
try:
    raise ValueError("no such order")
except ValueError:
    logger.exception("order failed")
logger.critical("out of paper")

taken = provider.force_flush()
provider.shutdown()
if not taken:
    sys.exit("not everything was taken")
print("\n".join(trace_ids))
