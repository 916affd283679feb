/** The panel about what is selected: facts, actions and a preview. */

import { address, call } from "./api.js";
import { button, element, icon, iconButton } from "./elements.js";
import { bytes, counted, exactTime, shownName } from "./format.js";
import { kindWord, symbolOf } from "./kinds.js";

const PAUSE = 140;

export class Details {
  /** @param {HTMLElement} panel @param {object} deeds `entries(items)` for the buttons, `close()`, `directory()` */
  constructor(panel, deeds) {
    this.panel = panel;
    this.deeds = deeds;
    this.shown = null;
    this.stop = null;
    this.timer = null;
  }

  /** Shows one item, several, or the directory where none is selected. */
  show(items) {
    const shown = items.map((item) => `${item.location} ${item.size} ${item.measuring}`).join("\n");
    if (this.shown === shown && items.length) return;
    const again = items.length === 1 && this.item === items[0];
    this.shown = shown;
    this.item = items.length === 1 ? items[0] : null;
    const preview = again ? this.panel.querySelector(".preview") : null;
    if (!again) this._stop();
    if (items.length === 1) this._one(items[0], preview);
    else if (items.length) this._several(items);
    else this._directory();
  }

  /** Forgets what is shown, for the next time. */
  clear() {
    this._stop();
    this.shown = null;
    this.item = null;
    this.panel.replaceChildren();
  }

  _stop() {
    clearTimeout(this.timer);
    this.stop?.abort();
    this.stop = null;
  }

  _frame(symbol, title, words, facts, items, rest = []) {
    const close = iconButton("Close details", "close", () => this.deeds.close(), { kind: "small" });
    const pairs = facts.filter((fact) => fact[1] !== "" && fact[1] !== null)
      .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, element("bdi", {}, value))));
    const deeds = this.deeds.entries(items).filter((entry) => entry && !entry.elsewhere)
      .map((entry) => button(entry.label, { symbol: entry.symbol, kind: "small", action: entry.action }));
    this.panel.replaceChildren(
      element("div.details-head", {}, element("span.badge", {}, icon(symbol)),
        element("div", {}, element("h2", {}, element("bdi", {}, title)), element("p", {}, words)), close),
      element("dl.facts", {}, ...pairs), deeds.length ? element("div.deeds", {}, ...deeds) : "", ...rest);
  }

  _one(item, before) {
    const directory = item.kind === "directory";
    const known = item.size !== null && item.size !== undefined && (!directory || item.files !== undefined);
    const facts = [["Size", known ? `${bytes(item.size)}${item.measuring ? "…" : ""}` : ""],
      ["Files", directory && item.files !== undefined ? counted(item.files, "file").split(" ")[0] : ""],
      ["Changed", exactTime(item.modified)], ["Location", shownName(item.location)]];
    const preview = directory || item.kind === "other" ? null : before ?? element("div.preview", {}, waiting());
    this._frame(symbolOf(item), shownName(item.name), kindWord(item), facts, [item], preview ? [preview] : []);
    if (preview && !before) this.timer = setTimeout(() => this._load(item, preview), PAUSE);
  }

  _several(items) {
    const files = items.filter((item) => item.kind !== "directory");
    const size = files.reduce((sum, item) => sum + (item.size ?? 0), 0);
    const folders = items.length - files.length;
    this._frame("copy", counted(items.length, "item"), "selected", [
      ["Files", files.length ? `${counted(files.length, "file")}, ${bytes(size)}` : ""],
      ["Folders", folders ? counted(folders, "folder") : ""]], items);
  }

  _directory() {
    const { name, location, symbol, items } = this.deeds.directory();
    const files = items.all.filter((item) => item.kind !== "directory");
    const size = files.reduce((sum, item) => sum + (item.size ?? 0), 0);
    const folders = items.all.length - files.length;
    const some = items.complete ? "" : " so far";
    this._frame(symbol, shownName(name), "This folder", [
      ["Files", files.length ? `${counted(files.length, "file")}, ${bytes(size)}${some}` : items.complete ? "none" : ""],
      ["Folders", folders ? counted(folders, "folder") + some : ""], ["Location", shownName(location)]], []);
  }

  async _load(item, place) {
    this.stop = new AbortController();
    const { signal } = this.stop;
    try {
      const answer = await call("GET", "page/preview", { parameters: { location: item.location }, signal });
      if (!signal.aborted) place.replaceChildren(...previewOf(answer, item));
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(note(error.message));
    }
  }
}

function previewOf(answer, item) {
  const cut = answer.truncated ? [note("This is the beginning. Download the file to see the rest.", "after")] : [];
  if (answer.kind === "image") {
    const image = element("img", { src: address("page/image", { location: item.location }), alt: `Preview of ${shownName(item.name)}` });
    image.addEventListener("error", () => image.replaceWith(note("The image cannot be shown.")));
    return [image];
  }
  if (answer.kind === "csv" && answer.rows?.length) {
    const [head, ...rows] = answer.rows;
    const width = Math.max(...answer.rows.map((row) => row.length));
    const cells = (row, tag, options) => Array.from({ length: width }, (_, at) => element(tag, options, row[at] ?? ""));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...cells(head, "th", { scope: "col" }))),
      element("tbody", {}, ...rows.slice(0, 200).map((row) => element("tr", {}, ...cells(row, "td", {})))));
    return [element("div.cells", { tabIndex: 0, role: "region", "aria-label": "Preview" }, table), ...cut];
  }
  if (answer.kind === "text" && answer.text) {
    return [element("pre", { tabIndex: 0, role: "region", "aria-label": "Preview", dir: "auto" }, answer.text), ...cut];
  }
  if (answer.kind === "text") return [note("The file is empty.")];
  return [note(answer.reason || "There is no preview of this kind of file.")];
}

function note(text, kind = "") {
  return element(`p.note${kind ? `.${kind}` : ""}`, {}, text);
}

function waiting() {
  return element("div.waiting", {}, element("span.spinner", {}));
}
