/** The dialog that makes a link to a file: whoever has it can download the file until it ends. */

import { call } from "./api.js";
import { openDialog } from "./dialogs.js";
import { button, element } from "./elements.js";
import { exactTime, shownName } from "./format.js";
import { say } from "./toasts.js";

const TIMES = [["1 hour", 3600], ["1 day", 86_400], ["7 days", 604_800]];

/** Opens the dialog for an item. */
export function linkDialog(item) {
  const times = element("fieldset.choices", {}, element("legend", {}, "The link ends after"),
    ...TIMES.map(([label, seconds], at) => element("label", {}, element("input", { type: "radio", name: "time", value: seconds, checked: at === 1 }),
      element("span", {}, label))));
  const result = element("div", { role: "status" });
  const make = button("Make link", { symbol: "symlink", kind: "primary", action: async () => {
    make.disabled = true;
    try {
      const expires = Number(times.querySelector("input:checked").value);
      const { url, expires_at: end } = await call("POST", "page/links", { body: { location: item.location, expires } });
      result.replaceChildren(...madeLink(url, end));
      result.querySelector("input").select();
    } catch (error) {
      result.replaceChildren(element("p.form-error", {}, error.message));
    }
    make.disabled = false;
  } });
  const opened = openDialog(`Link to “${shownName(item.name)}”`,
    [element("p.quiet", {}, "Whoever has the link can download the file, without an account."), times, result],
    [button("Close", { action: () => opened.close() }), make]);
  make.focus();
}

function madeLink(url, end) {
  const field = element("input.input", { type: "text", readOnly: true, value: url, "aria-label": "Link" });
  const copy = button("Copy", { symbol: "copy", action: () => copyText(url, field) });
  return [element("div.side-by-side", {}, field, copy), element("p.quiet.small", {}, `It ends on ${exactTime(end)}.`)];
}

/** Puts a text on the clipboard; where the browser does not allow it, the text is selected instead. */
export async function copyText(text, field = null) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    field?.select();
    say("Selected: copy it with Ctrl+C.");
  }
}
