// The owner, tokens and the machine, as Bramble tells of them. MOCK=setup has no owner, MOCK=login one who is signed out,
// MOCK=updating an update on its way.
const MIB = 1024 ** 2;
const DAY_MS = 86_400_000;

const token = (id, name, scopes, made, used) => ({
  id,
  name,
  scopes,
  created_ms: Date.now() - made * DAY_MS,
  last_used_ms: used === null ? null : Date.now() - used * DAY_MS,
});

const tokens = () => [
  token("5f10a2c4", "grafana on the desk", ["read"], 2, 0.0004),
  token("91be07d3", "vector of the summer house", ["ingest"], 41, 0.2),
  token("c03d55e8", "backup script", ["read", "admin"], 120, null),
];

function system(mode) {
  const begun = Math.floor(Date.now() / 1000) % 60;
  const update =
    mode === "updating"
      ? { state: "writing", bytes_done: begun * 1.4 * MIB, bytes_total: 84 * MIB, message: "" }
      : mode === "errors"
        ? {
            state: "failed",
            bytes_done: 0,
            bytes_total: 0,
            message: "the signature is of no key that is known here",
          }
        : { state: "idle", bytes_done: 0, bytes_total: 0, message: "" };
  return {
    appliance: mode !== "empty",
    version: "0.8.0",
    build_id: "2026-11-21 73e4760",
    slot: "A",
    slots: { A: { version: "0.8.0" }, B: { version: "0.7.2" } },
    trying: "",
    bad: mode === "errors" ? "B" : "",
    model: "Raspberry Pi 4 Model B Rev 1.4",
    uptime_seconds: 123_456,
    update,
    data_format: 1,
  };
}

/** The answer of a path of theirs, or null. */
export function owner(pathname, mode) {
  const signedIn = mode !== "setup" && mode !== "login";
  if (pathname === "/api/v1/owner")
    return {
      set: mode !== "setup",
      required: true,
      signed_in: signedIn,
      ...(signedIn ? { name: "Ada", ingest: "private" } : {}),
    };
  if (pathname === "/api/v1/session") return { signed_in: signedIn, name: signedIn ? "Ada" : "" };
  if (pathname === "/api/v1/tokens") return { tokens: mode === "empty" ? [] : tokens() };
  if (pathname === "/api/v1/system") return system(mode);
  return null;
}
