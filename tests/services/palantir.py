"""palantir (Flask) knows what products are made of, and asks arda whether the parts exist.

    palantir.py PORT ARDA_URL
"""

import sys

import requests
from flask import Flask, jsonify
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

import telemetry

port, arda = int(sys.argv[1]), sys.argv[2]
logger = telemetry.start("palantir")
app = Flask("palantir")
FlaskInstrumentor().instrument_app(app, excluded_urls="health")
RequestsInstrumentor().instrument()


@app.get("/health")
def health():
    return "well"


@app.get("/products/<product_id>")
def product(product_id):
    parts = [f"{product_id}-{part}" for part in ("port", "fibre")]
    known = [requests.get(f"{arda}/parts/{part}", timeout=30).json()["known"] for part in parts]
    logger.info("product %s has %d parts", product_id, sum(known))
    return jsonify(parts=parts)


app.run("127.0.0.1", port, threaded=True)
