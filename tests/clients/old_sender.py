"""Sends spans with packages that are no longer made but still run: old_sender.py KIND SERVICE PORTS COUNT

KIND is one of the functions below, PORTS a JSON object of doors. Runs in an environment of its own
(requirements_old.txt), since these packages want an old protobuf. Prints a trace id a line.
"""

import json
import sys
import time

kind, service, ports, count = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
HOST = "127.0.0.1"


def address(door, path=""):
    return f"http://{HOST}:{ports[door]}{path}"


def jaeger_client():
    """OpenTracing's API; packets of Thrift compact to the agent, sampling asked from the agent."""
    from jaeger_client import Config
    from opentracing import child_of, follows_from
    from opentracing.ext import tags

    agent = {"reporting_host": HOST, "reporting_port": ports["jaeger_thrift_compact"]}
    agent["sampling_port"] = ports["jaeger_sampling"]
    settings = {"local_agent": agent, "logging": False, "reporter_batch_size": 10, "reporter_flush_interval": 0.1}
    settings["sampling_refresh_interval"] = 1
    tracer = Config(config=settings, service_name=service, validate=True).initialize_tracer()
    sampled, end = 0, time.monotonic() + 20
    # The sampler is remote: until it has asked, it records one trace in a thousand.
    while sampled < 3 and time.monotonic() < end:
        span = tracer.start_span("warm up")
        sampled = sampled + 1 if span.is_sampled() else 0
        time.sleep(0.05)
    if sampled < 3:
        sys.exit("the remote sampler never took what it was told")
    ids = []
    before = tracer.start_span("earlier")
    for i in range(count):
        root = tracer.start_span("order")
        root.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_SERVER)
        for key, value in (("text", "naïve"), ("truth", True), ("number", i), ("double", 0.5)):
            root.set_tag(key, value)
        child = tracer.start_span("pay", references=[child_of(root.context), follows_from(before.context)])
        child.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_CLIENT)
        child.set_tag(tags.ERROR, True)
        child.log_kv({"event": "retry", "attempt": 2})
        child.finish()
        root.finish()
        ids.append(f"{root.trace_id:032x}")
    before.finish()
    closing, end = tracer.close(), time.monotonic() + 10
    while not closing.done() and time.monotonic() < end:
        time.sleep(0.05)
    return ids


def sdk(exporter):
    """OpenTelemetry's SDK with one of its old exporters."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

    provider = TracerProvider(resource=Resource.create({"service.name": service, "host.name": "pi"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("clients", "1.5")
    ids = []
    attributes = {"text": "naïve", "truth": True, "double": 0.5, "list": ["a", "b"]}
    for i in range(count):
        link = Link(SpanContext(trace_id=i + 1, span_id=77, is_remote=True))
        with tracer.start_as_current_span("order", attributes=attributes, kind=SpanKind.SERVER, links=[link]) as root:
            root.set_attribute("number", i)
            with tracer.start_as_current_span("pay", kind=SpanKind.CLIENT) as child:
                child.add_event("retry", {"attempt": 2})
                child.set_status(Status(StatusCode.ERROR, "no money"))
            ids.append(f"{root.get_span_context().trace_id:032x}")
    if not provider.force_flush():
        sys.exit("not everything was taken")
    provider.shutdown()
    return ids


def jaeger_udp():
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    port = ports["jaeger_thrift_compact"]
    return sdk(JaegerExporter(agent_host_name=HOST, agent_port=port, udp_split_oversized_batches=True))


def jaeger_http():
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    return sdk(JaegerExporter(collector_endpoint=address("jaeger_thrift_http", "/api/traces?format=jaeger.thrift")))


def jaeger_grpc():
    from opentelemetry.exporter.jaeger.proto.grpc import JaegerExporter

    return sdk(JaegerExporter(collector_endpoint=f"{HOST}:{ports['jaeger_grpc']}", insecure=True))


def zipkin_json():
    from opentelemetry.exporter.zipkin.json import ZipkinExporter

    return sdk(ZipkinExporter(endpoint=address("zipkin", "/api/v2/spans")))


def zipkin_json_v1():
    from opentelemetry.exporter.zipkin.encoder import Protocol
    from opentelemetry.exporter.zipkin.json import ZipkinExporter

    # Without a length its encoder fails.
    endpoint = address("zipkin", "/api/v1/spans")
    return sdk(ZipkinExporter(version=Protocol.V1, endpoint=endpoint, max_tag_value_length=256))


def zipkin_protobuf():
    from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter

    return sdk(ZipkinExporter(endpoint=address("zipkin", "/api/v2/spans")))


print("\n".join(globals()[kind]()))
