// What is typed and not stored on the server is kept in this browser: for the account that wrote it,
// under a key of the window's own, until a page shows that it arrived. Nothing of it is offered to
// anybody else, and whoever signs out is told of it first.
"use strict";

const ACCOUNT = document.documentElement.dataset.account ?? "";
const KEPT = `kept:${ACCOUNT}:`;
const SENT = "sent"; // what was sent from this window, until the next page says what became of it
const LEAVING = "leaving"; // the account that signs out in this window
const LEFT = "left"; // tells the other windows who has signed out
const OF_THE_PAGE = ["hidden", "password", "file", "submit", "button", "reset"];

// What other scripts of this page hold and no server has: functions that return lists of texts.
const unsentHere = [];

function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Whether it is kept: a browser may be full, or forbid it.
function keepHere(key, kept) {
  try {
    localStorage.setItem(key, JSON.stringify({ ...kept, at: Date.now() }));
    return true;
  } catch {
    return false;
  }
}

function forgetHere(key) {
  try { localStorage.removeItem(key); } catch {} // forbidden: then nothing is there
}

// What is kept under keys that begin so, the newest first.
function keptHere(beginning) {
  const found = [];
  try {
    for (const key of Object.keys(localStorage).filter((key) => key.startsWith(beginning))) {
      found.push({ key, ...JSON.parse(localStorage.getItem(key)) });
    }
  } catch {} // forbidden
  return found.sort((one, other) => other.at - one.at);
}

function inThisWindow(key) {
  try { return sessionStorage.getItem(key); } catch { return null; }
}

function noteInThisWindow(key, value) {
  try { value === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, value); } catch {} // forbidden
}

// The fields that a person fills in. Attributes of a form are read by their names: a field that is called
// "dataset" takes the place of the form's own.
function fieldsOf(form) {
  return [...form.elements].filter((field) => field.name && !OF_THE_PAGE.includes(field.type));
}

function isBox(field) {
  return field.type === "radio" || field.type === "checkbox";
}

// What stands in a form, or with `served` what the page came with. Empty fields are left out.
function typedInto(form, served = false) {
  const typed = {};
  for (const field of fieldsOf(form)) {
    if (isBox(field) && !(served ? field.defaultChecked : field.checked)) continue;
    const chosen = field.options && ([...field.options].find((option) => option.defaultSelected) ?? field.options[0]);
    const value = !served || isBox(field) ? field.value : chosen ? chosen.value : field.defaultValue;
    if (value) typed[field.name] = value.replace(/\r\n/g, "\n");
  }
  return typed;
}

// Blanks at a text's end, and empty lines at its beginning, are no difference: the server drops them.
function isSame(one, other) {
  const plain = (fields) => Object.entries(fields ?? {}).map(([name, value]) => [name, value.trimEnd().replace(/^\n+/, "")]);
  const told = (fields) => JSON.stringify(plain(fields).filter(([, value]) => value !== "").sort());
  return told(one) === told(other);
}

function isBlank(fields) {
  return isSame(fields, {});
}

function fillIn(form, fields) {
  for (const field of fieldsOf(form)) {
    if (isBox(field)) field.checked = fields[field.name] === field.value;
    else field.value = fields[field.name] ?? "";
  }
  // Words are counted anew.
  form.dispatchEvent(new Event("filled"));
}

// What stands in a field, as somebody reads it.
function readIn(field, value) {
  const label = field.closest("label");
  if (isBox(field)) return value === field.value ? (label?.querySelector("span") ?? label)?.textContent.trim() : "";
  return [...(field.options ?? [])].find((option) => option.value === value)?.textContent.trim() ?? value;
}

// What a form would hold, as somebody reads it: where several fields are filled in, each with its label.
function asRead(form, fields) {
  const filled = fieldsOf(form).filter((field) => !isBox(field) && fields[field.name]);
  const told = fieldsOf(form).map((field) => {
    const text = readIn(field, fields[field.name]);
    const label = filled.length > 1 && filled.includes(field) && field.labels[0]?.textContent.trim();
    return label ? `${label}: ${text}` : text;
  });
  return told.filter(Boolean).join("\n\n");
}

// What a script cannot put into the clipboard, the person can: it is selected.
async function copyText(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (shown) getSelection().selectAllChildren(shown);
    document.execCommand("copy");
  }
}

// A form whose text outlives this page.
class KeptForm {
  // `place` begins the keys of its texts; `base` is what they were written on: where the page comes
  // with something newer, a kept text is offered and not put in its place.
  constructor(form, place, base) {
    this.form = form;
    this.place = place;
    this.base = base;
    this.key = place + randomName();
    this.saved = this.isServedUnsaved() ? null : typedInto(form, true); // what the server has
    this.isKept = true;
    this.offers = []; // other texts, of which the first is shown
    this.panel = null;
  }

  isServedUnsaved() {
    return document.querySelector(".error-summary") !== null;
  }

  hasSaved(typed) {
    return this.saved !== null && isSame(typed, this.saved);
  }

  keepNow() {
    const fields = typedInto(this.form);
    if (this.hasSaved(fields) || isBlank(fields)) {
      forgetHere(this.key);
      this.isKept = true;
      return;
    }
    const text = asRead(this.form, fields);
    this.isKept = keepHere(this.key, { fields, base: this.base, url: location.href, title: document.title, text });
  }

  // What an earlier page kept: the newest is brought back where nothing newer is stored; whatever
  // else there is, is offered.
  restore() {
    let isFilled = this.saved === null;
    if (isFilled) this.keepNow();
    for (const kept of keptHere(this.place)) {
      if (kept.key === this.key) continue;
      if (isBlank(kept.fields) || isSame(kept.fields, typedInto(this.form))) {
        forgetHere(kept.key);
      } else if (!isFilled && kept.base === this.base && this.offers.length === 0) {
        isFilled = true;
        fillIn(this.form, kept.fields);
        this.keepNow();
        if (this.isKept) forgetHere(kept.key);
        this.tellThatItWasRestored();
      } else {
        this.offers.push({ kind: "local", fields: kept.fields, text: kept.text, key: kept.key, at: new Date(kept.at).toLocaleString(document.documentElement.lang) });
      }
    }
    this.showOffer();
    return isFilled;
  }

  tellThatItWasRestored() {
    const note = document.querySelector("[data-restored]");
    if (note) note.hidden = false;
  }

  // Shows the first of the other texts beside the form.
  showOffer() {
    this.panel?.remove();
    this.panel = null;
    const [offer] = this.offers;
    const template = document.querySelector("template[data-other-text]");
    if (!offer || !template) return;
    this.panel = template.content.firstElementChild.cloneNode(true);
    for (const said of this.panel.querySelectorAll("[data-kind]")) said.hidden = said.dataset.kind !== offer.kind;
    this.panel.querySelector("[data-other-at]").textContent = offer.at;
    this.form.before(this.panel);
    this.listenToPanel();
    this.panel.querySelector("[data-other]").textContent = offer.text;
    this.panel.scrollIntoView({ block: "nearest" });
  }

  listenToPanel() {
    const shown = this.panel.querySelector("[data-other]");
    const on = (button, act) => this.panel.querySelector(button).addEventListener("click", (event) => {
      event.preventDefault();
      act();
    });
    this.panel.querySelector("[data-mine]").hidden = false;
    this.panel.querySelector("[data-copy-other]").hidden = false;
    on("[data-take]", () => this.choose(true));
    on("[data-mine]", () => this.choose(false));
    on("[data-copy-other]", () => copyText(shown.textContent, shown));
  }

  // The person has chosen: the other text, or what stands in the form.
  choose(isOther) {
    const offer = this.offers.shift();
    this.chosen(offer, isOther);
    if (isOther) fillIn(this.form, offer.fields);
    this.keepNow();
    if (offer.key && this.isKept) forgetHere(offer.key);
    this.showOffer();
  }

  chosen() {}

  // The form is being sent: whether it arrives, the next page tells.
  isSent() {
    this.keepNow();
    nDepartures = 0;
    const fields = typedInto(this.form);
    noteInThisWindow(SENT, JSON.stringify({ key: this.key, url: this.form.getAttribute("data-url"), fields }));
  }
}

// Where the browser stopped on the way and leaves the page for something else, the next page tells
// nothing of what was sent.
let nDepartures = 0;
window.addEventListener("beforeunload", () => {
  nDepartures += 1;
  if (nDepartures > 1) noteInThisWindow(SENT, null);
});

// A page that a redirect led to, and that is neither an error nor the way to sign in again, shows that
// what was sent arrived.
function forgetWhatArrived() {
  const sent = JSON.parse(inThisWindow(SENT) ?? "null");
  if (!sent) return;
  noteInThisWindow(SENT, null); // whatever comes after an error says nothing of it
  const [way] = performance.getEntriesByType("navigation");
  const hasFailed = document.body.matches("[data-error], [data-sign-in]") || document.querySelector(".error-summary") !== null;
  const isStillHere = sent.url !== null && document.getElementById("task")?.getAttribute("data-url") === sent.url;
  if (!hasFailed && !isStillHere && way?.type === "navigate" && way.redirectCount > 0) forgetUnlessTypedOn(sent);
  else if (document.body.matches("[data-error]")) showKept(keptHere(sent.key));
}

function forgetUnlessTypedOn({ key, fields }) {
  const [kept] = keptHere(key);
  if (kept && isSame(kept.fields, fields)) forgetHere(key);
}

// Lists texts that are in this browser only. When somebody is about to sign out, `leave` does it.
function showKept(texts, leave = null) {
  const place = document.querySelector("[data-kept]");
  if (!place || texts.length === 0) return;
  const list = place.querySelector("[data-kept-list]");
  const item = place.querySelector("template");
  list.replaceChildren(...texts.map((kept) => {
    const row = item.content.firstElementChild.cloneNode(true);
    const [link, text] = [row.querySelector("a"), row.querySelector("pre")];
    link.textContent = kept.title;
    link.href = kept.url;
    text.textContent = kept.text;
    row.querySelector("[data-copy-kept]").addEventListener("click", () => copyText(kept.text, text));
    const discard = row.querySelector("[data-discard]");
    discard.hidden = leave !== null || !kept.key;
    discard.addEventListener("click", () => {
      forgetHere(kept.key);
      row.remove();
      place.hidden = list.children.length === 0;
    });
    return row;
  }));
  place.querySelector("[data-leaving]").hidden = leave === null;
  place.querySelector("[data-leave]").onclick = leave;
  place.querySelector("[data-stay]").onclick = () => { place.hidden = true; };
  place.hidden = false;
  if (leave) place.querySelector("h2").focus();
}

// What the other windows of this account hold.
const otherWindows = "BroadcastChannel" in window && ACCOUNT ? new BroadcastChannel(KEPT) : null;

function allUnsentHere() {
  return unsentHere.flatMap((list) => list());
}

otherWindows?.addEventListener("message", ({ data }) => {
  if (data.asks) otherWindows.postMessage({ answers: data.asks, texts: allUnsentHere() });
});

async function unsentElsewhere() {
  if (!otherWindows) return [];
  const texts = [];
  const asks = randomName();
  const hear = ({ data }) => { if (data.answers === asks) texts.push(...data.texts); };
  otherWindows.addEventListener("message", hear);
  otherWindows.postMessage({ asks });
  await new Promise((resume) => setTimeout(resume, 200));
  otherWindows.removeEventListener("message", hear);
  return texts;
}

function guardSignOut(form) {
  const leave = () => {
    noteInThisWindow(LEAVING, ACCOUNT);
    form.submit();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const unsent = [...keptHere(KEPT), ...allUnsentHere(), ...(await unsentElsewhere())];
    if (unsent.length === 0) leave();
    else showKept(unsent, leave);
  });
}

// Everything of an account in this browser; the conversations of other windows are theirs to clear.
function clearAccount(account) {
  const isOf = (key) => [`kept:${account}:`, `chat:${account}:`, `announced:${account}`].some((beginning) => key.startsWith(beginning));
  try {
    for (const storage of [localStorage, sessionStorage]) Object.keys(storage).filter(isOf).forEach((key) => storage.removeItem(key));
  } catch {} // forbidden: then nothing is there
}

// A page for nobody, right after somebody left, shows that they are out.
function clearWhoLeft() {
  const account = inThisWindow(LEAVING);
  if (!account) return;
  noteInThisWindow(LEAVING, null);
  if (ACCOUNT === account) return;
  clearAccount(account);
  keepHere(LEFT, { account });
}

function setUpKept() {
  if (keptHere(LEFT)[0]?.account === ACCOUNT) forgetHere(LEFT);
  clearWhoLeft();
  forgetWhatArrived();
  if (document.querySelector("[data-kept-here]")) showKept(keptHere(KEPT));
  const signOut = document.querySelector("form[data-sign-out]");
  if (signOut) guardSignOut(signOut);
  for (const form of document.querySelectorAll("form[data-keep]")) {
    const place = `${KEPT}form:${form.getAttribute("data-keep")}#`;
    const kept = new KeptForm(form, place, JSON.stringify(typedInto(form, true)));
    kept.restore();
    form.addEventListener("input", () => kept.keepNow());
    form.addEventListener("submit", () => kept.isSent());
    window.addEventListener("beforeunload", (event) => { if (!kept.isKept) event.preventDefault(); });
  }
}

// Another window has signed out: nothing of theirs stays on the screen.
window.addEventListener("storage", ({ key, newValue }) => {
  if (key !== LEFT || !newValue || !ACCOUNT || JSON.parse(newValue).account !== ACCOUNT) return;
  clearAccount(ACCOUNT);
  location.reload();
});
window.addEventListener("pageshow", (event) => {
  const left = keptHere(LEFT)[0];
  if (event.persisted && ACCOUNT && left?.account === ACCOUNT) location.reload();
});
setUpKept();
