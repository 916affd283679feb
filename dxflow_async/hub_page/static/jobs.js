/** The jobs of the server, kept up to date by server-sent events. */

import { address, call, currentSession } from "./api.js";
import { keepRate } from "./speed.js";

/* A connection that comes back within this time is no news. */
const NEWS = 2000;

export class Jobs extends EventTarget {
  /** @param {{signedOut: () => void, reachable: (yes: boolean) => void}} watcher */
  constructor(watcher) {
    super();
    this.watcher = watcher;
    this.jobs = new Map();
    this.rates = new Map();
    this.newer = new Set();
    this.source = null;
    this.timer = null;
    this.stale = false;
    this.news = null;
  }

  /** Fetches the jobs and follows their changes. */
  async follow() {
    await this._fetch();
    this._listen();
  }

  /** Ends following. */
  stop() {
    clearTimeout(this.timer);
    clearTimeout(this.news);
    this.source?.close();
    this.source = null;
    this.jobs.clear();
  }

  /** Starts a job and returns it. */
  async start(job) {
    const answer = await call("POST", "page/jobs", { body: job });
    this.take(answer.job);
    return answer.job;
  }

  /** `pause`, `resume`, `cancel` or `retry`. */
  async command(job, verb) {
    const answer = await call("POST", `page/jobs/${encodeURIComponent(job.id)}/${verb}`);
    if (answer?.job) this.take(answer.job);
  }

  /** Takes an ended job off the list. */
  async dismiss(job) {
    await call("DELETE", `page/jobs/${encodeURIComponent(job.id)}`);
    this._remove(job.id);
  }

  /** The address of the report page of a job. */
  reportOf(job) {
    return address(`page/jobs/${encodeURIComponent(job.id)}/report`);
  }

  take(job) {
    const before = this.jobs.get(job.id);
    this.newer.add(job.id);
    this.jobs.set(job.id, job);
    const rates = this.rates.get(job.id) ?? [];
    this.rates.set(job.id, rates);
    const now = performance.now();
    if (job.state === "running" && !(now - rates.at < 700)) {
      keepRate(rates, job.rate);
      rates.at = now;
    }
    this._changed();
    if (ended(job) && !(before && ended(before))) this.dispatchEvent(new CustomEvent("ended", { detail: job }));
  }

  _remove(id) {
    this.newer.add(id);
    this.jobs.delete(id);
    this.rates.delete(id);
    this._changed();
  }

  /* What came by another way while the answer was on its way is newer than the answer. */
  async _fetch() {
    const first = this.jobs.size === 0;
    const newer = new Set();
    this.newer = newer;
    const { jobs } = await call("GET", "page/jobs");
    const due = new Map(jobs.map((job) => [job.id, job]));
    for (const id of [...this.jobs.keys()]) if (!due.has(id) && !newer.has(id)) this._remove(id);
    for (const [id, job] of due) {
      if (newer.has(id)) continue;
      if (first) this.jobs.set(id, job);
      else this.take(job);
    }
    this._changed();
  }

  _listen() {
    const source = new EventSource(address("page/events"));
    this.source = source;
    source.addEventListener("open", () => {
      this.watcher.reachable(true);
      // The server tells only what changes from now on.
      this._fetch().then(() => this._setStale(false), () => {});
    });
    source.addEventListener("job", (event) => this.take(JSON.parse(event.data)));
    source.addEventListener("removed", (event) => this._remove(JSON.parse(event.data).id));
    source.addEventListener("error", () => {
      this.watcher.reachable(false);
      this._setStale(true);
      // A browser connects again after a broken connection, and gives up after an answer that refuses.
      if (source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this._again(), 3000);
    });
  }

  async _again() {
    try {
      if (await currentSession()) await this.follow();
      else this.watcher.signedOut();
    } catch {
      this.timer = setTimeout(() => this._again(), 5000);
    }
  }

  /* Whether what is known of the jobs is from before the connection broke. */
  _setStale(stale) {
    const change = () => { this.news = null; this.stale = stale; this._changed(); };
    if (stale) {
      if (!this.stale) this.news ??= setTimeout(change, NEWS);
      return;
    }
    clearTimeout(this.news);
    change();
  }

  _changed() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.dispatchEvent(new Event("change")); });
  }
}

/** Whether nothing more happens to a job by itself. */
export function ended(job) {
  return job.state === "done" || job.state === "failed" || job.state === "cancelled";
}
