/**
 * The items that a list shows: loaded in pages, sorted, filtered, and selected.
 *
 * Names are sorted as people read them ("a2" before "a10") up to NATURAL names, and by their characters above that:
 * a natural order of 100,000 names takes a second of the page's only thread.
 */

const NATURAL = 20_000;
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export class Items extends EventTarget {
  constructor() {
    super();
    this.all = [];
    this.view = [];
    this.complete = false;
    this.more = null;
    this.error = null;
    this.sort = { by: "name", descending: false };
    this.filter = "";
    this.selected = new Map();
    this.anchor = 0;
    this.active = -1;
    this._known = new Map();
    this._stale = false;
    this._cost = 0;
    this._timer = null;
  }

  /** Adds a page of items. The view follows at once for the first, then at moments that keep the page smooth. */
  add(page) {
    for (const item of page) {
      if (this._known.has(item.location)) continue;
      this._known.set(item.location, item);
      this.all.push(item);
    }
    this._stale = true;
    if (this.all.length === page.length) this.rebuild();
    else this._timer ??= setTimeout(() => this.rebuild(), Math.max(120, this._cost * 6));
  }

  /** Says that all items are there, or that loading failed. */
  finish(error = null) {
    this.complete = error === null;
    this.error = error;
    this.rebuild();
  }

  /** Sorts by `name`, `size` or `modified`; a second time by the same turns the order around. */
  sortBy(by) {
    this.sort = { by, descending: this.sort.by === by ? !this.sort.descending : by !== "name" };
    this.rebuild();
  }

  /** Shows only names that hold this text, in any case. */
  filterBy(text) {
    this.filter = text.toLowerCase();
    this.rebuild();
  }

  /** Item by location. */
  get(location) {
    return this._known.get(location);
  }

  /** Tells the list that a value of an item changed. */
  touched() {
    this.dispatchEvent(new Event("change"));
  }

  rebuild() {
    clearTimeout(this._timer);
    this._timer = null;
    const started = performance.now();
    const active = this.view[this.active];
    if (this._stale || this._sortedAs !== this._order()) {
      this.all.sort(this._compare());
      this._stale = false;
      this._sortedAs = this._order();
    }
    this.view = this.filter ? this.all.filter((item) => this._fits(item)) : this.all.slice();
    if (this.filter) {
      const visible = new Set(this.view.map((item) => item.location));
      for (const location of this.selected.keys()) if (!visible.has(location)) this.selected.delete(location);
    }
    this.active = active ? this.view.indexOf(active) : -1;
    this.anchor = Math.max(0, this.active);
    this._cost = performance.now() - started;
    this.dispatchEvent(new Event("change"));
  }

  _fits(item) {
    item.lower ??= item.name.toLowerCase();
    return item.lower.includes(this.filter);
  }

  _order() {
    return `${this.sort.by}${this.sort.descending}${this.all.length > NATURAL}`;
  }

  _compare() {
    const { by, descending } = this.sort;
    const sign = descending ? -1 : 1;
    const names = this.all.length > NATURAL
      ? (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name))
      : (a, b) => collator.compare(a.name, b.name) || (a.name < b.name ? -1 : Number(a.name > b.name));
    const values = by === "name" ? names : (a, b) => key(a, by) - key(b, by) || names(a, b);
    return (a, b) => (b.kind === "directory") - (a.kind === "directory") || sign * values(a, b);
  }

  /* Selection: by the places of items in the view. */

  /** Makes an item the active one, and the only selected one unless it is added or a range is drawn. */
  choose(index, { add = false, range = false } = {}) {
    const item = this.view[index];
    if (!item) return;
    if (range) {
      this.selected.clear();
      const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
      for (const each of this.view.slice(from, to + 1)) this.selected.set(each.location, each);
    } else {
      if (!add) this.selected.clear();
      if (add && this.selected.has(item.location)) this.selected.delete(item.location);
      else this.selected.set(item.location, item);
      this.anchor = index;
    }
    this.active = index;
    this._selectionChanged();
  }

  /** Selects everything that is shown. */
  chooseAll() {
    this.selected = new Map(this.view.map((item) => [item.location, item]));
    this._selectionChanged();
  }

  /** Selects nothing. */
  chooseNone() {
    this.selected.clear();
    this._selectionChanged();
  }

  /** Makes an item the active one without selecting it. */
  activate(index) {
    this.active = Math.max(0, Math.min(index, this.view.length - 1));
    this._selectionChanged();
  }

  /** The selected items in the order of the list. */
  chosen() {
    if (this.selected.size < 2) return [...this.selected.values()];
    return this.view.filter((item) => this.selected.has(item.location));
  }

  _selectionChanged() {
    this.dispatchEvent(new Event("selection"));
  }
}

function key(item, by) {
  if (by === "size") return item.size ?? -1;
  return typeof item.modified === "number" ? item.modified : Date.parse(item.modified ?? "") || 0;
}
