// Draws the page of an import anew while it is under way; without this the browser loads it again.
"use strict";

const IMPORT_PAUSE_MS = 1000;

async function followImport() {
  const status = document.getElementById("import-status");
  if (!status || status.dataset.over !== undefined) return;
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected) return location.reload(); // signed out meanwhile
      if (answer.ok) adoptImport(status, new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {} // no network: ask again
  }
  setTimeout(followImport, IMPORT_PAUSE_MS);
}

function adoptImport(status, fresh) {
  const next = fresh.getElementById(status.id);
  if (!next || next.isEqualNode(status)) return;
  const isFocused = status.contains(document.activeElement);
  status.replaceWith(document.adoptNode(next));
  if (isFocused) next.querySelector("button")?.focus();
}

setTimeout(followImport, IMPORT_PAUSE_MS);
