/** The cards of the tray: one for each upload and each job. They are made once and then only change. */

import { button, element, icon, iconButton, setIcon } from "./elements.js";
import { bytes, count, counted, duration, rate, shownName } from "./format.js";
import { ended } from "./jobs.js";
import { lastName } from "./locations.js";
import { drawSparkline, sparkline } from "./sparkline.js";

/* Fewer rates than this are no curve. */
const FEWEST_RATES = 4;
const VERBS = { copy: "copy", move: "move", delete: "trash", rename: "rename" };
const STATES = { done: ["Done", "good"], failed: ["Failed", "bad"], cancelled: ["Cancelled", ""], paused: ["Paused", "warn"] };

/** Makes the frame that uploads and jobs share. */
function frame(symbol) {
  const parts = { icon: icon(symbol), title: element("strong"), pill: element("span.pill", { hidden: true }),
    way: element("p.work-way"), fill: element("i"), spark: sparkline(), words: element("p.work-words"),
    note: element("p.work-note", { hidden: true }), deeds: element("div.work-deeds"), failures: element("details", { hidden: true }) };
  parts.meter = element("div.meter", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, parts.fill);
  parts.summary = element("summary");
  parts.reasons = element("ul");
  parts.failures.append(parts.summary, parts.reasons);
  parts.bar = element("div.work-bar", {}, parts.meter, parts.spark);
  const card = element("article.work", {}, element("div.work-head", {}, parts.icon, parts.title, parts.pill),
    parts.way, parts.bar, parts.words, parts.note, parts.failures, parts.deeds);
  card.parts = parts;
  return card;
}

function setMeter(parts, part, kind, label) {
  const known = part !== null;
  parts.meter.className = `meter ${known ? kind : "unknown"}`;
  parts.meter.setAttribute("aria-label", label);
  if (known) parts.meter.setAttribute("aria-valuenow", Math.round(part * 100));
  else parts.meter.removeAttribute("aria-valuenow");
  parts.fill.style.setProperty("--part", known ? Math.max(0, Math.min(1, part)) : 0);
}

/* Buttons are made again only where others are due: a button that vanishes under the pointer is no joy. */
function setDeeds(parts, deeds) {
  const due = deeds.filter(Boolean);
  const key = due.map((deed) => deed.label).join();
  if (parts.deeds.dataset.key === key) return;
  parts.deeds.dataset.key = key;
  parts.deeds.replaceChildren(...due.map(({ label, symbol, action, href }) => (href
    ? element("a.button.plain.small", { href, target: "_blank", rel: "noopener" }, icon(symbol), label)
    : button(label, { symbol, kind: "plain small", action }))));
}

function setFailures(parts, total, failures) {
  parts.failures.hidden = total === 0;
  const key = `${total} ${failures.length}`;
  if (!total || parts.failures.dataset.key === key) return;
  parts.failures.dataset.key = key;
  parts.summary.textContent = `${counted(total, "item")} failed`;
  parts.reasons.replaceChildren(...failures.map(({ name, reason }) =>
    element("li", {}, element("bdi", {}, shownName(name)), element("small", {}, reason))));
  if (total > failures.length) parts.reasons.append(element("li.quiet", {}, `and ${count(total - failures.length)} more, in the report`));
}

function setWords(parts, words) {
  parts.words.replaceChildren(...words.filter(Boolean).map((word, at) => element(at ? "span" : "b", {}, word)));
}

function setPill(parts, state, failed = 0) {
  const [word, kind] = STATES[state] ?? ["", ""];
  parts.pill.hidden = !word;
  parts.pill.textContent = state === "failed" && failed ? "Partly failed" : word;
  parts.pill.className = `pill ${kind}`;
}

/** Makes and changes the card of a job; `stale` says that the job may have gone on since. */
export function jobCard(card, job, rates, deeds, stale) {
  card ??= frame(VERBS[job.verb] ?? "activity");
  const { parts } = card;
  const over = ended(job);
  const live = job.state === "running" && !stale;
  card.classList.toggle("stale", stale && !over);
  setIcon(parts.icon, VERBS[job.verb] ?? "activity");
  parts.title.textContent = shownName(job.title);
  parts.title.title = shownName(job.title);
  setPill(parts, job.state, job.items_done);
  parts.way.textContent = job.destination ? `to ${shownName(job.destination)}` : "";
  parts.way.hidden = !job.destination;
  const part = job.bytes_total ? job.bytes_done / job.bytes_total : job.items_total ? job.items_done / job.items_total : null;
  const kind = { done: "good", failed: "bad", cancelled: "quiet-bar", paused: "quiet-bar" }[job.state] ?? "";
  setMeter(parts, over && job.state === "done" ? 1 : over ? part ?? 1 : part, kind, `Progress of ${shownName(job.title)}`);
  parts.spark.classList.toggle("hidden", over);
  parts.spark.toggleAttribute("hidden", over || rates.length < FEWEST_RATES);
  drawSparkline(parts.spark, rates);
  const size = job.bytes_total ? `${bytes(job.bytes_done)} of ${bytes(job.bytes_total)}` : job.bytes_done ? bytes(job.bytes_done) : "";
  const items = job.items_total ? `${count(job.items_done)} of ${counted(job.items_total, "item")}` : counted(job.items_done, "item");
  setWords(parts, over ? [counted(job.items_done, "item"), job.bytes_done ? bytes(job.bytes_done) : "", took(job)]
    : [size || items, size && items, live && job.rate ? rate(job.rate) : "",
      live && job.eta !== null && job.eta !== undefined ? `${duration(job.eta)} left` : "",
      live && job.concurrency > 1 ? `${job.concurrency} at once` : "",
      live && !size && job.phase ? job.phase : ""]);
  const note = stale ? "Not up to date: the server cannot be reached." : job.waiting_for ? `Waiting for ${job.waiting_for}` : "";
  parts.note.hidden = !note || over;
  parts.note.textContent = note;
  setFailures(parts, job.failed_count, job.failed);
  setDeeds(parts, [
    job.state === "running" && { label: "Pause", symbol: "pause", action: () => deeds.command(job, "pause") },
    job.state === "paused" && { label: "Resume", symbol: "play", action: () => deeds.command(job, "resume") },
    !over && { label: "Cancel", symbol: "close", action: () => deeds.command(job, "cancel") },
    over && (job.failed_count > 0 || job.state === "failed") && { label: "Retry failed", symbol: "retry", action: () => deeds.command(job, "retry") },
    over && { label: "Report", symbol: "report", href: deeds.report(job) },
    over && { label: "Dismiss", symbol: "close", action: () => deeds.dismiss(job) },
  ]);
  return card;
}

function took(job) {
  const [from, to] = [job.started, job.ended].map((value) => (typeof value === "number" ? value : Date.parse(value) / 1000));
  return to >= from ? `in ${duration(to - from)}` : "";
}

/** Makes and changes the card of an upload. */
export function uploadCard(card, batch, deeds) {
  card ??= frame("upload");
  const { parts } = card;
  const { entries, total } = batch;
  const [done, failed, existing] = [batch.count("done"), batch.count("failed"), batch.count("exists")];
  const [sent, speed] = [batch.sent(), batch.speed.now()];
  const over = batch.state !== "running";
  parts.title.textContent = entries.length === 1 ? `Upload ${shownName(entries[0].path)}` : `Upload ${counted(entries.length, "file")}`;
  parts.title.title = parts.title.textContent;
  setPill(parts, existing && batch.state === "done" && !done ? "cancelled" : batch.state, done);
  if (existing && batch.state === "done") { parts.pill.textContent = "Names exist"; parts.pill.className = "pill warn"; }
  parts.way.textContent = `to ${shownName(batch.destination)}`;
  const kind = { done: "good", failed: "bad", cancelled: "quiet-bar" }[batch.state] ?? "";
  setMeter(parts, batch.state === "done" ? 1 : total ? sent / total : done / entries.length, kind, parts.title.textContent);
  parts.spark.toggleAttribute("hidden", over || batch.speed.rates.length < FEWEST_RATES);
  drawSparkline(parts.spark, batch.speed.rates);
  setWords(parts, over ? [counted(done, "file"), bytes(sent)] : [`${bytes(sent)} of ${bytes(total)}`,
    entries.length > 1 ? `${count(done)} of ${counted(entries.length, "file")}` : "", speed ? rate(speed) : "",
    speed && total > sent ? `${duration((total - sent) / speed)} left` : ""]);
  parts.note.hidden = existing === 0;
  parts.note.textContent = existing === 1 ? `“${shownName(lastName(batch.entries.find((entry) => entry.state === "exists").path))}” exists there already.`
    : `${counted(existing, "file")} exist there already.`;
  setFailures(parts, failed, failed ? entries.filter((entry) => entry.state === "failed").slice(0, 100)
    .map((entry) => ({ name: entry.path, reason: entry.reason })) : []);
  setDeeds(parts, [
    !over && { label: "Cancel", symbol: "close", action: () => batch.cancel() },
    existing > 0 && { label: existing === 1 ? "Replace it" : "Replace them", symbol: "retry", action: () => batch.again("exists", true) },
    existing > 0 && { label: existing === 1 ? "Skip it" : "Skip them", symbol: "check", action: () => batch.skip() },
    over && failed > 0 && { label: "Send failed again", symbol: "retry", action: () => batch.again("failed") },
    over && { label: "Dismiss", symbol: "close", action: () => deeds.dismiss(batch) },
  ]);
  return card;
}

/** Makes the card of unfinished uploads. */
export function unfinishedCard(unfinished, deeds) {
  const rows = unfinished.map((upload) => element("li", {},
    element("div", {}, element("bdi.name", { title: shownName(upload.location) }, shownName(lastName(upload.location))),
      element("small.quiet", {}, `${bytes(upload.offset)} of ${bytes(upload.length)} arrived`)),
    button("Choose file", { kind: "small", action: () => deeds.goOn(upload) }),
    iconButton(`Discard ${shownName(lastName(upload.location))}`, "close", () => deeds.discard(upload), { kind: "small" })));
  return element("article.work.unfinished", {},
    element("div.work-head", {}, icon("upload"), element("strong", {}, counted(unfinished.length, "unfinished upload"))),
    element("p.work-way", {}, "Choose the same files again to go on where they stopped."),
    element("ul", {}, ...rows),
    unfinished.length > 1 ? element("div.work-deeds", {}, button("Choose all files", { symbol: "upload", kind: "plain small", action: () => deeds.goOn() })) : null);
}
