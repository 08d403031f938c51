import { describe, expect, it } from "vitest";
import { idOf, idsInFields, idsInText, kindOf, readAsked } from "../src/correlate/ids";

const TRACE = "0af7651916cd43dd8448eb211c80319c";

describe("ids", () => {
  it.each([
    ["circuit_id", "circuit_id"],
    ["circuitId", "circuit_id"],
    ["CircuitID", "circuit_id"],
    ["circuit-id", "circuit_id"],
    ["circuit.id", "circuit_id"],
    ["X-Request-ID", "request_id"],
    ["X-B3-TraceId", "trace_id"],
    ["otelTraceID", "trace_id"],
    ["traceID", "trace_id"],
    ["context_resource_type_id", "resource_type_id"],
    ["resource_id", "resource_id"],
    ["span_id", null],
    ["id", null],
    ["paid", null],
  ])("a field %s has %s", (name, kind) => {
    expect(kindOf(name)).toBe(kind);
  });

  it("finds them in any text, once, traces first", () => {
    const found = (text: string): string[] => idsInText(text).map((id) => `${id.kind}=${id.value}`);
    expect(found(`order circuitId="C 1" failed circuit-id: C-2, trace_id=${TRACE}`)).toEqual([
      `trace_id=${TRACE}`,
      "circuit_id=C-2",
    ]);
    expect(found(`{"requestId":"r-1","nested":{"product_id": 17}}`)).toEqual([
      "request_id=r-1",
      "product_id=17",
    ]);
    expect(found(`traceparent: 00-${TRACE}-b7ad6b7169203331-01`)).toEqual([`trace_id=${TRACE}`]);
    expect(found("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1")).toEqual([
      "trace_id=80f198ee56343ba864fe8b2a57d3eff7",
    ]);
    expect(found("GET /?resource_id=7&resource_type_id=8 200")).toEqual([
      "resource_id=7",
      "resource_type_id=8",
    ]);
    expect(found("did you see the paid invoice: 4")).toEqual([]);
    expect(found(`trace_id=${"0".repeat(32)} request_id=null`)).toEqual([]);
  });

  it("takes them from fields", () => {
    expect(idsInFields({ level: "info", "X-Request-Id": "r-9", traceID: TRACE.toUpperCase() })).toEqual([
      { kind: "request_id", value: "r-9" },
      { kind: "trace_id", value: TRACE },
    ]);
    expect(idOf("trace_id", "0af76519-16cd-43dd-8448-eb211c80319c")?.value).toBe(TRACE);
    expect(idOf("trace_id", "xyz")).toBeNull();
  });

  it("understands what is pasted", () => {
    expect(readAsked("  ")).toBeNull();
    expect(readAsked(TRACE)).toEqual({ is: "id", id: { kind: "trace_id", value: TRACE } });
    expect(readAsked("circuit_id=4711")).toEqual({ is: "id", id: { kind: "circuit_id", value: "4711" } });
    expect(readAsked('"circuitId": "4711",')).toEqual({
      is: "id",
      id: { kind: "circuit_id", value: "4711" },
    });
    expect(readAsked("service=arda")).toEqual({ is: "service", service: "arda" });
    expect(readAsked(`http://pi:3000/#/trace/${TRACE}?span=1`)).toEqual({
      is: "id",
      id: { kind: "trace_id", value: TRACE },
    });
    expect(readAsked(`/#/correlations/${TRACE}-1795114800000`)).toEqual({
      is: "correlation",
      correlation: `${TRACE}-1795114800000`,
    });
    expect(readAsked("4711")).toMatchObject({ is: "value", value: "4711" });
    expect(readAsked("0af76519-16cd-43dd-8448-eb211c80319c")).toMatchObject({ is: "value" });
    expect(readAsked("what is this")).toBeNull();
  });
});
