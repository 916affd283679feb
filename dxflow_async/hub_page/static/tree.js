/** A tree of places and directories. Children are fetched when a branch opens. */

import { call } from "./api.js";
import { element, icon } from "./elements.js";
import { shownName } from "./format.js";
import { isBroken, symbolOfPlace } from "./kinds.js";
import { inside, same } from "./locations.js";

/* A tree is for finding the way; directories with more branches are read in the list. */
const MOST = 500;

export class Tree {
  /**
   * @param {string} label what screen readers call it
   * @param {(location: string, node: object) => void} choose called when somebody picks a branch
   */
  constructor(label, choose) {
    this.choose = choose;
    this.nodes = [];
    this.at = null;
    this.root = element("ul.tree", { role: "tree", "aria-label": label, on: {
      click: (event) => this._click(event), keydown: (event) => this._key(event) } });
  }

  /** Shows these places at the top. */
  setPlaces(places) {
    this.nodes = places.map((place) => this._node({ name: place.name, location: place.location, symbol: symbolOfPlace(place),
      level: 1, place }));
    this.root.replaceChildren(...this.nodes.map((node) => node.branch));
    this._focusable(this.nodes[0]);
  }

  /** Marks a location, and opens the branches that lead to it as far as they are known. */
  async reveal(location) {
    this.at = location;
    for (const each of this.root.querySelectorAll('[aria-selected="true"]')) each.setAttribute("aria-selected", "false");
    let nodes = this.nodes;
    let nearest = null;
    while (nodes) {
      const next = longest(nodes.filter((node) => location && inside(location, node.location)));
      if (!next) break;
      nearest = next;
      if (same(next.location, location)) break;
      if (!next.children) await this.open(next);
      else this._show(next, true);
      if (this.at !== location) return;
      nodes = next.children;
    }
    if (!nearest) return;
    nearest.item.setAttribute("aria-selected", "true");
    this._focusable(nearest);
    nearest.item.scrollIntoView({ block: "nearest" });
  }

  /** Opens a branch. */
  async open(node) {
    this._show(node, true);
    if (node.children) return;
    const note = element("div.tree-note", {}, "Loading…");
    node.group.replaceChildren(note);
    try {
      const found = await directoriesOf(node.location);
      node.children = found.items.map((each) => this._node({ name: each.name, location: each.location, level: node.level + 1,
        symbol: node.place?.kind === "remote" ? "bucket" : "folder", above: node }));
      node.group.replaceChildren(...node.children.map((each) => each.branch));
      if (found.more) node.group.append(element("div.tree-note", {}, "More are shown in the list."));
      if (!found.items.length) {
        node.item.removeAttribute("aria-expanded");
        node.turn.replaceChildren();
      }
    } catch (error) {
      note.textContent = error.message;
      note.classList.add("bad");
      node.children = null;
    }
  }

  /** Fetches again what is below a location, or below the nearest directory above it that the tree knows. */
  async refresh(location) {
    const node = this._nearest(location);
    if (!node?.children) return;
    const open = node.item.getAttribute("aria-expanded") !== "false";
    node.children = null;
    node.item.setAttribute("aria-expanded", String(open));
    if (!node.turn.firstChild) node.turn.append(icon("chevron"));
    if (!open) {
      node.group.replaceChildren();
      return;
    }
    await this.open(node);
    if (this.at) await this.reveal(this.at);
  }

  /** The location of the branch under an element; null where there is none. */
  locationAt(target) {
    return target.closest?.(".tree-row")?.node.location ?? null;
  }

  _node({ name, location, symbol, level, place = null, above = null }) {
    const turn = element("span.turn", { "aria-hidden": "true" }, icon("chevron"));
    const broken = place !== null && isBroken(place);
    const item = element("div.tree-row", { role: "treeitem", tabIndex: -1, title: place?.note || shownName(name), "aria-level": level,
      "aria-expanded": "false", "aria-selected": "false" }, turn,
      icon(symbol, symbol === "folder" ? "folder" : ""), element("bdi.label", {}, shownName(name)),
      broken ? element("span.state-dot", {}) : null, broken ? element("span.unseen", {}, "not available") : null);
    const group = element("ul", { role: "group", hidden: true });
    const branch = element("li", { role: "none" }, item, group);
    const node = { name, location, level, place, above, item, branch, turn, group, children: null };
    item.node = node;
    return node;
  }

  _show(node, open) {
    if (node.turn.firstChild) node.item.setAttribute("aria-expanded", String(open));
    node.group.hidden = !open;
  }

  _nearest(location) {
    let found = null;
    let nodes = this.nodes;
    while (nodes) {
      const next = longest(nodes.filter((node) => inside(location, node.location)));
      if (!next) break;
      found = next;
      nodes = next.children;
    }
    return found;
  }

  _click(event) {
    const item = event.target.closest(".tree-row");
    if (!item) return;
    const { node } = item;
    const open = item.getAttribute("aria-expanded") === "true";
    if (event.target.closest(".turn") && node.turn.firstChild) {
      if (open) this._show(node, false);
      else this.open(node);
      return;
    }
    this._pick(node);
  }

  _pick(node) {
    this._focusable(node);
    this.choose(node.location, node);
  }

  _focusable(node) {
    if (!node) return;
    for (const each of this.root.querySelectorAll('[tabindex="0"]')) each.tabIndex = -1;
    node.item.tabIndex = 0;
  }

  _key(event) {
    const item = event.target.closest('[role="treeitem"]');
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const { node } = item;
    const shown = [...this.root.querySelectorAll('[role="treeitem"]')].filter((each) => each.offsetParent !== null);
    const at = shown.indexOf(item);
    const open = item.getAttribute("aria-expanded") === "true";
    const go = (other) => { if (other) { this._focusable(other.node); other.focus(); } };
    const keys = {
      ArrowDown: () => go(shown[at + 1]), ArrowUp: () => go(shown[at - 1]), Home: () => go(shown[0]), End: () => go(shown.at(-1)),
      ArrowRight: () => { if (!open) this.open(node); else go(node.children?.[0]?.item); },
      ArrowLeft: () => { if (open) this._show(node, false); else go(node.above?.item); },
      Enter: () => this._pick(node), " ": () => this._pick(node),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }
}

/* A listing mixes files and directories, and so several pages may be needed to find some. */
async function directoriesOf(location) {
  const items = [];
  let after = null;
  for (let pages = 0; pages < 10 && items.length < MOST; pages += 1) {
    const answer = await call("GET", "page/list", { parameters: { location, after, limit: 1000 } });
    items.push(...answer.items.filter((item) => item.kind === "directory"));
    after = answer.next;
    if (!after) break;
  }
  return { items: items.slice(0, MOST), more: Boolean(after) || items.length > MOST };
}

function longest(nodes) {
  return nodes.reduce((best, node) => (!best || node.location.length > best.location.length ? node : best), null);
}
