/** A small curve of the last rates. */

import { drawing } from "./elements.js";

const WIDTH = 92;
const HEIGHT = 26;
const POINTS = 60;

/** Makes an empty curve. */
export function sparkline() {
  const made = drawing("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  made.append(drawing("polygon", { class: "area" }), drawing("polyline", { class: "line" }));
  return made;
}

/** Draws rates, the newest at the right. */
export function drawSparkline(made, rates) {
  const [area, line] = made.children;
  made.classList.toggle("empty", rates.length < 2);
  if (rates.length < 2) {
    area.setAttribute("points", "");
    line.setAttribute("points", "");
    return;
  }
  const most = Math.max(...rates) || 1;
  const step = WIDTH / Math.max(rates.length - 1, Math.min(POINTS, 12) - 1);
  const first = WIDTH - step * (rates.length - 1);
  const points = rates.map((rate, at) => `${(first + at * step).toFixed(1)},${(HEIGHT - 2 - (HEIGHT - 4) * (rate / most)).toFixed(1)}`);
  line.setAttribute("points", points.join(" "));
  area.setAttribute("points", `${first.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
}
