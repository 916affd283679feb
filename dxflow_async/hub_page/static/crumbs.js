/** The path of the shown directory, each step a link. */

import { element } from "./elements.js";
import { shownName } from "./format.js";
import { toHash } from "./locations.js";

/** Shows steps `{name, location}`; the last one is where the reader is. */
export function drawCrumbs(place, steps) {
  const cut = steps.length > 6 ? [steps[0], { name: "…", location: steps.at(-5).location }, ...steps.slice(-4)] : steps;
  place.replaceChildren(element("ol", {}, ...cut.map((step, at) => element("li", {},
    at === cut.length - 1 ? element("span", { "aria-current": "page", title: shownName(step.name) }, element("bdi", {}, shownName(step.name)))
      : element("a", { href: toHash(step.location), title: shownName(step.name) }, element("bdi", {}, shownName(step.name)))))));
}
