/** A menu of actions at a point, as after a right click. */

import { element, icon } from "./elements.js";

let open = null;

/**
 * Opens a menu.
 * @param {Array<object|null>} entries `{label, symbol, action, keys, bad}`; null draws a line
 * @param {number} x
 * @param {number} y
 */
export function openMenu(entries, x, y) {
  closeMenu();
  const before = document.activeElement;
  const menu = element("div.menu", { role: "menu", tabIndex: -1 });
  for (const entry of entries) {
    menu.append(entry ? element(`button${entry.bad ? ".bad" : ""}`, { type: "button", role: "menuitem", tabIndex: -1,
      on: { click: () => { closeMenu(); entry.action(); } } }, icon(entry.symbol), element("span", {}, entry.label),
    entry.keys ? element("kbd", { "aria-hidden": "true" }, entry.keys) : null) : element("hr", { role: "separator" }));
  }
  document.body.append(menu);
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(y, innerHeight - height - 8))}px`;
  menu.addEventListener("keydown", key);
  open = { menu, before };
  menu.querySelector("button").focus();
  setTimeout(() => addEventListener("pointerdown", outside, true));
  addEventListener("blur", closeMenu);
  addEventListener("resize", closeMenu);
}

/** Closes the open menu, and gives the focus back to where it was. */
export function closeMenu() {
  if (!open) return;
  const { menu, before } = open;
  open = null;
  const focused = menu.contains(document.activeElement);
  menu.remove();
  removeEventListener("pointerdown", outside, true);
  removeEventListener("blur", closeMenu);
  removeEventListener("resize", closeMenu);
  if (focused) before?.focus();
}

function outside(event) {
  if (!open?.menu.contains(event.target)) closeMenu();
}

function key(event) {
  const buttons = [...open.menu.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  event.stopPropagation();
  if (event.key === "Escape" || event.key === "Tab") closeMenu();
  else if (event.key === "ArrowDown") buttons[(at + 1) % buttons.length].focus();
  else if (event.key === "ArrowUp") buttons.at(at - 1).focus();
  else if (event.key === "Home") buttons[0].focus();
  else if (event.key === "End") buttons.at(-1).focus();
  else return;
  event.preventDefault();
}
