/**
 * Locations as text: `aws:/bucket/dir/x.csv`. The server says what they are; here they are only cut and joined.
 *
 * A location whose bytes are not UTF-8 is written `%:` and then percent-encoded.
 */

const ODD = "%:";

/** Removes the slash at the end, except where it is the root. */
export function trimmed(location) {
  return location.replace(/([^:/])\/+$/u, "$1");
}

/** Whether two locations are the same but for a slash at the end. */
export function same(first, second) {
  return trimmed(first) === trimmed(second);
}

/** The location of a name in a directory. */
export function child(directory, name) {
  const written = directory.startsWith(ODD) ? encoded(name) : name;
  return directory.endsWith("/") ? directory + written : `${directory}/${written}`;
}

/** The directory above; null for a place itself. */
export function parent(location, places) {
  const place = placeOf(location, places);
  if (!place || same(location, place.location)) return null;
  const text = trimmed(location);
  const above = text.slice(0, text.lastIndexOf("/") + 1);
  return inside(above, place.location) ? plain(trimmed(above)) : place.location;
}

/** Whether a location is a directory or below it. */
export function inside(location, directory) {
  if (same(location, directory)) return true;
  const end = directory.endsWith("/") ? directory : `${directory}/`;
  if (location.startsWith(ODD) === end.startsWith(ODD)) return location.startsWith(end);
  return encoded(location).startsWith(encoded(end));
}

/** The place that a location belongs to: the one with the longest location that fits. */
export function placeOf(location, places) {
  let found = null;
  for (const place of places) {
    if (inside(location, place.location) && (!found || place.location.length > found.location.length)) found = place;
  }
  return found;
}

/** The last part of a location. */
export function lastName(location) {
  const text = trimmed(location);
  const name = text.slice(text.lastIndexOf("/") + 1) || text;
  return location.startsWith(ODD) ? escaped(name) : name;
}

/** The steps from a place to a location. */
export function steps(location, places) {
  const place = placeOf(location, places);
  if (!place) return [{ name: location, location }];
  const made = [];
  for (let at = trimmed(location); at && !same(at, place.location); at = parent(at, places)) {
    made.unshift({ name: lastName(at), location: at });
  }
  return [{ name: place.name, location: place.location }, ...made];
}

/** The text after # in the address of the page. */
export function toHash(location) {
  return `#${encodeURIComponent(location).replaceAll("%2F", "/").replaceAll("%3A", ":")}`;
}

/** The location in the address of the page; empty for the overview, and where the text is not valid. */
export function fromHash(hash) {
  try {
    return decodeURIComponent(hash.replace(/^#/u, ""));
  } catch {
    return "";
  }
}

/* A location without the mark of odd ones, if it is not one: what is above an odd name may be a usual one. */
function plain(location) {
  if (!location.startsWith(ODD)) return location;
  try {
    return decodeURIComponent(location.slice(ODD.length));
  } catch {
    return location;
  }
}

/* A location as the server percent-encodes odd ones. */
function encoded(location) {
  if (location.startsWith(ODD)) return location.slice(ODD.length);
  return encodeURIComponent(location).replaceAll("%2F", "/").replace(/[!'()*]/gu, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/* A percent-encoded name as the server shows it: with escapes for the bytes that are not UTF-8. */
function escaped(name) {
  return name.replace(/(?:%[0-9A-F]{2})+/giu, (run) => {
    let made = "";
    for (let at = 0; at < run.length;) {
      const width = [3, 6, 9, 12].find((each) => decodes(run.slice(at, at + each)));
      made += width ? decodeURIComponent(run.slice(at, at + width)) : `\\x${run.slice(at + 1, at + 3).toLowerCase()}`;
      at += width ?? 3;
    }
    return made;
  });
}

function decodes(text) {
  try {
    return Boolean(decodeURIComponent(text));
  } catch {
    return false;
  }
}
