/** Dialogs: a question with its answers, and a question for a text. */

import { button, element } from "./elements.js";
import { bytes, counted, shownName } from "./format.js";
import { lines } from "./api.js";

let serial = 0;

/**
 * Opens a dialog; the browser keeps the focus inside it.
 * @param {string} title
 * @param {Node[]} body
 * @param {Array<Node>} foot the buttons
 * @param {{wide?: boolean, closed?: () => void}} [options] `closed` is called when it has closed, however it came about
 * @returns {{dialog: HTMLDialogElement, close: () => void}}
 */
export function openDialog(title, body, foot, { wide = false, closed = () => {} } = {}) {
  const id = `dialog-${(serial += 1)}`;
  const dialog = element(`dialog${wide ? ".wide" : ""}`, { "aria-labelledby": id },
    element("div.dialog-head", {}, element("h2", { id }, title)),
    element("div.dialog-body", {}, ...body), element("div.dialog-foot", {}, ...foot));
  dialog.addEventListener("close", () => { dialog.remove(); closed(); });
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  let pressedOutside = false;
  dialog.addEventListener("pointerdown", (event) => { pressedOutside = event.target === dialog; });
  dialog.addEventListener("click", (event) => { if (pressedOutside && event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close: () => dialog.close() };
}

/** Asks for a text; resolves with it, or with null. `check` returns what is wrong with a text, or an empty one. */
export function askText(title, { label, value = "", done = "Save", check = () => "", selectTo = value.length }) {
  return new Promise((resolve) => {
    let answer = null;
    const wrong = element("p.form-error", { role: "alert" });
    const input = element("input", { type: "text", value, spellcheck: false, autocomplete: "off", dir: "auto" });
    const form = element("form", { on: { submit: (event) => { event.preventDefault(); accept(); } } },
      element("label.field", {}, element("span", {}, label), input), wrong);
    const accept = () => {
      wrong.textContent = input.value ? check(input.value) : "Write a name.";
      if (wrong.textContent) { input.focus(); return; }
      answer = input.value;
      opened.close();
    };
    const opened = openDialog(title, [form], [button("Cancel", { action: () => opened.close() }),
      button(done, { kind: "primary", action: accept })], { closed: () => resolve(answer) });
    input.focus();
    input.setSelectionRange(0, selectTo);
  });
}

/** What is wrong with a name for a file or folder; empty where nothing is. */
export function nameProblem(name) {
  if (name.includes("/")) return "A name cannot have a slash. To put something elsewhere, move it.";
  if (name === "." || name === "..") return "This name stands for a folder itself. Choose another one.";
  if (name.includes("\0")) return "A name cannot have a zero character.";
  return "";
}

/** The first names of several items, for a dialog. */
export function namesList(items) {
  const shown = items.slice(0, 50).map((item) => element("li", {}, element("bdi", {}, shownName(item.name))));
  if (items.length > 50) shown.push(element("li.quiet", {}, `and ${counted(items.length - 50, "more", "more")}`));
  return element("ul.names-list", { tabIndex: 0, "aria-label": "Selected names" }, ...shown);
}

/** Shows how much a job will touch, as the server counts it; the count ends with `signal`. */
export function countsOf(job, signal) {
  const words = element("span", {}, "Counting…");
  const spinner = element("span.spinner", {});
  const box = element("p.counts", { role: "status" }, spinner, words);
  (async () => {
    try {
      for await (const line of lines("POST", "page/jobs/count", { body: job, signal })) {
        words.replaceChildren(element("b", {}, counted(line.files, "file")), ` · ${bytes(line.bytes)}`);
      }
    } catch (error) {
      if (error.name !== "AbortError") words.textContent = `Could not be counted: ${error.message}`;
    }
    spinner.remove();
  })();
  return box;
}
