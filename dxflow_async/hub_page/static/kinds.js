/** What an item is, for its icon and for the words about it. */

const SYMBOLS = [
  ["image", /\.(png|jpe?g|gif|webp|svg|tiff?|bmp|heic|avif)$/iu],
  ["table", /\.(csv|tsv|parquet|feather|arrow|xlsx?|ods|orc)$/iu],
  ["archive", /\.(zip|t?gz|bz2|xz|zst|7z|rar|tar|br|lz4)$/iu],
  ["media", /\.(mp4|mkv|mov|avi|webm|mp3|wav|flac|ogg|m4a)$/iu],
  ["code", /\.(py|js|ts|c|h|cpp|hpp|rs|go|java|sh|html?|css|json|ya?ml|toml|xml|ipynb|f90|r|jl|sql)$/iu],
  ["text", /\.(txt|md|rst|log|pdf|docx?|odt|rtf|tex|conf|ini|cfg)$/iu],
];

/** The symbol of an item. */
export function symbolOf(item) {
  if (item.kind === "directory") return item.area ? "bucket" : "folder";
  if (item.kind === "link") return "symlink";
  for (const [symbol, pattern] of SYMBOLS) if (pattern.test(item.name)) return symbol;
  return "file";
}

/** The symbol of a place. */
export function symbolOfPlace(place) {
  if (place.kind === "local" && place.location !== "local:/") return "home";
  return { remote: "cloud", unit: "unit", local: "local" }[place.kind] ?? "cloud";
}

/** Whether a place was set up and does not work. One that was never set up is no trouble. */
export function isBroken(place) {
  return Boolean(place.state) && place.state !== "ok" && place.state !== "unconfigured";
}

/** A word for the kind of an item. */
export function kindWord(item) {
  if (item.kind === "directory") return "Folder";
  if (item.kind === "link") return "Symbolic link";
  if (item.kind === "other") return "Special file";
  const ending = /\.([a-z0-9]{1,8})$/iu.exec(item.name);
  return ending ? `${ending[1].toUpperCase()} file` : "File";
}

/** A sentence about a place: its kind and type. */
export function placeWords(place) {
  if (place.state && place.state !== "ok") return place.note || `Not available: ${place.state}`;
  if (place.kind === "unit") return place.note || "Compute unit";
  if (place.kind === "local") return place.note || (place.location === "local:/" ? "All its disks" : "Your own files");
  return place.note || place.type || "Remote";
}
