// Runs in the background for all windows of this browser: one stream tells of every run that one of
// them shows, because a browser allows six connections to a host and no more.
"use strict";

const LONGEST_SILENCE_MS = 60_000; // a window that crashed says no goodbye
const NEXT_TRY_MS = 3_000;

const watchers = new Map(); // by the port of their window: which run, and when it was last heard of
let newsAddress = "";
let newsSource = null;
let newsOf = "";
const lastTold = new Map(); // by run: what was last told of it

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    newsAddress = data.address;
    if (data.run) watchers.set(port, { run: data.run, heard: Date.now() });
    else watchers.delete(port);
    followNews();
    const known = lastTold.get(data.run);
    if (data.isNew && known) port.postMessage(known);
  };
};

setInterval(() => {
  for (const [port, { heard }] of watchers) {
    if (Date.now() - heard > LONGEST_SILENCE_MS) watchers.delete(port);
  }
  followNews();
}, LONGEST_SILENCE_MS / 2);

// Follows what is watched now.
function followNews() {
  const runs = [...new Set([...watchers.values()].map(({ run }) => run))].sort();
  if (newsSource && runs.join() === newsOf) return;
  newsSource?.close();
  newsSource = null;
  newsOf = runs.join();
  lastTold.clear();
  if (runs.length === 0) return;
  newsSource = new EventSource(`${newsAddress}?${runs.map((run) => `run=${run}`).join("&")}`);
  newsSource.onopen = () => tellAll({ connection: "live" });
  newsSource.onmessage = ({ data }) => {
    const news = JSON.parse(data);
    lastTold.set(news.run, news);
    tellAll(news, news.run);
  };
  newsSource.onerror = () => {
    tellAll({ connection: "lost" });
    // The browser connects again by itself, unless the server refused.
    if (newsSource?.readyState !== EventSource.CLOSED) return;
    newsSource = null;
    setTimeout(followNews, NEXT_TRY_MS);
  };
}

function tellAll(told, of = null) {
  for (const [port, { run }] of watchers) if (of === null || of === run) port.postMessage(told);
}
