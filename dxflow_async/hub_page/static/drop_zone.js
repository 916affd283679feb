/** Files dropped anywhere on the page go into the open directory, or into the folder they are dropped on. */

import { carriesFiles, dropped } from "./drops.js";
import { byId } from "./elements.js";
import { shownName } from "./format.js";
import { complain } from "./toasts.js";

/** Listens to drags for a browser; `send(destination, found)` takes what was dropped. */
export function listenToDrops(browser, tree, send) {
  const hint = byId("drop-hint");
  let marked = null;
  let timer = null;

  const end = () => {
    clearTimeout(timer);
    hint.hidden = true;
    marked?.classList.remove("drop-target", "over");
    marked = null;
  };

  const mark = (element, kind) => {
    if (marked === element) return;
    marked?.classList.remove("drop-target", "over");
    marked = element;
    element?.classList.add(kind);
  };

  /* Where a drop at this point goes; null where it cannot. */
  const destination = (target) => {
    const branch = tree.locationAt(target);
    if (branch !== null) {
      mark(target.closest(".tree-row"), "over");
      return branch;
    }
    const item = browser.list.itemAt(target);
    if (item?.kind === "directory") {
      mark(target.closest(".row"), "drop-target");
      return item.location;
    }
    mark(null);
    return browser.writable() ? browser.location : null;
  };

  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const open = document.querySelector("dialog[open]");
    const place = open ? null : destination(event.target);
    event.dataTransfer.dropEffect = place === null ? "none" : "copy";
    byId("drop-place").textContent = place === null ? "Open a folder first." : `to ${shownName(place)}`;
    hint.hidden = Boolean(open) || marked !== null;
    clearTimeout(timer);
    timer = setTimeout(end, 400);
  });
  document.addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const place = document.querySelector("dialog[open]") ? null : destination(event.target);
    end();
    if (place === null) {
      complain("Files cannot be put here. Open a folder first, then drop them again.");
      return;
    }
    send(place, await dropped(event.dataTransfer));
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) end(); });
}
