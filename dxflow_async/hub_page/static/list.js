/** The list of names: a grid for screen readers, of which only the rows in view exist. */

import { element, icon, iconButton, setIcon } from "./elements.js";
import { bytes, counted, exactTime, shownName, when } from "./format.js";
import { symbolOf } from "./kinds.js";
import { Rows } from "./rows.js";

const COLUMNS = [["name", "Name"], ["size", "Size"], ["modified", "Changed"]];

export class List {
  /** @param {object} deeds `open(item)`, `menu(item, x, y)`, `measure(item)`, `selection()` */
  constructor(deeds) {
    this.deeds = deeds;
    this.items = null;
    this.all = element("span.tick", { role: "checkbox", "aria-checked": "false", "aria-label": "Select all", tabIndex: 0,
      on: { click: () => this.turnAll(), keydown: (event) => this._allKey(event) } }, element("i", {}, icon("check")));
    this.heads = new Map(COLUMNS.map(([by, label]) => [by, this._head(by, label)]));
    const head = element("div.grid-head", { role: "row", "aria-rowindex": 1 },
      element("div", { role: "columnheader", "aria-label": "Selected" }, this.all), ...this.heads.values(),
      element("div", { role: "columnheader" }, element("span.unseen", {}, "Actions")));
    this.sizer = element("div.sizer", { role: "rowgroup" });
    this.grid = element("div.grid", { id: "list", role: "grid", tabIndex: 0, "aria-label": "Files",
      "aria-multiselectable": "true", "aria-colcount": 5 }, element("div", { role: "rowgroup", class: "head" }, head), this.sizer);
    this.head = this.grid.firstChild;
    this.grid.addEventListener("click", (event) => this._click(event));
    this.grid.addEventListener("dblclick", (event) => this._doubleClick(event));
    this.grid.addEventListener("contextmenu", (event) => this._menu(event));
    this.rows = new Rows(this.grid, this.sizer, makeRow, (row, index) => this._fill(row, index));
    this._changed = () => this.draw();
    this._selected = () => this._drawSelection();
  }

  /** Shows other items. */
  show(items) {
    this.items?.removeEventListener("change", this._changed);
    this.items?.removeEventListener("selection", this._selected);
    this.items = items;
    items.addEventListener("change", this._changed);
    items.addEventListener("selection", this._selected);
    this.grid.scrollTop = 0;
    this.draw();
  }

  draw() {
    const { items } = this;
    this.grid.setAttribute("aria-rowcount", items.complete ? items.view.length + 1 : -1);
    this.grid.setAttribute("aria-busy", String(!items.complete && !items.error && !items.more));
    for (const [by, head] of this.heads) {
      if (items.sort.by === by) head.setAttribute("aria-sort", items.sort.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.rows.setCount(items.view.length);
    this._drawSelection();
  }

  /** Moves the active row by keys; `extend` draws a range. */
  move(index, { extend = false, only = false } = {}) {
    const to = Math.max(0, Math.min(index, this.items.view.length - 1));
    if (!this.items.view.length) return;
    if (only) this.items.activate(to);
    else this.items.choose(to, { range: extend });
    this.rows.reveal(to);
    this._drawSelection();
  }

  turnAll() {
    if (this.items.selected.size) this.items.chooseNone();
    else this.items.chooseAll();
  }

  /** The rectangle of the active row, for a menu that opens there. */
  activeBox() {
    return (this.rows.used.get(this.items.active) ?? this.grid).getBoundingClientRect();
  }

  /** The item under an element; null where there is none. */
  itemAt(target) {
    const row = target.closest?.(".row");
    return row ? this.items.view[Number(row.dataset.index)] ?? null : null;
  }

  _drawSelection() {
    const { items } = this;
    this.grid.classList.toggle("choosing", items.selected.size > 0);
    const some = items.selected.size;
    this.all.setAttribute("aria-checked", String(some > 0 && some >= items.view.length ? true : some ? "mixed" : false));
    for (const [index, row] of this.rows.used) this._mark(row, index);
    const active = this.rows.used.get(items.active);
    if (active) this.grid.setAttribute("aria-activedescendant", active.id);
    else this.grid.removeAttribute("aria-activedescendant");
    this.deeds.selection();
  }

  _mark(row, index) {
    const item = this.items.view[index];
    row.setAttribute("aria-selected", String(Boolean(item && this.items.selected.has(item.location))));
    row.classList.toggle("active", index === this.items.active);
  }

  _fill(row, index) {
    const item = this.items.view[index];
    if (!item) return;
    const { parts } = row;
    row.dataset.index = index;
    row.id = `row-${index}`;
    row.setAttribute("aria-rowindex", index + 2);
    setIcon(parts.icon, symbolOf(item), item.kind === "directory" && !item.area ? "folder" : "");
    const name = shownName(item.name);
    parts.name.textContent = name;
    parts.name.title = name;
    const found = item.where !== undefined;
    row.classList.toggle("found", found);
    const directory = item.kind === "directory";
    const size = item.size === null || item.size === undefined || (directory && item.files === undefined) ? "" : bytes(item.size);
    const facts = found ? [shownName(item.where)] : [size || (directory ? "" : "—"), when(item.modified)].filter(Boolean);
    parts.below.textContent = facts.join(" · ");
    parts.measure.hidden = !directory || size !== "";
    parts.measure.disabled = Boolean(item.measuring);
    parts.measure.textContent = item.measuring ? "Counting…" : "Count";
    parts.measure.setAttribute("aria-label", `Count what is in ${name}`);
    parts.size.textContent = size + (item.measuring && size ? "…" : "");
    parts.size.title = size && directory ? counted(item.files, "file") : size && `${counted(item.size, "byte")}`;
    parts.time.textContent = when(item.modified);
    parts.time.title = exactTime(item.modified);
    parts.more.setAttribute("aria-label", `Actions for ${name}`);
    this._mark(row, index);
  }

  _head(by, label) {
    const kind = { size: ".size", modified: ".time" }[by] ?? "";
    return element(`div${kind}`, { role: "columnheader" },
      element("button", { type: "button", on: { click: () => this.items.sortBy(by) } }, label, icon("up")));
  }

  _allKey(event) {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    this.turnAll();
  }

  _click(event) {
    const row = event.target.closest(".row");
    if (!row) {
      if (event.target === this.grid || event.target === this.sizer) this.items.chooseNone();
      return;
    }
    const index = Number(row.dataset.index);
    const item = this.items.view[index];
    if (event.target.closest(".more")) {
      if (!this.items.selected.has(item.location)) this.items.choose(index);
      const box = event.target.closest(".more").getBoundingClientRect();
      this.deeds.menu(item, box.right, box.bottom);
    } else if (event.target.closest(".measure")) this.deeds.measure(item);
    else if (event.target.closest(".tick")) this.items.choose(index, event.shiftKey ? { range: true } : { add: true });
    else if (event.ctrlKey || event.metaKey) this.items.choose(index, { add: true });
    else if (event.shiftKey) this.items.choose(index, { range: true });
    else if (event.pointerType === "touch") this._touch(index, item);
    else this.items.choose(index);
  }

  /* A finger opens what it touches, or adds to what is selected. */
  _touch(index, item) {
    if (this.items.selected.size && item.kind === "directory") this.items.choose(index, { add: true });
    else {
      this.items.activate(index);
      this.deeds.open(item);
    }
  }

  _doubleClick(event) {
    const item = this.itemAt(event.target);
    if (item && !event.target.closest(".more, .tick, .measure")) this.deeds.open(item);
  }

  _menu(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    event.preventDefault();
    const index = Number(row.dataset.index);
    const item = this.items.view[index];
    if (!this.items.selected.has(item.location)) this.items.choose(index);
    this.deeds.menu(item, event.clientX, event.clientY);
  }
}

function makeRow() {
  const parts = {
    icon: icon("file"), name: element("bdi.name"), below: element("span.below"),
    size: element("span"), time: element("div.time", { role: "gridcell" }),
    measure: element("button.measure", { type: "button", tabIndex: -1 }),
    more: iconButton("Actions", "more", null, { kind: "small", tabIndex: -1, title: "" }),
  };
  const row = element("div.row", { role: "row" },
    element("div", { role: "gridcell" }, element("span.tick", {}, element("i", {}, icon("check")))),
    element("div.names", { role: "gridcell" }, parts.icon, element("span.words", {}, parts.name, parts.below)),
    element("div.size", { role: "gridcell" }, parts.measure, parts.size), parts.time,
    element("div.more", { role: "gridcell" }, parts.more));
  row.parts = parts;
  return row;
}
