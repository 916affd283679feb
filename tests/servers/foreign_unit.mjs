// A unit as somebody else might write it: uploads by @tus/server, and the published storage routes, nothing more.
// Arguments: port, directory to serve, directory for uploads, the two packages' folders; then words that say what to leave out.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import {pathToFileURL} from "node:url";

const [port, root, uploads, serverPackage, storePackage, ...left] = process.argv.slice(2);
const load = (folder) => import(pathToFileURL(path.join(folder, "dist", "index.js")));
const {Server} = await load(serverPackage);
const {FileStore} = await load(storePackage);

// As the published facts have it: a leading /volume/ means the same root.
const inside = (text) => path.join(root, path.normalize("/" + text).replace(/^\/volume(?=\/|$)/, ""));

const tus = new Server({
  path: "/storage/upload",
  datastore: new FileStore({directory: uploads}),
  relativeLocation: true,
  onUploadFinish: async (_request, upload) => {
    const directory = inside(upload.metadata.path ?? "/");
    fs.mkdirSync(directory, {recursive: true});
    fs.renameSync(path.join(uploads, upload.id), path.join(directory, upload.metadata.name));
    return {};
  },
});

const list = (directory, prefix, recursive) => fs.readdirSync(directory, {withFileTypes: true}).flatMap((each) => {
  const status = fs.statSync(path.join(directory, each.name));
  const item = {name: prefix + each.name, directory: each.isDirectory(), size: status.size, modification: status.mtimeMs / 1000};
  const below = recursive && each.isDirectory() ? list(path.join(directory, each.name), `${item.name}/`, true) : [];
  return [item, ...below];
}).reverse();

const json = (response, value) => response.writeHead(200, {"Content-Type": "application/json"}).end(JSON.stringify(value));

const download = (request, response, file) => {
  const {size} = fs.statSync(file);
  const range = left.includes("range") ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const length = left.includes("length") ? {} : {"Content-Length": size};
  if (!range) {
    response.writeHead(200, length);
    fs.createReadStream(file).pipe(response);
    return;
  }
  const start = Number(range[1]), end = range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  if (start >= size) { response.writeHead(416, {"Content-Range": `bytes */${size}`}).end(); return; }
  response.writeHead(206, {"Content-Length": end - start + 1, "Content-Range": `bytes ${start}-${end}/${size}`});
  fs.createReadStream(file, {start, end}).pipe(response);
};

const routes = {
  "GET /storage/items/": (_request, response, query) =>
    json(response, list(inside(query.get("path")), "", query.get("recursive") === "true")),
  "GET /storage/download/": (request, response, query) => {
    if (fs.statSync(inside(query.get("path"))).isDirectory()) throw Object.assign(new Error("a directory"), {code: "ENOENT"});
    download(request, response, inside(query.get("path")));
  },
  "DELETE /storage/items/": (_request, response, query) => {
    fs.rmSync(inside(query.get("path")), {recursive: true});
    json(response, {});
  },
  "PUT /storage/transfer/": (_request, response, query) => {
    const target = inside(query.get("destination"));
    fs.mkdirSync(path.dirname(target), {recursive: true});
    fs.cpSync(inside(query.get("path")), target, {recursive: true});
    json(response, {});
  },
};

http.createServer((request, response) => {
  if (request.method !== "OPTIONS" && request.headers["x-secret-key"] !== "the-foreign-secret") {
    response.writeHead(403).end("Forbidden");
    return;
  }
  const url = new URL(request.url, "http://unit");
  if (url.pathname.startsWith("/storage/upload")) { tus.handle(request, response); return; }
  const route = routes[`${request.method} ${url.pathname}`];
  if (!route) { response.writeHead(404).end("Not Found"); return; }
  try {
    route(request, response, url.searchParams);
  } catch (error) {
    response.writeHead(["ENOENT", "ENOTDIR"].includes(error.code) ? 404 : 500).end(String(error));
  }
}).listen(Number(port), "127.0.0.1");

process.on("uncaughtException", (error) => console.error(error));
