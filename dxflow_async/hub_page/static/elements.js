/** Makes elements. Texts become text nodes: no text of a user or a server is ever parsed as markup. */

import { shownName } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 * @param {string} tag the tag's name, with classes after dots: "p.quiet.small"
 * @param {object} [options] `on` holds listeners by event, `data` the dataset; anything else is a property that the
 *   element has, or an attribute. False and null leave an attribute out.
 * @param {...(Node|string|null)} children nodes and texts
 */
export function element(tag, options = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key in made && !key.startsWith("aria") && key !== "list") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Makes an icon of the symbols in the page; screen readers skip it. */
export function icon(name, kind = "") {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", kind ? `icon ${kind}` : "icon");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  made.append(use);
  return made;
}

/** Shows another symbol in an icon. */
export function setIcon(made, name, kind = "") {
  made.setAttribute("class", kind ? `icon ${kind}` : "icon");
  made.firstChild.setAttribute("href", `#i-${name}`);
}

/** Makes an element of SVG. */
export function drawing(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Makes a button with an icon and a word. */
export function button(label, { symbol = null, kind = "", action, ...options } = {}) {
  const word = element("span.word", {}, label);
  return element(`button.button${dotted(kind)}`, { type: "button", on: { click: action }, ...options }, symbol && icon(symbol), word);
}

/** Makes a button that shows an icon only; its label is its title and its accessible name. */
export function iconButton(label, symbol, action, { kind = "", ...options } = {}) {
  const named = { type: "button", title: label, "aria-label": label, on: { click: action }, ...options };
  return element(`button.icon-button${dotted(kind)}`, named, icon(symbol));
}

function dotted(classes) {
  return classes ? `.${classes.split(" ").join(".")}` : "";
}

/** Makes an element with a name in its own direction of writing. */
export function nameOf(name, tag = "bdi.name") {
  return element(tag, { title: shownName(name) }, shownName(name));
}

/** Finds an element of the page by its id. */
export function byId(id) {
  return document.getElementById(id);
}
