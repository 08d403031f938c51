"""beorn, the way in (Flask): takes an order for a circuit, asks palantir what it is made of, lets arda build it.

    beorn.py PORT PALANTIR_URL ARDA_URL
"""

import sys
import uuid

import requests
from flask import Flask, jsonify, request
from opentelemetry import context, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

import telemetry

port, palantir, arda = int(sys.argv[1]), sys.argv[2], sys.argv[3]
logger = telemetry.start("beorn")
tracer = trace.get_tracer("beorn")
app = Flask("beorn")
FlaskInstrumentor().instrument_app(app, excluded_urls="health")
RequestsInstrumentor().instrument()


@app.get("/health")
def health():
    return "well"


@app.post("/circuits")
def order():
    ids = {key: request.json[key] for key in telemetry.IDS if key in request.json}
    ids["request_id"] = str(uuid.uuid4())
    token = telemetry.carry(ids)
    try:
        logger.info("order for circuit %s", ids["circuit_id"])
        with tracer.start_as_current_span("check order") as span:
            span.add_event("checked", {"rules": 3})
        product = requests.get(f"{palantir}/products/{ids['product_id']}", timeout=30).json()
        built = requests.post(f"{arda}/build", json={"parts": product["parts"]}, timeout=30)
        if built.status_code != 200:
            logger.error("circuit %s cannot be built: %s", ids["circuit_id"], built.json()["detail"])
            return jsonify(request_id=ids["request_id"], error=built.json()["detail"]), 502
        return jsonify(request_id=ids["request_id"], **built.json())
    finally:
        context.detach(token)


app.run("127.0.0.1", port, threaded=True)
