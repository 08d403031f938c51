"""What a service does to be seen: OpenTelemetry's SDK and instrumentations, configured as its documentation says.

Business ids travel between services as W3C baggage, and a span processor puts them on every span.
"""

import logging
import os

from opentelemetry import baggage, context, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

IDS = ("circuit_id", "product_id", "resource_id", "resource_type_id", "request_id")


def exporters():
    """For spans and logs, by the protocol that the environment names."""
    if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(insecure=True), OTLPLogExporter(insecure=True)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(), OTLPLogExporter()


def start(service):
    """Sets up spans and logs of a service; returns its logger."""
    resource = Resource.create({"service.name": service, "deployment.environment": "test"})
    span_exporter, log_exporter = exporters()
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BaggageSpanProcessor(IDS.__contains__))
    tracers.add_span_processor(BatchSpanProcessor(span_exporter, schedule_delay_millis=200))
    trace.set_tracer_provider(tracers)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter, schedule_delay_millis=200))
    set_logger_provider(loggers)
    logger = logging.getLogger(service)
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=loggers))
    return logger


def carry(ids):
    """Puts ids on the current span and on everything that follows from it."""
    trace.get_current_span().set_attributes(ids)
    carried = context.get_current()
    for key, value in ids.items():
        carried = baggage.set_baggage(key, value, carried)
    return context.attach(carried)
