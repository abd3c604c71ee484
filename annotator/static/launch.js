// Keeps what a launch form says of the chosen model and of the run up to date with what is chosen and
// typed, and with rows that are still being counted. The server says it first, and knows the only formula.
"use strict";

const TYPING_PAUSE_MS = 250; // a number is typed digit by digit
const COUNTING_PAUSE_MS = 700;

const facts = document.querySelector("[data-facts]");
const form = facts?.closest("form");
let timer = 0;
let newest = 0;

form?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, TYPING_PAUSE_MS);
});
if (form) ask(); // a browser that comes back to the page keeps what was typed

async function ask() {
  const mine = ++newest;
  const typed = new URLSearchParams(new FormData(form));
  typed.delete("csrf");
  try {
    const answer = await fetch(`${facts.dataset.facts}?${typed}`, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const text = await answer.text();
    if (mine !== newest) return; // something else was typed meanwhile
    const fresh = new DOMParser().parseFromString(text, "text/html").body;
    const isCounting = fresh.querySelector("[data-counting]") !== null;
    if (fresh.textContent !== facts.textContent) facts.replaceChildren(...fresh.childNodes);
    if (isCounting) {
      clearTimeout(timer);
      timer = setTimeout(ask, COUNTING_PAUSE_MS);
    }
  } catch {
    // Offline: what stands there stays.
  }
}
