/** Files that were dropped or chosen together, on their way into one directory. */

import { address, call, csrfToken, errorFrom } from "./api.js";
import { child } from "./locations.js";
import { Speed } from "./speed.js";

/* Browsers open six connections to a server; one follows the jobs, and some stay for the page itself. */
const AT_ONCE = 3;
/* A file up to this size goes in one request. A larger one first gets its address, so that it can go on from anywhere. */
const ONE_REQUEST = 4 << 20;
const PAUSES = [0, 1000, 3000, 5000, 10_000, 20_000, 30_000];

let serial = 0;

/** Tells a file from others with the same name, also after the page was loaded again. */
export function fingerprintOf(file, location) {
  return `${location}|${file.size}|${file.lastModified}`;
}

export class UploadBatch extends EventTarget {
  /**
   * @param {string} destination a directory
   * @param {Array<{file: File, path: string}>} files
   * @param {Map<string, object>} unfinished the server's unfinished uploads by fingerprint; those found are taken up
   */
  constructor(destination, files, unfinished = new Map()) {
    super();
    this.id = `upload-${(serial += 1)}`;
    this.destination = destination;
    this.speed = new Speed();
    this.state = "running";
    this.entries = files.map(({ file, path, location = child(destination, path) }) => {
      const before = unfinished.get(fingerprintOf(file, location));
      if (before) unfinished.delete(before.fingerprint);
      return { file, path, location, sent: before?.offset ?? 0, state: "waiting", reason: "", before };
    });
    this.total = this.entries.reduce((sum, entry) => sum + entry.file.size, 0);
    this.waiting = [...this.entries];
    this.running = new Set();
    this.overwrite = false;
    this.clock = setInterval(() => this._tick(), 1000);
    this._next();
  }

  /** How many files have this state. */
  count(state) {
    return this.entries.reduce((sum, entry) => sum + (entry.state === state), 0);
  }

  /** The bytes that the server has. */
  sent() {
    return this.entries.reduce((sum, entry) => sum + (entry.state === "done" ? entry.file.size : entry.sent), 0);
  }

  /** Stops; files that are not complete leave nothing behind. */
  cancel() {
    if (this.state !== "running") return;
    this.state = "cancelled";
    this.waiting = [];
    for (const entry of this.running) {
      entry.state = "cancelled";
      entry.upload.abort(true).catch(() => {});
    }
    for (const entry of this.entries) if (entry.state === "waiting") entry.state = "cancelled";
    this.running.clear();
    this._end();
  }

  /** Sends files again that failed, or that were left out because their names exist. */
  again(state, overwrite = this.overwrite) {
    const entries = this.entries.filter((entry) => entry.state === state);
    for (const entry of entries) Object.assign(entry, { state: "waiting", reason: "", sent: 0, overwrite, before: null });
    this.waiting.push(...entries);
    this.state = "running";
    this.clock ||= setInterval(() => this._tick(), 1000);
    this._next();
  }

  /** Leaves out files whose names exist. */
  skip() {
    for (const entry of this.entries) if (entry.state === "exists") entry.state = "skipped";
    this._changed();
  }

  _next() {
    while (this.state === "running" && this.running.size < AT_ONCE && this.waiting.length) this._send(this.waiting.shift());
    if (this.state === "running" && !this.running.size && !this.waiting.length) {
      this.state = this.count("failed") ? "failed" : "done";
      this._end();
    }
    this._changed();
  }

  _send(entry) {
    entry.state = "running";
    this.running.add(entry);
    const { file } = entry;
    entry.upload = new globalThis.tus.Upload(file, {
      endpoint: address("page/uploads/"),
      uploadUrl: entry.before ? address(`page/uploads/${encodeURIComponent(entry.before.id)}`) : null,
      headers: { "X-CSRF-Token": csrfToken() },
      metadata: { location: entry.location, relativePath: entry.path, filetype: file.type || "application/octet-stream",
        fingerprint: fingerprintOf(file, entry.location), ...(entry.overwrite ? {} : { overwrite: "no" }) },
      uploadDataDuringCreation: file.size <= ONE_REQUEST,
      storeFingerprintForResuming: false,
      retryDelays: PAUSES,
      onShouldRetry: (error) => canGoOn(error.originalResponse),
      onProgress: (sent) => { entry.sent = sent; },
      onSuccess: () => this._ended(entry, "done"),
      onError: (error) => this._failed(entry, error),
    });
    entry.upload.start();
  }

  _failed(entry, error) {
    if (entry.state === "cancelled") return;
    const response = error.originalResponse;
    const problem = response ? errorFrom(response.getStatus(), response.getBody() ?? "") : null;
    entry.reason = problem?.message ?? "The connection was lost. Check the network, then send it again.";
    if (!response && error.causingError?.name === "NotReadableError") entry.reason = "The file cannot be read any more.";
    entry.code = problem?.code;
    this._ended(entry, problem?.code === "exists" ? "exists" : "failed");
  }

  _ended(entry, state) {
    if (entry.state === "cancelled") return;
    entry.state = state;
    entry.upload = null;
    if (state !== "done") entry.sent = 0;
    this.running.delete(entry);
    this._next();
  }

  _tick() {
    this.speed.note(this.sent());
    this._changed();
  }

  _end() {
    clearInterval(this.clock);
    this.clock = null;
    this._changed();
    this.dispatchEvent(new Event("end"));
  }

  _changed() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.dispatchEvent(new Event("change")); });
  }
}

/* Whether another request may do: the connection broke, the server is busy, or it knows of another offset. */
function canGoOn(response) {
  const status = response?.getStatus() ?? 0;
  if (status === 409) return ["wrong_offset", "taken_over"].includes(errorFrom(status, response.getBody() ?? "").code);
  return status === 0 || status === 423 || status === 429 || status >= 500;
}

/** Makes directories that have no files; those that exist are fine. Returns how many the place does not keep. */
export async function makeDirectories(destination, paths) {
  let unkept = 0;
  for (const path of paths) {
    try {
      const { exists } = await call("POST", "page/directories", { body: { location: child(destination, path) } });
      unkept += !exists;
    } catch (error) {
      if (error.code !== "exists" && error.status !== 409) throw error;
    }
  }
  return unkept;
}
