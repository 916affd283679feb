/** Short messages at the foot of the page; screen readers hear them. */

import { byId, element, icon, iconButton } from "./elements.js";

const SHOWN = 5;

/** Says that something is done. */
export function say(text) {
  show(text, "check", "good", 5000);
}

/** Says what went wrong. It stays until it is closed, or for a while that is long enough to read it. */
export function complain(problem) {
  if (problem?.name === "AbortError") return;
  const text = typeof problem === "string" ? problem : problem.message;
  show(text, "warn", "bad", Math.max(9000, text.length * 90));
}

/** Runs a function and shows the error it ends with; returns its result. */
export async function reporting(work) {
  try {
    return await work();
  } catch (error) {
    complain(error);
    return undefined;
  }
}

function show(text, symbol, kind, milliseconds) {
  const place = byId("toasts");
  for (const same of place.querySelectorAll(".toast")) if (same.dataset.text === text) same.remove();
  const toast = element("div.toast", { data: { text } }, icon(symbol), element("p", {}, text),
    iconButton("Close", "close", () => toast.remove(), { kind: "small" }));
  toast.classList.add(kind);
  place.append(toast);
  while (place.children.length > SHOWN) place.firstChild.remove();
  let timer = setTimeout(() => toast.remove(), milliseconds);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", () => { timer = setTimeout(() => toast.remove(), 3000); });
}
