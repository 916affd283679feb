/** Writes values for people: sizes, counts, times and names. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const COUNT = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const MINUTE = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Writes a number of bytes with a binary unit and three significant digits. */
export function bytes(size) {
  let unit = 0;
  while (Math.abs(size) >= 999.5 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit ? Number(size.toPrecision(3)) : Math.round(size)} ${UNITS[unit]}`;
}

/** Writes a speed. */
export function rate(perSecond) {
  return `${bytes(perSecond)}/s`;
}

/** Writes a number with separators of thousands. */
export function count(value) {
  return COUNT.format(value);
}

/** Writes a number with its noun: "1 file", "2,000 files". */
export function counted(value, noun, plural = `${noun}s`) {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

/** Writes a time in seconds in the unit that fits. */
export function duration(seconds) {
  if (seconds < 1) return "1 s";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

/** Reads a time of the server: ISO 8601 text or seconds since 1970. Returns null where there is none. */
export function asDate(value) {
  if (value === null || value === undefined || value === "") return null;
  const date = new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** Writes a day, or the time of day for today. */
export function when(value) {
  const date = asDate(value);
  if (!date) return "";
  return date.toDateString() === new Date().toDateString() ? `Today, ${MINUTE.format(date)}` : DAY.format(date);
}

/** Writes a time with its day and seconds. */
export function exactTime(value) {
  const date = asDate(value);
  return date ? EXACT.format(date) : "";
}

/* Control characters, and marks that change the direction of the text around them. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff\ud800-\udfff]/gu;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Writes a name so that each character of it can be seen: a line break is shown as \n. */
export function shownName(name) {
  return name.replace(UNSEEN, (character) =>
    SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
