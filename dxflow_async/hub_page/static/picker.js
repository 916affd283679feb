/** The dialog that asks where to copy or move something, with a tree of all places. */

import { call } from "./api.js";
import { askText, countsOf, nameProblem, openDialog } from "./dialogs.js";
import { button, element } from "./elements.js";
import { counted, shownName } from "./format.js";
import { child, inside, parent, placeOf, same, steps } from "./locations.js";
import { complain } from "./toasts.js";
import { Tree } from "./tree.js";

const EXISTING = [["skip", "Keep what is there"], ["replace", "Replace it"], ["stop", "Report an error"]];
const OVERWRITE = { skip: "skip", replace: true, stop: false };

/**
 * Asks for a destination.
 * @param {"copy"|"move"} verb
 * @param {object[]} items what is copied
 * @param {object[]} places
 * @param {string} start where the tree opens
 * @returns {Promise<{destination: string, overwrite: boolean|"skip"}|null>}
 */
export function pickDestination(verb, items, places, start) {
  return new Promise((resolve) => {
    let answer = null;
    let chosen = null;
    const stop = new AbortController();
    const word = verb === "copy" ? "Copy" : "Move";
    const where = element("p.picker-chosen", { role: "status" }, "Choose a folder.");
    const go = button(`${word} here`, { kind: "primary", disabled: true, action: () => {
      answer = { destination: chosen, overwrite: OVERWRITE[existing.querySelector("input:checked").value] };
      opened.close();
    } });
    const fresh = button("New folder", { symbol: "folder-plus", kind: "plain left", disabled: true, action: async () => {
      const name = await askText("New folder", { label: "Name", done: "Create", check: nameProblem });
      if (!name) return;
      try {
        const made = child(chosen, name);
        const { exists } = await call("POST", "page/directories", { body: { location: made } });
        if (exists) await tree.refresh(chosen);
        choose(made);
        tree.reveal(chosen);
      } catch (error) {
        complain(error);
      }
    } });
    const choose = (location) => {
      chosen = location;
      const way = steps(location, places).map((step) => shownName(step.name)).join(" / ");
      const wrong = problem(items, location, places);
      where.replaceChildren(wrong || "To ", wrong ? "" : element("b", {}, element("bdi", {}, way)));
      go.disabled = Boolean(wrong);
      fresh.disabled = !placeOf(location, places);
    };
    const tree = new Tree("Destinations", (location, node) => {
      choose(location);
      tree.reveal(location);
      if (node.item.getAttribute("aria-expanded") === "false") tree.open(node);
    });
    tree.setPlaces(places.filter((place) => !place.state || place.state === "ok"));
    const existing = element("fieldset.choices", {}, element("legend", {}, "If a file is already there"),
      ...EXISTING.map(([value, label]) => element("label", {},
        element("input", { type: "radio", name: "existing", value, checked: value === "skip" }), element("span", {}, label))));
    const title = items.length === 1 ? `${word} “${shownName(items[0].name)}” to` : `${word} ${counted(items.length, "item")} to`;
    const counts = countsOf({ verb: "copy", sources: items.map((item) => item.location), destination: start }, stop.signal);
    const opened = openDialog(title, [element("div.picker-tree", {}, tree.root), where, existing, counts],
      [fresh, button("Cancel", { action: () => opened.close() }), go],
      { wide: true, closed: () => { stop.abort(); resolve(answer); } });
    tree.root.querySelector('[tabindex="0"]')?.focus();
    if (start) tree.reveal(start).then(() => chosen === null && choose(start));
  });
}

/* What is wrong with a destination; empty where nothing is. */
function problem(items, location, places) {
  const place = placeOf(location, places);
  if (!place) return "Choose a folder.";
  if (place.kind === "remote" && same(location, place.location)) return `Choose a folder inside “${place.name}”.`;
  if (items.some((item) => item.kind === "directory" && inside(location, item.location))) {
    return "A folder cannot go into itself. Choose another one.";
  }
  if (items.every((item) => parent(item.location, places) && same(parent(item.location, places), location))) {
    return "It is there already. Choose another folder.";
  }
  return "";
}
