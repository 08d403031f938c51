"""arda (FastAPI) has the parts and builds with them; what is named `broken` it cannot build.

    arda.py PORT
"""

import sys

import uvicorn
from fastapi import FastAPI, HTTPException
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from pydantic import BaseModel

import telemetry

port = int(sys.argv[1])
logger = telemetry.start("arda")
tracer = trace.get_tracer("arda")
app = FastAPI()
FastAPIInstrumentor.instrument_app(app, excluded_urls="health")


class Plan(BaseModel):
    parts: list[str]


@app.get("/health")
async def health():
    return "well"


@app.get("/parts/{part}")
async def known(part: str):
    return {"known": bool(part)}


@app.post("/build")
async def build(plan: Plan):
    with tracer.start_as_current_span("lay fibre") as span:
        try:
            if any("broken" in part for part in plan.parts):
                raise ValueError("no light at the far end")
        except ValueError as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            logger.error("cannot build %s: %s", baggage.get_baggage("circuit_id"), error)
            raise HTTPException(500, str(error)) from error
        logger.info("built %s", baggage.get_baggage("circuit_id"))
    return {"built": plan.parts}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
