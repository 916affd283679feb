/** What can be done with items. Each is offered in the toolbar, in menus, by keys, and beside the preview. */

import { address, call, request } from "./api.js";
import { askText, countsOf, nameProblem, namesList, openDialog } from "./dialogs.js";
import { button, element } from "./elements.js";
import { counted, shownName } from "./format.js";
import { linkDialog } from "./links.js";
import { measure } from "./loading.js";
import { child, lastName } from "./locations.js";
import { pickDestination } from "./picker.js";
import { complain, reporting, say } from "./toasts.js";

/* Servers and proxies refuse longer addresses. */
const LONGEST_ADDRESS = 7000;

export class Deeds {
  /** @param {object} browser @param {import("./jobs.js").Jobs} jobs */
  constructor(browser, jobs) {
    this.browser = browser;
    this.jobs = jobs;
    this.clipboard = null;
  }

  /** The actions for these items; null stands for a line between groups. */
  entries(items) {
    if (!items.length) return [];
    const [item] = items;
    const one = items.length === 1;
    const directory = item.kind === "directory";
    const areas = items.some((each) => each.area);
    return [
      one && { label: directory ? "Open" : "Preview", symbol: directory ? "folder" : "panel", keys: "Enter", elsewhere: true, action: () => this.browser.open(item) },
      { label: one && !directory ? "Download" : "Download zip", symbol: "download", action: () => this.download(items) },
      one && !directory && { label: "Link", symbol: "symlink", action: () => linkDialog(item) },
      one && directory && { label: "Count", symbol: "measure", action: () => this.measure(item) },
      null,
      { label: "Copy to", symbol: "copy", action: () => this.transfer("copy", items) },
      !areas && { label: "Move to", symbol: "move", action: () => this.transfer("move", items) },
      one && !areas && { label: "Rename", symbol: "rename", keys: "F2", action: () => this.rename(item) },
      ...(areas ? [] : [null, { label: "Delete", symbol: "trash", keys: "Del", bad: true, action: () => this.remove(items) }]),
    ].filter((entry) => entry !== false);
  }

  /** Downloads a file, or several items and folders as one zip. */
  async download(items) {
    const locations = items.map((item) => item.location);
    const file = items.length === 1 && items[0].kind !== "directory";
    const link = file ? address("page/file", { location: locations[0] }) : address("page/zip", { location: locations });
    if (link.length > LONGEST_ADDRESS) {
      complain("These are too many names for one download. Select fewer, or download the folder that they are in.");
      return;
    }
    await reporting(async () => {
      if (file) await request("HEAD", "page/file", { parameters: { location: locations[0] } }).catch((error) => this._unreadable(error, items[0]));
      const anchor = element("a", { href: link, download: "", hidden: true });
      document.body.append(anchor);
      anchor.click();
      anchor.remove();
    });
  }

  /* The answer to HEAD has no sentence in it. */
  _unreadable(error, item) {
    if (error.code !== "unexpected") throw error;
    const reason = { 403: "you may not read it", 404: "it is not there any more", 429: "the storage asks for a pause; try again in a minute" }[error.status]
      ?? "the storage did not answer as it should; try again";
    throw new Error(`“${shownName(item.name)}” cannot be downloaded: ${reason}.`);
  }

  /** Counts what is in a directory. */
  async measure(item) {
    const { items } = this.browser;
    await reporting(() => measure(item, () => items.touched(), this.browser.signal()));
  }

  /** Asks for a destination, then copies or moves as a job of the server. */
  async transfer(verb, items) {
    const answer = await pickDestination(verb, items, this.browser.places, this.browser.location);
    if (!answer) return;
    await reporting(() => this.jobs.start({ verb, sources: items.map((item) => item.location), ...answer }));
    this.browser.showWork();
  }

  /** Keeps the selection to be pasted in another directory. */
  keep(verb, items) {
    if (!items.length) return;
    this.clipboard = { verb, items };
    say(`${counted(items.length, "item")} kept. Open another folder and press Ctrl+V.`);
  }

  /** Copies or moves what was kept, after a look at the destination. */
  async paste() {
    if (!this.clipboard) return;
    const { verb, items } = this.clipboard;
    if (verb === "move") this.clipboard = null;
    await this.transfer(verb, items);
  }

  /** Renames an item. */
  async rename(item) {
    const dot = item.kind === "directory" ? -1 : item.name.lastIndexOf(".");
    const name = await askText(`Rename “${shownName(item.name)}”`, { label: "New name", value: item.name, done: "Rename", check: nameProblem,
      selectTo: dot > 0 ? dot : item.name.length });
    if (!name || name === item.name) return;
    if (this.browser.items.all.some((each) => each.name === name)) {
      complain(`“${shownName(name)}” exists here already. Choose another name.`);
      return;
    }
    this.browser.wanted = name;
    await reporting(() => this.jobs.start({ verb: "rename", sources: [item.location], name, overwrite: false }));
  }

  /** Deletes items after a question that says how much it is. */
  remove(items) {
    if (!items.length || items.some((item) => item.area)) return;
    const job = { verb: "delete", sources: items.map((item) => item.location) };
    const stop = new AbortController();
    const go = button("Delete", { symbol: "trash", kind: "danger", action: async () => {
      opened.close();
      await reporting(() => this.jobs.start(job));
      this.browser.showWork();
    } });
    const what = items.length === 1 ? `“${shownName(items[0].name)}”` : counted(items.length, "item");
    const opened = openDialog(`Delete ${what}?`, [
      ...(items.length > 1 ? [namesList(items)] : []),
      countsOf(job, stop.signal), element("p.quiet", {}, "This cannot be undone.")],
    [button("Cancel", { action: () => opened.close() }), go], { closed: () => stop.abort() });
    opened.dialog.querySelector(".dialog-foot button").focus();
  }

  /** Makes a directory in the shown one. One that is not there before a file is in it is opened. */
  async newFolder() {
    const { location } = this.browser;
    const name = await askText("New folder", { label: "Name", done: "Create", check: nameProblem });
    if (!name) return;
    await reporting(async () => {
      const made = child(location, name);
      const { exists } = await call("POST", "page/directories", { body: { location: made } });
      if (exists) {
        this.browser.wanted = lastName(name);
        await this.browser.refresh(location);
      } else this.browser.enterUnkept(made);
    });
  }
}
