// Bramble's own API of the owner, sessions and tokens.
import { array, number, object, text } from "./decode";
import { getJson, sendJson } from "./http";

/** Who may send without a token, besides the machine itself. */
export type IngestRule = "private" | "token";

/** What a token may do. */
export type Scope = "read" | "ingest" | "admin";

/** Whether there is an owner, and whether it is us. */
export interface Owner {
  readonly set: boolean;
  /** Whether other machines are refused until there is one. */
  readonly required: boolean;
  readonly signedIn: boolean;
  /** Empty for who is not signed in. */
  readonly name: string;
  readonly ingest: IngestRule;
}

/** A token; its secret was told once. */
export interface Token {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdMs: number;
  /** NaN for never. */
  readonly lastUsedMs: number;
}

/** What a person says at the set-up. */
export interface Setup {
  readonly code: string;
  readonly name: string;
  readonly password: string;
  readonly ingest: IngestRule;
}

const SCOPES: readonly Scope[] = ["read", "ingest", "admin"];

/** Decodes `GET /api/v1/owner`. */
export function decodeOwner(json: unknown): Owner {
  const fields = object(json, "the answer");
  return {
    set: fields.set === true,
    required: fields.required === true,
    signedIn: fields.signed_in === true,
    name: text(fields.name),
    ingest: fields.ingest === "token" ? "token" : "private",
  };
}

/** Decodes `GET /api/v1/tokens`. */
export function decodeTokens(json: unknown): readonly Token[] {
  return array(object(json, "the answer").tokens, "tokens").map((each) => {
    const token = object(each, "a token");
    const scopes = array(token.scopes, "scopes").map((scope) => text(scope));
    return {
      id: text(token.id),
      name: text(token.name),
      scopes: SCOPES.filter((scope) => scopes.includes(scope)),
      createdMs: number(token.created_ms),
      lastUsedMs: number(token.last_used_ms),
    };
  });
}

const nothing = (): null => null;

/** Whether there is an owner. */
export function getOwner(signal?: AbortSignal): Promise<Owner> {
  return getJson("/api/v1/owner", decodeOwner, signal);
}

/** Sets the owner, and signs in. */
export function setOwner(setup: Setup): Promise<null> {
  return sendJson("POST", "/api/v1/owner", setup, nothing);
}

/** Changes what is given. */
export function changeOwner(change: {
  name?: string;
  password?: string;
  current_password?: string;
  ingest?: IngestRule;
}): Promise<null> {
  return sendJson("PATCH", "/api/v1/owner", change, nothing);
}

/** Signs in. */
export function signIn(name: string, password: string): Promise<null> {
  return sendJson("POST", "/api/v1/session", { name, password }, nothing);
}

/** Signs out, here or everywhere. */
export function signOut(everywhere: boolean): Promise<null> {
  return sendJson("DELETE", `/api/v1/session${everywhere ? "?all=true" : ""}`, undefined, nothing);
}

/** All tokens. */
export function getTokens(signal?: AbortSignal): Promise<readonly Token[]> {
  return getJson("/api/v1/tokens", decodeTokens, signal);
}

/** Makes a token; the answer is its text, told this once. */
export function createToken(name: string, scopes: readonly Scope[]): Promise<string> {
  return sendJson("POST", "/api/v1/tokens", { name, scopes }, (json) =>
    text(object(json, "the token").token),
  );
}

/** Takes a token back. */
export function revokeToken(id: string): Promise<null> {
  return sendJson("DELETE", `/api/v1/tokens/${encodeURIComponent(id)}`, undefined, nothing);
}
