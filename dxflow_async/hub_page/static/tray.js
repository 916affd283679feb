/** The tray at the foot of the page: what is going on, and what has just ended. */

import { jobCard, unfinishedCard, uploadCard } from "./cards.js";
import { element, icon, iconButton } from "./elements.js";
import { counted, duration, rate } from "./format.js";
import { ended } from "./jobs.js";
import { reporting } from "./toasts.js";

export class Tray {
  /** @param {HTMLElement} place @param {import("./uploads.js").Uploads} uploads @param {import("./jobs.js").Jobs} jobs */
  constructor(place, uploads, jobs) {
    Object.assign(this, { place, uploads, jobs, cards: new Map(), closed: false, left: "" });
    this.words = element("span");
    this.summary = element("button.summary", { type: "button", "aria-expanded": "true", "aria-controls": "tray-body",
      on: { click: () => this.toggle() } }, icon("activity"), this.words);
    this.turn = iconButton("Fold", "chevron", () => this.toggle(), { kind: "turn" });
    this.clear = iconButton("Dismiss all that ended", "check", () => this.clearEnded(), {});
    this.body = element("div.tray-body", { id: "tray-body", tabIndex: 0, role: "group", "aria-label": "Uploads and jobs" });
    place.append(element("div.tray-head", {}, this.summary, this.clear, this.turn), this.body);
    uploads.addEventListener("change", () => this.draw());
    uploads.addEventListener("begun", () => this.toggle(false));
    jobs.addEventListener("change", () => this.draw());
  }

  /** Folds the tray into one line, or opens it. */
  toggle(closed = !this.closed) {
    this.closed = closed;
    this.place.classList.toggle("closed", closed);
    this.summary.setAttribute("aria-expanded", String(!closed));
    this.turn.setAttribute("aria-label", closed ? "Unfold" : "Fold");
    this.turn.title = closed ? "Unfold" : "Fold";
  }

  /** Takes everything that ended off the tray. */
  clearEnded() {
    for (const batch of this.uploads.batches.filter((each) => each.state !== "running")) this.uploads.dismiss(batch);
    for (const job of [...this.jobs.jobs.values()].filter(ended)) reporting(() => this.jobs.dismiss(job));
  }

  draw() {
    const batches = this.uploads.batches;
    const jobs = [...this.jobs.jobs.values()].sort((a, b) => order(b.started) - order(a.started));
    const left = [...this.uploads.unfinished.values()];
    this.place.hidden = !batches.length && !jobs.length && !left.length;
    const due = [];
    if (left.length) due.push(this._unfinished(left));
    for (const batch of batches) {
      due.push(this._keep(batch.id, (card) => uploadCard(card, batch, { dismiss: (each) => this.uploads.dismiss(each) })));
    }
    for (const job of jobs) due.push(this._keep(job.id, (card) => jobCard(card, job, this.jobs.rates.get(job.id) ?? [], this._deeds(), this.jobs.stale)));
    for (const [key, card] of this.cards) if (!due.includes(card)) this.cards.delete(key);
    for (const child of [...this.body.children]) if (!due.includes(child)) child.remove();
    due.forEach((card, at) => { if (this.body.children[at] !== card) this.body.insertBefore(card, this.body.children[at] ?? null); });
    this._summarise(batches, jobs, left);
  }

  _keep(key, change) {
    const card = change(this.cards.get(key) ?? null);
    this.cards.set(key, card);
    return card;
  }

  _unfinished(left) {
    const key = left.map((upload) => upload.id).join();
    if (this.left !== key || !this.cards.has("unfinished")) {
      this.cards.set("unfinished", unfinishedCard(left, { goOn: (one) => this.uploads.goOn(one), discard: (one) => this.uploads.discard(one) }));
      this.left = key;
    }
    return this.cards.get("unfinished");
  }

  _deeds() {
    return { command: (job, verb) => reporting(() => this.jobs.command(job, verb)), report: (job) => this.jobs.reportOf(job),
      dismiss: (job) => reporting(() => this.jobs.dismiss(job)) };
  }

  _summarise(batches, jobs, left) {
    const sending = batches.filter((batch) => batch.state === "running");
    const working = jobs.filter((job) => !ended(job));
    const live = this.jobs.stale ? [] : working;
    const speed = sending.reduce((sum, batch) => sum + batch.speed.now(), 0) + live.reduce((sum, job) => sum + (job.rate || 0), 0);
    const waits = [...live.map((job) => job.eta ?? null), ...sending.map((batch) => eta(batch))].filter((value) => value !== null);
    const busy = [sending.length && counted(sending.length, "upload"), working.length && counted(working.length, "job")].filter(Boolean);
    const failed = batches.filter((batch) => batch.state === "failed").length + jobs.filter((job) => job.state === "failed").length;
    const title = busy.length ? busy.join(", ") : left.length ? counted(left.length, "unfinished upload") : failed ? `${failed} failed` : "All done";
    const rest = [this.jobs.stale ? "offline" : "", speed ? rate(speed) : "", waits.length ? `${duration(Math.max(...waits))} left` : ""].filter(Boolean).join(" · ");
    const text = `${title}|${busy.length ? rest : ""}`;
    if (this.words.dataset.text !== text) {
      this.words.dataset.text = text;
      this.words.replaceChildren(element("strong", {}, title), busy.length && rest ? element("span.quiet.number", {}, `  ${rest}`) : "");
    }
    this.clear.hidden = !batches.some((batch) => batch.state !== "running") && !jobs.some(ended);
  }
}

function eta(batch) {
  const speed = batch.speed.now();
  return speed ? (batch.total - batch.sent()) / speed : null;
}

function order(value) {
  return (typeof value === "number" ? value : Date.parse(value) / 1000) || 0;
}
