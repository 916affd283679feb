/** Talks to the server: JSON calls, streams of JSON lines, and addresses for links. */

let csrf = null;
let onSignedOut = () => {};
let onReachable = () => {};

/** An answer that says why something did not work. `message` is a sentence for people. */
export class ApiError extends Error {
  constructor(message, code, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Sets what happens when the session has ended, and when the server can or cannot be reached. */
export function watchServer({ signedOut, reachable }) {
  onSignedOut = signedOut;
  onReachable = reachable;
}

/** The token that proves to the server that a request comes from this page. */
export function csrfToken() {
  return csrf;
}

/** The address of a call, relative to the page, with parameters; a list gives a parameter several times. */
export function address(path, parameters = {}) {
  const made = new URL(path, document.baseURI);
  made.hash = "";
  for (const [key, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined) made.searchParams.append(key, each);
    }
  }
  return made.href;
}

/**
 * Sends a request and returns its response.
 * @throws {ApiError} the server refused it, or cannot be reached
 */
export async function request(method, path, { body, parameters, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (csrf && method !== "GET" && method !== "HEAD") headers["X-CSRF-Token"] = csrf;
  let response;
  try {
    response = await fetch(address(path, parameters), {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    onReachable(false);
    throw new ApiError("The server cannot be reached. Check the network, then try again.", "unreachable");
  }
  onReachable(true);
  if (!response.ok) throw await refusal(response, path);
  return response;
}

/** Sends a request and returns the JSON of the answer; null where it is empty. */
export async function call(method, path, options = {}) {
  const response = await request(method, path, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Sends a request and yields each line of the answer as it arrives. */
export async function* lines(method, path, options = {}) {
  const response = await request(method, path, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const parts = (rest + (value ?? "")).split("\n");
      rest = done ? "" : parts.pop();
      for (const part of parts) {
        if (!part.trim()) continue;
        const line = JSON.parse(part);
        if (line.error) throw new ApiError(line.error.message, line.error.code);
        ended = Boolean(line.done);
        yield line;
      }
      if (done) break;
    }
    if (!ended) throw new ApiError("The connection ended before the answer was complete. Try again.", "incomplete");
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError("The connection was lost. Try again.", "unreachable");
    throw error;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Returns who is signed in, or null. */
export async function currentSession() {
  try {
    return keep(await call("GET", "page/session"));
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

/** Signs in and returns the session. */
export async function signIn(credentials) {
  return keep(await call("POST", "page/session", { body: credentials }));
}

/** Ends the session. */
export async function signOut() {
  await call("DELETE", "page/session");
  csrf = null;
}

/** The sentence in the body of a refused request, as `ApiError`. */
export function errorFrom(status, text) {
  try {
    const { code, message } = JSON.parse(text).error;
    return new ApiError(message, code, status);
  } catch {
    return new ApiError(`The server answered with status ${status}. Try again; if it stays, ask whoever runs the server.`,
      "unexpected", status);
  }
}

async function refusal(response, path) {
  const error = errorFrom(response.status, await response.text().catch(() => ""));
  if (response.status === 401 && !path.startsWith("page/session")) onSignedOut();
  return error;
}

function keep(session) {
  csrf = session.csrf;
  return session;
}
