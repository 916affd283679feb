/** The middle of the page: one directory, one search, or the overview; it follows the address after #. */

import { drawCrumbs } from "./crumbs.js";
import { Deeds } from "./deeds.js";
import { byId, element } from "./elements.js";
import { bytes, counted, shownName } from "./format.js";
import { homeView } from "./home.js";
import { Items } from "./items.js";
import { symbolOfPlace } from "./kinds.js";
import { List } from "./list.js";
import { loadDirectory, loadSearch } from "./loading.js";
import { fromHash, inside, lastName, parent, placeOf, same, steps, toHash, trimmed } from "./locations.js";
import { closeMenu, openMenu } from "./menu.js";
import { nothing } from "./nothing.js";
import { Details } from "./preview.js";
import { Toolbar } from "./toolbar.js";

const NARROW = matchMedia("(max-width: 1080px)");

export class Browser extends EventTarget {
  /** @param {object} session @param {object} parts `jobs`, `tray`, `tree`, `upload(folder)` */
  constructor(session, { jobs, tray, tree, upload }) {
    super();
    Object.assign(this, { session, tray, tree, places: [], location: "", searched: null, items: new Items(), wanted: null, unkept: new Set() });
    this.stop = new AbortController();
    this.deeds = new Deeds(this, jobs);
    this.list = new List({ open: (item) => this.open(item), menu: (item, x, y) => this.menu(x, y),
      measure: (item) => this.deeds.measure(item), selection: () => this._selection() });
    this.toolbar = new Toolbar({ upload, newFolder: () => this.deeds.newFolder(), entries: (items) => this.deeds.entries(items),
      none: () => this.items.chooseNone(), filter: (text) => this._filter(text), search: (text) => this.search(text),
      details: () => this.showDetails(byId("details").hidden), toList: () => this.list.grid.focus() });
    this.details = new Details(byId("details"), { entries: (items) => this.deeds.entries(items),
      close: () => this.showDetails(false), directory: () => this._directory() });
    this.finding = element("div.finding", { hidden: true, role: "status" });
    this.foot = element("div.foot");
    this.state = element("div.nothing", { hidden: true });
    this.title = element("h1.unseen");
    this.view = [this.title, this.toolbar.root, this.finding, this.list.grid, this.state, this.foot];
    this._change = () => this._drawState();
    addEventListener("hashchange", () => this.follow());
    if (!NARROW.matches && readDetails() !== "closed") byId("details").hidden = false;
  }

  /** Shows what the address says. */
  follow() {
    const location = fromHash(window.location.hash);
    if (!location) this.home();
    else if (!same(location, this.location) || this.searched !== null) this.show(location);
  }

  /** Goes to a location: the address changes, and the page follows it. */
  go(location) {
    if (toHash(location) === window.location.hash) this.show(location);
    else window.location.hash = toHash(location);
  }

  /** Opens a new directory that its place keeps only while it holds files. */
  enterUnkept(location) {
    this.unkept.add(location);
    this.go(location);
  }

  /** Goes to the directory above. */
  up() {
    if (!this.location) return;
    if (this.searched !== null) { this.show(this.location); return; }
    const above = parent(this.location, this.places);
    this.wanted = lastName(this.location);
    this.go(above ?? "");
  }

  /** Opens a directory; of a file, shows the details. */
  open(item) {
    if (item.kind === "directory") this.go(item.location);
    else {
      if (!this.items.selected.has(item.location)) this.items.choose(this.items.view.indexOf(item));
      this.showDetails(true);
    }
  }

  /** What ends when the reader goes elsewhere. */
  signal() {
    return this.stop.signal;
  }

  /** Whether files can be put into the shown directory. */
  writable() {
    return this.location !== "" && !this._areas() && this.searched === null;
  }

  /** Shows the overview. */
  home() {
    this._leave("");
    this.items = new Items();
    this.details.clear();
    byId("details").hidden = true;
    byId("content").replaceChildren(homeView(this.places, this.session));
    drawCrumbs(byId("crumbs"), [{ name: "All places", location: "" }]);
    document.title = "dxflow";
    this.tree.reveal("");
  }

  /** Shows a directory. */
  async show(location) {
    const fresh = this._leave(location);
    const items = this._take(new Items());
    if (!this.list.grid.isConnected) {
      byId("content").replaceChildren(...this.view);
      byId("details").hidden = NARROW.matches || readDetails() === "closed";
    }
    if (NARROW.matches) byId("details").hidden = true;
    this._names();
    this.toolbar.reset();
    this.tree.reveal(location);
    this.list.grid.focus({ preventScroll: true });
    await this._load(items, location, fresh);
  }

  /** Loads a directory again, and keeps the place in the list, where it is the shown one or above it. */
  async refresh(directory) {
    this.tree.refresh(directory);
    if (!this.location || this.searched !== null || !same(directory, this.location)) return;
    const before = this.items;
    const top = this.list.grid.scrollTop;
    const items = new Items();
    Object.assign(items, { sort: before.sort, filter: before.filter });
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    const first = loadDirectory(items, this.location, signal, this._areas());
    await first.catch(() => null);
    if (signal.aborted) return;
    for (const item of items.all) {
      if (before.selected.has(item.location)) items.selected.set(item.location, item);
    }
    const active = before.view[before.active]?.location;
    this._take(items);
    items.active = items.view.findIndex((item) => item.location === active);
    if (items.active < 0 && before.active >= 0) items.active = Math.min(before.active, items.view.length - 1);
    this.list.grid.scrollTop = top;
    await first.catch((error) => items.finish(error));
    this._wanted();
    this.list.draw();
  }

  /** Searches below the shown directory. */
  search(text) {
    if (!this.location) return;
    this.stop.abort();
    this.stop = new AbortController();
    this.searched = text;
    const items = new Items();
    const { add } = items;
    items.add = (found) => add.call(items, found.map((item) => ({ ...item, where: this._where(item) })));
    this._take(items);
    loadSearch(items, this.location, text, this.stop.signal);
  }

  /** Goes to the field that filters. The tools for a selection may stand in its place, and so nothing stays selected. */
  toFilter() {
    this.items.chooseNone();
    this.toolbar.input.focus();
  }

  /** Opens the menu for the selection. */
  menu(x, y) {
    const entries = this.deeds.entries(this.items.chosen());
    if (entries.length) openMenu(entries, x, y);
  }

  /** Shows or hides the details. */
  showDetails(yes) {
    byId("details").hidden = !yes;
    this.toolbar.panel.setAttribute("aria-pressed", String(yes));
    if (!NARROW.matches) keepDetails(yes ? "open" : "closed");
    if (yes) this._selection();
    else this.details.clear();
    this.list.rows.refresh();
  }

  /** Opens the tray. */
  showWork() {
    this.tray.toggle(false);
  }

  _leave(location) {
    closeMenu();
    this.stop.abort();
    this.stop = new AbortController();
    this.location = location;
    this.searched = null;
    this.dispatchEvent(new Event("moved"));
    return this.stop.signal;
  }

  _take(items) {
    this.items.removeEventListener("change", this._change);
    this.items = items;
    items.addEventListener("change", this._change);
    this.list.show(items);
    this._drawState();
    return items;
  }

  async _load(items, location, signal) {
    try {
      const first = await loadDirectory(items, location, signal, this._areas());
      if (signal.aborted) return;
      if (first.crumbs?.length) this._names(first.crumbs);
      this._wanted();
    } catch (error) {
      if (error.name !== "AbortError") items.finish(error);
    }
  }

  /* Selects the item that somebody came back from, or has just made. */
  _wanted() {
    const name = this.wanted;
    if (name === null) return;
    this.wanted = null;
    const index = this.items.view.findIndex((item) => item.name === name || lastName(item.location) === name);
    if (index >= 0) this.list.move(index);
  }

  _areas() {
    const place = placeOf(this.location, this.places);
    return place?.kind === "remote" && place.areas !== false && same(place.location, this.location);
  }

  _names(crumbs = steps(this.location, this.places)) {
    drawCrumbs(byId("crumbs"), crumbs);
    document.title = `${shownName(crumbs.at(-1).name)} · dxflow`;
    this.title.textContent = shownName(crumbs.at(-1).name);
    this.list.grid.setAttribute("aria-label", `Files in ${shownName(crumbs.at(-1).name)}`);
  }

  _where(item) {
    const above = parent(item.location, this.places) ?? "";
    return inside(above, this.location) ? trimmed(above).slice(trimmed(this.location).length).replace(/^\//u, "") || "here" : above;
  }

  _directory() {
    const place = placeOf(this.location, this.places);
    const atPlace = place && same(place.location, this.location);
    return { name: atPlace ? place.name : lastName(this.location), location: this.location, items: this.items,
      symbol: atPlace ? symbolOfPlace(place) : "folder" };
  }

  _selection() {
    const chosen = this.items.chosen();
    this.toolbar.draw(chosen, this.writable());
    const panel = byId("details");
    this.toolbar.panel.setAttribute("aria-pressed", String(!panel.hidden));
    if (!panel.hidden && this.location) this.details.show(chosen);
  }

  _filter(text) {
    if (this.searched !== null && !text) this.show(this.location);
    else this.items.filterBy(text);
  }

  _drawState() {
    const { items } = this;
    const part = nothing(this);
    this.state.hidden = !part;
    if (part) this.state.replaceChildren(...part);
    this.finding.hidden = this.searched === null && !items.filter;
    if (!this.finding.hidden) this._drawFinding();
    const loading = !items.complete && !items.error && !items.more;
    const size = items.view.reduce((sum, item) => sum + (item.kind === "directory" ? 0 : item.size ?? 0), 0);
    const words = [counted(items.view.length, "item"), size ? bytes(size) : "", loading ? "loading…" : ""].filter(Boolean).join(" · ");
    this.foot.replaceChildren(loading ? element("span.spinner") : "", element("span.number", {}, words),
      items.more ? element("button.button.small", { type: "button", on: { click: () => items.more?.() } }, "Load more") : "",
      items.error && items.all.length ? element("span.form-error", {}, items.error.message) : "");
  }

  _drawFinding() {
    const { items } = this;
    if (this.searched === null) {
      const text = this.toolbar.input.value.trim();
      this.finding.replaceChildren(element("span", {}, `${counted(items.view.length, "name")} of ${items.all.length.toLocaleString("en")} here`),
        element("button.button.small", { type: "button", on: { click: () => this.search(text) } }, "Search all folders below"));
      return;
    }
    const looked = items.lookedAt ? ` among ${counted(items.lookedAt, "name")}` : "";
    const end = items.complete || items.error;
    this.finding.replaceChildren(element("span", {}, `${counted(items.view.length, "match", "matches")} for “${this.searched}”${end ? looked : " so far…"}`),
      element("button.button.small", { type: "button", on: { click: () => { this.toolbar.reset(); this.show(this.location); } } }, end ? "Close search" : "Stop"));
  }
}

function readDetails() {
  try { return localStorage.getItem("dxflow-details"); } catch { return null; }
}

function keepDetails(value) {
  try { localStorage.setItem("dxflow-details", value); } catch { /* a browser may keep nothing */ }
}
