/** The keys of the page. Fields, menus and dialogs keep theirs. */

import { openHelp } from "./help.js";

const TYPING_PAUSE = 800;

/** Listens to keys for a browser. */
export function listenToKeys(browser) {
  const { list, deeds } = browser;
  let typed = "";
  let last = 0;

  const inList = () => list.grid.isConnected && (document.activeElement === list.grid || document.activeElement === document.body);
  const move = (event, by) => {
    const from = browser.items.active < 0 ? (by > 0 ? -1 : 0) : browser.items.active;
    list.move(from + by, { extend: event.shiftKey, only: event.ctrlKey || event.metaKey });
  };
  const to = (event, index) => list.move(index, { extend: event.shiftKey });
  const chosen = () => browser.items.chosen();

  const listKeys = {
    ArrowDown: (event) => move(event, 1), ArrowUp: (event) => move(event, -1),
    PageDown: (event) => move(event, list.rows.perPage()), PageUp: (event) => move(event, -list.rows.perPage()),
    Home: (event) => to(event, 0), End: (event) => to(event, browser.items.view.length - 1),
    Enter: () => { const item = browser.items.view[browser.items.active]; if (item) browser.open(item); },
    " ": () => { if (browser.items.active >= 0) browser.items.choose(browser.items.active, { add: true }); },
    Delete: () => deeds.remove(chosen()), F2: () => { const some = chosen(); if (some.length === 1 && !some[0].area) deeds.rename(some[0]); },
    Escape: () => { if (browser.searched !== null) browser.up(); else browser.items.chooseNone(); },
    ContextMenu: () => { const box = list.activeBox(); browser.menu(box.left + 60, box.top + 24); },
  };

  const controlKeys = {
    a: () => browser.items.chooseAll(), c: () => deeds.keep("copy", chosen()), x: () => deeds.keep("move", chosen().filter((item) => !item.area)),
    v: () => deeds.paste(),
  };

  /* Letters jump to the next name that begins with them. */
  const jump = (letter) => {
    const now = performance.now();
    typed = now - last < TYPING_PAUSE ? typed + letter : letter;
    last = now;
    const index = browser.items.view.findIndex((item) => item.name.toLowerCase().startsWith(typed.toLowerCase()));
    if (index >= 0) list.move(index);
  };

  const keyOf = (event) => {
    const control = event.ctrlKey || event.metaKey;
    if (event.altKey) return event.key === "ArrowUp" ? () => browser.up() : null;
    if (control && controlKeys[event.key.toLowerCase()] && inList() && !selectsText()) return controlKeys[event.key.toLowerCase()];
    if (!control && event.key === "/") return browser.location ? () => browser.toFilter() : null;
    if (!control && event.key === "?") return openHelp;
    if (!inList()) return null;
    if (event.key === "Backspace") return () => browser.up();
    if (event.shiftKey && event.key === "F10") return listKeys.ContextMenu;
    if (listKeys[event.key]) return () => listKeys[event.key](event);
    if (!control && event.key.length === 1) return () => jump(event.key);
    return null;
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.target.closest("input, textarea, select, dialog, .menu")) return;
    const action = keyOf(event);
    if (!action) return;
    event.preventDefault();
    const before = last;
    action();
    if (last === before) typed = ""; // any other key ends the name that was being typed
  });
}

function selectsText() {
  return String(getSelection()) !== "";
}
