/** Begins here: signs in, then puts the page together. */

import { call, currentSession, signOut, watchServer } from "./api.js";
import { Browser } from "./browser.js";
import { listenToDrops } from "./drop_zone.js";
import { pickFiles } from "./drops.js";
import { byId, element } from "./elements.js";
import { openHelp } from "./help.js";
import { Jobs } from "./jobs.js";
import { listenToKeys } from "./keyboard.js";
import { parent } from "./locations.js";
import { askForSession } from "./sign_in.js";
import { complain, reporting } from "./toasts.js";
import { Tray } from "./tray.js";
import { Tree } from "./tree.js";
import { Uploads } from "./uploads.js";

let leaving = false;

async function begin() {
  let session = null;
  try {
    session = await currentSession();
  } catch (error) {
    waitForServer(error);
    return;
  }
  session ??= await askForSession();
  await openApp(session);
}

/* The page came from the browser's memory, or the server has just ended. */
function waitForServer(error) {
  complain(error);
  setTimeout(begin, 4000);
}

/* Everything of the person is gone from memory once the page is loaded again. */
function signedOut() {
  if (leaving) return;
  leaving = true;
  window.location.reload();
}

async function openApp(session) {
  byId("app").hidden = false;
  byId("account").textContent = session.mode === "ui" ? "This machine" : [session.email, session.namespace].filter(Boolean).join(" · ");
  byId("sign-out").hidden = session.mode === "ui";
  watchServer({ signedOut, reachable });
  const jobs = new Jobs({ signedOut, reachable });
  const uploads = new Uploads();
  const tray = new Tray(byId("tray"), uploads, jobs);
  const tree = new Tree("Places", (location) => { browser.go(location); closePlaces(); });
  byId("tree").append(tree.root);
  const send = (destination, found) => uploads.send(destination, found);
  const upload = async (folder) => {
    const destination = browser.location;
    const found = await pickFiles({ folder });
    if (found) send(destination, found);
  };
  const browser = new Browser(session, { jobs, tray, tree, upload });
  listenToKeys(browser);
  listenToDrops(browser, tree, send);
  listenToFrame(browser, jobs);
  uploads.addEventListener("arrived", (event) => browser.refresh(event.detail));
  jobs.addEventListener("ended", (event) => afterJob(event.detail, browser));
  await Promise.all([reporting(async () => {
    browser.places = (await call("GET", "page/places")).places;
    tree.setPlaces(browser.places);
    browser.follow();
  }), reporting(() => jobs.follow()), reporting(() => uploads.lookBack())]);
}

/* What a job changed is read again: where things went, and where they were. */
function afterJob(job, browser) {
  const changed = new Set([job.destination]);
  if (job.verb !== "copy") for (const source of job.sources.slice(0, 100)) changed.add(parent(source, browser.places));
  for (const directory of changed) if (directory) browser.refresh(directory);
  if (job.verb === "rename" && job.state === "failed") complain(job.failed[0]?.reason ?? `${job.title} failed.`);
}

function listenToFrame(browser, jobs) {
  byId("open-help").addEventListener("click", openHelp);
  byId("home").addEventListener("click", (event) => { event.preventDefault(); browser.go(""); });
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); browser.list.grid.focus(); });
  byId("sign-out").addEventListener("click", () => reporting(async () => {
    leaving = true;
    jobs.stop();
    await signOut();
    window.location.replace(document.baseURI.replace(/#.*$/u, ""));
    window.location.reload();
  }));
  byId("open-places").addEventListener("click", openPlaces);
  byId("veil").addEventListener("click", closePlaces);
  browser.addEventListener("moved", closePlaces);
  byId("places").addEventListener("keydown", (event) => { if (event.key === "Escape") closePlaces(); });
}

function openPlaces() {
  byId("places").classList.add("open");
  byId("veil").hidden = false;
  byId("open-places").setAttribute("aria-expanded", "true");
  byId("tree").querySelector('[tabindex="0"]')?.focus();
}

function closePlaces() {
  if (byId("veil").hidden) return;
  byId("places").classList.remove("open");
  byId("veil").hidden = true;
  byId("open-places").setAttribute("aria-expanded", "false");
}

let offlineSince = null;

/* A moment without the server is no news; it is said after two seconds. */
function reachable(yes) {
  clearTimeout(offlineSince);
  const line = byId("offline");
  if (yes) { line.hidden = true; line.textContent = ""; return; }
  offlineSince = setTimeout(() => {
    line.hidden = false;
    line.replaceChildren(element("span", {}, "The server cannot be reached. The page tries again by itself; jobs on the server go on."));
  }, 2000);
}

begin();
