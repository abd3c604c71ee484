// Follows a run. The page is drawn on the server; this asks for a fresh copy when the run says
// something new, and exchanges the sections marked data-live that changed. An event is known by its
// sequence number, so one that comes twice over a dropped connection changes nothing.
"use strict";

const REFRESH_PAUSE_MS = 500; // between two copies at the least, so that a fast run does not flood the server

function adopt(fresh) {
  labelTables(fresh); // as app.js has labelled those that are here
  document.title = fresh.title;
  for (const section of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(section.id);
    if (!next || next.isEqualNode(section)) continue;
    const unfolded = [...section.querySelectorAll("details[open][id]")].map((details) => details.id);
    const log = section.querySelector(".log");
    const atEnd = !log || log.scrollHeight - log.scrollTop - log.clientHeight < 8;
    const scrolled = log ? log.scrollTop : 0;
    const focused = section.contains(document.activeElement);
    for (const { name, value } of section.querySelectorAll("input:checked")) {
      const box = next.querySelector(`input[name="${CSS.escape(name)}"][value="${CSS.escape(value)}"]`);
      if (box) box.checked = true;
    }
    for (const id of unfolded) next.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
    section.replaceWith(document.adoptNode(next));
    const newLog = next.querySelector(".log");
    if (newLog) newLog.scrollTop = atEnd ? newLog.scrollHeight : scrolled;
    if (focused) next.querySelector("button, a")?.focus();
  }
  for (const form of document.querySelectorAll("[data-choose]")) countChosen(form);
}

// Two to six runs of one kind can be compared; the server says the same without this.
function countChosen(form) {
  const chosen = [...form.querySelectorAll("input:checked")];
  const [least, most] = form.dataset.choose.split("-").map(Number);
  const kinds = new Set(chosen.map((box) => box.dataset.group));
  const button = form.querySelector("button");
  if (button) button.disabled = chosen.length < least || chosen.length > most || kinds.size > 1;
}
for (const form of document.querySelectorAll("[data-choose]")) {
  form.addEventListener("change", () => countChosen(form));
  countChosen(form);
}

let busy = false;
let again = false;

// One copy at a time; whatever comes meanwhile is in the next.
async function refresh() {
  again = true;
  if (busy) return;
  busy = true;
  while (again) {
    again = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected) return location.reload(); // signed out meanwhile
      if (answer.ok) adopt(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      again = true; // no network: try again
    }
    // A page that takes long to draw is asked for less often.
    const took = performance.now() - began;
    await new Promise((resume) => setTimeout(resume, Math.max(REFRESH_PAUSE_MS, 2 * took)));
  }
  busy = false;
}

function follow(address, after) {
  let seen = after;
  const source = new EventSource(`${address}?after=${seen}`);
  source.onopen = () => { document.body.dataset.connection = "live"; };
  source.onmessage = (event) => {
    const sequence = Number(event.lastEventId);
    if (!(sequence > seen)) return;
    seen = sequence;
    refresh();
  };
  source.addEventListener("status", refresh);
  source.addEventListener("end", () => {
    source.close();
    document.body.dataset.connection = "ended";
    refresh();
  });
  source.onerror = () => {
    document.body.dataset.connection = "lost";
    // The browser connects again by itself, unless the server refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(address, seen), 3000);
  };
}

const events = document.body.dataset.events;
if (events) follow(events, Number(document.body.dataset.after));

// Lists have no events: they are looked at now and then while something is at work.
setInterval(() => {
  if (document.querySelector("[data-poll]") && !document.hidden) refresh();
}, 3000);
const log = document.querySelector(".log");
if (log) log.scrollTop = log.scrollHeight;
