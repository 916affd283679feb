/** Fills items from the server: the pages of a directory, or the names that a search finds. */

import { call, lines } from "./api.js";
import { lastName } from "./locations.js";

/* The first page is small, to be seen soon. */
const FIRST_PAGE = 1000;
const PAGE = 5000;
/* More names than this are fetched when somebody asks for them. */
const AT_ONCE = 200_000;

/**
 * Fetches a directory page by page. Returns the first answer, which knows the directory's own location; the rest goes
 * on by itself until `signal` is aborted.
 */
export async function loadDirectory(items, location, signal, isArea = false) {
  const first = await page(location, null, signal);
  take(items, first, isArea);
  rest(items, location, first.next, signal, isArea, AT_ONCE);
  return first;
}

async function rest(items, location, next, signal, isArea, most) {
  try {
    while (next && items.all.length < most) {
      const answer = await page(location, next, signal);
      if (signal.aborted) return;
      take(items, answer, isArea);
      next = answer.next;
    }
    items.more = next ? () => { items.more = null; rest(items, location, next, signal, isArea, items.all.length + AT_ONCE); } : null;
    if (next) items.rebuild();
    else items.finish();
  } catch (error) {
    if (error.name !== "AbortError") items.finish(error);
  }
}

/** Searches below a directory. Names appear as they are found. */
export async function loadSearch(items, location, text, signal) {
  const batch = [];
  let shown = performance.now();
  const flush = () => {
    items.add(batch.splice(0));
    shown = performance.now();
  };
  try {
    for await (const line of lines("GET", "page/search", { parameters: { location, text }, signal })) {
      if (line.item) batch.push({ ...line.item, name: line.item.name ?? lastName(line.item.location) });
      else if (line.looked_at !== undefined) items.lookedAt = line.looked_at;
      if (batch.length && performance.now() - shown > 100) flush();
    }
    flush();
    items.finish();
  } catch (error) {
    if (error.name === "AbortError") return;
    flush();
    items.finish(error);
  }
}

/** Counts the files and bytes of a directory; the numbers grow on the item meanwhile. */
export async function measure(item, changed, signal) {
  if (item.measuring) return;
  item.measuring = true;
  changed();
  try {
    for await (const line of lines("GET", "page/size", { parameters: { location: item.location }, signal })) {
      item.size = line.bytes;
      item.files = line.files;
      changed();
    }
  } catch (error) {
    item.size = null;
    item.files = undefined;
    throw error;
  } finally {
    item.measuring = false;
    changed();
  }
}

function page(location, after, signal) {
  return call("GET", "page/list", { parameters: { location, after, limit: after ? PAGE : FIRST_PAGE }, signal });
}

function take(items, answer, isArea) {
  if (isArea) for (const item of answer.items) item.area = item.kind === "directory";
  items.add(answer.items);
}
