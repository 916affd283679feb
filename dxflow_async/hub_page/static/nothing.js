/** What stands in place of a list that has no rows: it is loading, empty, or could not be loaded. */

import { button, element, icon } from "./elements.js";
import { shownName } from "./format.js";

/** The nodes to show; null where the list has rows. */
export function nothing(browser) {
  const { items } = browser;
  if (items.view.length) return null;
  if (items.error) {
    return said("warn", "This cannot be shown", items.error.message,
      button("Try again", { symbol: "refresh", action: () => browser.show(browser.location) }));
  }
  if (!items.complete && !items.more) return [element("span.spinner", {}), element("p", { role: "status" }, browser.searched === null ? "Loading…" : "Searching…")];
  if (browser.searched !== null) return said("search", "Nothing found", `No name below this folder holds “${shownName(browser.searched)}”.`);
  if (items.filter) return said("search", "No such name here", "Press Enter to search all folders below.");
  if (!browser.writable()) return said("bucket", "Nothing here yet", "This place has no storage areas that your account may see.");
  if (browser.unkept.has(browser.location)) {
    return said("folder-plus", "A new folder", "It exists once it holds a file: this place keeps no empty folders. Drop files and folders here, or choose them with Upload.");
  }
  return said("folder", "This folder is empty", "Drop files and folders here, or choose them with Upload.");
}

function said(symbol, title, words, deed = null) {
  return [icon(symbol), element("strong", {}, title), element("p", {}, words), ...(deed ? [deed] : [])];
}
