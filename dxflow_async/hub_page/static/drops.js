/** Collects the files that somebody drops or chooses, folders with all that is in them. */

import { shownName } from "./format.js";

/**
 * Reads what was dropped. Call it in the handler of the event: the browser forgets the entries afterwards.
 * @param {DataTransfer} transfer
 * @param {(found: number) => void} [progress]
 * @returns {Promise<{files: Array<{file: File, path: string}>, directories: string[], unreadable: string[]}>} paths are
 *   relative; `directories` are the empty ones
 */
export function dropped(transfer, progress = () => {}) {
  const entries = [...transfer.items].filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  return collect(entries, progress);
}

async function collect(entries, progress) {
  const found = { files: [], directories: [], unreadable: [] };
  const pending = [];
  for (const { entry, file } of entries) {
    if (entry) pending.push(entry);
    else if (file) found.files.push({ file, path: file.name });
  }
  while (pending.length) {
    const entry = pending.pop();
    const path = entry.fullPath.replace(/^\/+/u, "");
    try {
      if (entry.isDirectory) {
        const below = await contents(entry);
        if (!below.length) found.directories.push(path);
        pending.push(...below.reverse());
      } else {
        found.files.push({ file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }), path });
        if (found.files.length % 50 === 0) progress(found.files.length);
      }
    } catch {
      found.unreadable.push(shownName(path));
    }
  }
  return found;
}

/* A reader gives some entries at a time, and none after the last. */
async function contents(directory) {
  const reader = directory.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return all;
    all.push(...some);
  }
}

/** The files of a file input, as `dropped` gives them. */
export function picked(input) {
  const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  input.value = "";
  return { files, directories: [], unreadable: [] };
}

/** Opens the browser's dialog for files, or for a folder. */
export function pickFiles({ folder = false, multiple = true } = {}) {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = multiple;
    input.webkitdirectory = folder;
    input.hidden = true;
    input.addEventListener("change", () => { resolve(picked(input)); input.remove(); });
    input.addEventListener("cancel", () => { resolve(null); input.remove(); });
    document.body.append(input);
    input.click();
  });
}

/** Whether a drag carries files, and not a text or a link. */
export function carriesFiles(event) {
  return [...(event.dataTransfer?.types ?? [])].includes("Files");
}
