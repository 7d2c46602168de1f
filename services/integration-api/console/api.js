// Asks Trunkline. The session is a cookie that no script can read; the header tells the server that it is the console
// that asks, without which a session changes nothing.

const CONSOLE = { "X-Trunkline-Console": "1" };
const CALLRAIL = "/api/integrations/callrail";

export const WRITE = "callrail:write";

let session = null;

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// Who is signed in; null: nobody.
export function current() {
  return session;
}

export function mayWrite() {
  return session?.scopes.includes(WRITE) ?? false;
}

export async function signIn(token) {
  session = await ask("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
}

export async function signOut() {
  await ask("/api/session", { method: "DELETE" });
  session = null;
}

// Whether the browser still has a session from before.
export async function resume() {
  session = await ask("/api/session").catch((error) => {
    if (error.status === 401) return null;
    throw error;
  });
  return session;
}

export async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const response = await open(path, {
    method,
    signal,
    headers: { ...headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.json();
}

// The answer itself, for what is not JSON.
export async function open(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...CONSOLE, ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", "Trunkline does not answer. Is it running, and is this computer online?");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  if (response.status === 401 && session) {
    session = null;
    dispatchEvent(new CustomEvent("signed-out", { detail: told.code }));
  }
  throw new Refused(response.status, told.code, told.message ?? `Trunkline answers ${response.status}.`);
}

// The path with its parameters; those without a value are left out.
export function withParameters(path, parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}

const get = (path, parameters, signal) => ask(withParameters(path, parameters), { signal });
const post = (path, body, headers) => ask(path, { method: "POST", body, headers });

export const interactions = (search, signal) => get("/api/interactions", search, signal);
export const interaction = (id, signal) => get(`/api/interactions/${id}`, {}, signal);
export const history = (id, signal) => get(`/api/interactions/${id}/history`, {}, signal);
export const link = (id, contact) => post(`/api/interactions/${id}/link`, { contact });
export const review = (search, signal) => get("/api/review", search, signal);
export const callbacks = (search, signal) => get("/api/callbacks", search, signal);
export const contacts = (q, signal) => get("/api/contacts", { q }, signal);
export const ticket = (call) => post(`${CALLRAIL}/call/${call}/recording/ticket`);
export const status = (signal) => get(`${CALLRAIL}/status`, {}, signal);
export const imports = (search, signal) => get(`${CALLRAIL}/imports`, search, signal);
export const oneImport = (id, signal) => get(`${CALLRAIL}/imports/${id}`, {}, signal);
export const startImport = (range) => post(`${CALLRAIL}/import-calls`, range, { Prefer: "respond-async" });
export const cancelImport = (id) => ask(`${CALLRAIL}/imports/${id}`, { method: "DELETE" });
export const deadLetters = (search, signal) => get("/api/dead-letters", search, signal);
export const deadLetter = (id, signal) => get(`/api/dead-letters/${id}`, {}, signal);
export const replay = (id) => post(`/api/dead-letters/${id}/replay`);
export const discard = (id) => post(`/api/dead-letters/${id}/discard`);
