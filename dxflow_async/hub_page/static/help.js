/** The dialog about keys. */

import { openDialog } from "./dialogs.js";
import { button, element } from "./elements.js";

const KEYS = [
  [["↑", "↓"], "Move in the list; with Shift, select on the way"],
  [["Enter"], "Open a folder, or show a file"],
  [["Backspace"], "Go to the folder above (also Alt+↑)"],
  [["Space"], "Select or deselect"],
  [["Ctrl A"], "Select everything"],
  [["Ctrl C", "Ctrl V"], "Copy the selection to the folder where you paste it"],
  [["Ctrl X", "Ctrl V"], "Move it there"],
  [["Delete"], "Delete the selection, after a question"],
  [["F2"], "Rename"],
  [["/"], "Filter names; Enter searches all folders below"],
  [["Esc"], "Clear the filter or the selection"],
  [["?"], "Show this help"],
];

/** Opens the help. */
export function openHelp() {
  const pairs = KEYS.flatMap(([keys, words]) => [
    element("dt", {}, ...keys.flatMap((key, at) => (at ? [" ", element("kbd", {}, key)] : [element("kbd", {}, key)]))), element("dd", {}, words)]);
  const opened = openDialog("Keyboard", [element("dl.keys", {}, ...pairs),
    element("p.quiet.small", {}, "Drop files and folders anywhere on the page to upload them into the folder that is open, or onto a folder.")],
  [button("Close", { kind: "primary", action: () => opened.close() })], { wide: true });
  opened.dialog.querySelector("button").focus();
}
