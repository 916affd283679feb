/** The uploads of this page, and those that an earlier visit left unfinished. */

import { call } from "./api.js";
import { pickFiles } from "./drops.js";
import { counted, shownName } from "./format.js";
import { lastName } from "./locations.js";
import { complain, reporting, say } from "./toasts.js";
import { fingerprintOf, makeDirectories, UploadBatch } from "./upload_batch.js";

export class Uploads extends EventTarget {
  constructor() {
    super();
    this.batches = [];
    this.unfinished = new Map();
    addEventListener("beforeunload", (event) => { if (this.busy()) event.preventDefault(); });
  }

  /** Whether something is on its way. */
  busy() {
    return this.batches.some((batch) => batch.state === "running");
  }

  /** Asks the server for unfinished uploads. */
  async lookBack() {
    const { uploads } = await call("GET", "page/uploads/");
    this.unfinished = new Map(uploads.map((upload) => [upload.fingerprint || upload.id, upload]));
    this._changed();
  }

  /** Sends files into a directory. */
  async send(destination, { files, directories, unreadable }) {
    if (unreadable.length) complain(`${counted(unreadable.length, "item")} cannot be read: ${unreadable.slice(0, 3).join(", ")}.`);
    const unkept = await reporting(() => makeDirectories(destination, directories));
    if (unkept) say(`${counted(unkept, "empty folder")} left out: this place keeps only folders that hold files.`);
    if (files.length) this._begin(new UploadBatch(destination, files, this.unfinished));
    else if (directories.length) this.dispatchEvent(new CustomEvent("arrived", { detail: destination }));
  }

  /** Goes on with unfinished uploads: the files are chosen again, since a page cannot open them by itself. */
  async goOn(only = null) {
    const chosen = await pickFiles({ multiple: !only });
    if (chosen) this._resume(chosen.files, only);
  }

  _resume(files, only) {
    const wanted = only ? [only] : [...this.unfinished.values()];
    const found = [];
    for (const { file } of files) {
      const upload = wanted.find((each) => each.fingerprint === fingerprintOf(file, each.location));
      if (upload) found.push({ file, path: lastName(upload.location), location: upload.location });
    }
    if (!found.length) {
      const name = shownName(lastName(wanted[0].location));
      complain(only || wanted.length === 1
        ? `This is not the file that was being uploaded: its name, size or time differs. Choose “${name}” as it was.`
        : "None of these files was being uploaded: their names, sizes or times differ.");
      return;
    }
    const destination = directoryOf(found[0].location);
    this._begin(new UploadBatch(destination, found, this.unfinished));
  }

  /** Forgets an unfinished upload; the server keeps nothing of it. */
  async discard(upload) {
    await reporting(async () => {
      await call("DELETE", `page/uploads/${encodeURIComponent(upload.id)}`).catch((error) => {
        if (error.status !== 404 && error.status !== 410) throw error;
      });
      this.unfinished.delete(upload.fingerprint || upload.id);
      this._changed();
    });
  }

  /** Takes an ended batch off the list. */
  dismiss(batch) {
    this.batches = this.batches.filter((each) => each !== batch);
    this._changed();
  }

  _begin(batch) {
    this.batches.unshift(batch);
    batch.addEventListener("change", () => this._changed());
    batch.addEventListener("end", () => {
      this.dispatchEvent(new CustomEvent("arrived", { detail: batch.destination }));
      if (batch.state === "done" && !batch.count("exists")) say(`${counted(batch.count("done"), "file")} uploaded.`);
    });
    this._changed();
    this.dispatchEvent(new Event("begun"));
  }

  _changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function directoryOf(location) {
  return location.slice(0, location.lastIndexOf("/") + 1);
}
