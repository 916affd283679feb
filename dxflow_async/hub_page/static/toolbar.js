/** The tools above the list: what can be done here or with the selection, and the field that filters. */

import { button, element, icon, iconButton } from "./elements.js";
import { counted } from "./format.js";
import { openMenu } from "./menu.js";

export class Toolbar {
  /** @param {object} actions `upload(folder)`, `newFolder()`, `entries(items)`, `none()`, `filter(text)`, `search(text)`, `details()`, `toList()` */
  constructor(actions) {
    this.actions = actions;
    this.key = "";
    this.tools = element("div.tools", { role: "toolbar", "aria-label": "Actions" });
    this.input = element("input.input", { type: "search", placeholder: "Filter", "aria-label": "Filter names; Enter searches below", spellcheck: false,
      autocomplete: "off", title: "Filter names (/). Enter searches all folders below." });
    this.clear = iconButton("Clear the filter", "close", () => this.reset(true), { kind: "small", hidden: true });
    this.panel = iconButton("Details", "panel", () => actions.details(), { "aria-pressed": "false" });
    this.root = element("div.toolbar", {}, this.tools, element("div.find", {}, icon("search"), this.input, this.clear), this.panel);
    this.input.addEventListener("input", () => this._typed());
    this.input.addEventListener("keydown", (event) => this._key(event));
  }

  /** Shows the tools for a selection, or for the directory where nothing is selected. */
  draw(items, writable) {
    const key = items.length === 1 ? `1 ${items[0].location}` : `${items.length} ${writable} ${items.some((item) => item.area)}`;
    if (key === this.key) return;
    this.key = key;
    this.root.classList.toggle("has-chosen", items.length > 0);
    if (!items.length) {
      const upload = button("Upload", { symbol: "upload", kind: "primary", disabled: !writable, "aria-haspopup": "menu",
        "aria-label": "Upload", action: () => this._uploadMenu(upload) });
      this.tools.replaceChildren(upload, button("New folder", { symbol: "folder-plus", disabled: !writable, "aria-label": "New folder", action: () => this.actions.newFolder() }));
      return;
    }
    const entries = this.actions.entries(items).filter((entry) => entry && !entry.elsewhere);
    this.tools.replaceChildren(iconButton("Deselect", "close", () => this.actions.none(), { kind: "small" }),
      element("span.chosen", {}, items.length.toLocaleString("en"), element("span.word", {}, " selected")),
      ...entries.map((entry) => button(entry.label, { symbol: entry.symbol, kind: "plain", title: entry.label, "aria-label": entry.label, action: entry.action })));
    this.tools.setAttribute("aria-label", `Actions for ${counted(items.length, "selected item")}`);
  }

  /** Empties the field. */
  reset(tell = false) {
    this.input.value = "";
    this.clear.hidden = true;
    if (tell) { this.actions.filter(""); this.input.focus(); }
  }

  _uploadMenu(anchor) {
    const box = anchor.getBoundingClientRect();
    openMenu([{ label: "Files", symbol: "file", action: () => this.actions.upload(false) },
      { label: "A folder", symbol: "folder", action: () => this.actions.upload(true) }], box.left, box.bottom + 6);
  }

  _typed() {
    this.clear.hidden = !this.input.value;
    this.actions.filter(this.input.value);
  }

  _key(event) {
    if (event.key === "Escape") {
      if (this.input.value) this.reset(true);
      else this.actions.toList();
    } else if (event.key === "Enter" && this.input.value.trim()) this.actions.search(this.input.value.trim());
    else if (event.key === "ArrowDown") this.actions.toList();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
