/** The overview of all places, before one of them is opened. */

import { element, icon } from "./elements.js";
import { shownName } from "./format.js";
import { isBroken, placeWords, symbolOfPlace } from "./kinds.js";
import { toHash } from "./locations.js";

const GROUPS = [["local", "On this machine"], ["remote", "Cloud storage and servers"], ["unit", "Compute units"]];

/** Makes the overview. */
export function homeView(places, session) {
  const groups = GROUPS.map(([kind, title]) => [title, places.filter((place) => place.kind === kind)])
    .filter(([, some]) => some.length);
  const advice = session.mode === "ui"
    ? "Add a remote with “dxflow-async remotes add”, then load this page again."
    : "Ask whoever runs this hub to set up a storage provider for your account, or start a compute unit.";
  return element("div.home", {}, element("h1", {}, "Your places"),
    element("p.quiet", {}, places.length ? "Open one to see its files. Drop files anywhere to upload them." : advice),
    ...groups.flatMap(([title, some]) => [element("h2.home-group", {}, title), element("ul.home-cards", {}, ...some.map(card))]));
}

function card(place) {
  return element("li", {}, element(`a.home-card${place.state === "unconfigured" ? ".unset" : ""}`, { href: toHash(place.location) },
    element("span.badge", {}, icon(symbolOfPlace(place))),
    element("span", {}, element("strong", {}, element("bdi", {}, shownName(place.name))),
      element(`small${isBroken(place) ? ".bad" : ""}`, {}, placeWords(place)))));
}
