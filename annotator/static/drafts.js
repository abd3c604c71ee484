// What is typed into a task is stored on the server as you go, and kept in this browser while the
// server has it not (kept.js). The same task may be open in other windows: what this one stores says
// which version it has seen, and where another has stored something else, the person chooses.
"use strict";

const TYPING_ENDS_MS = 700;
const SIGN_OF_LIFE_MS = 4 * 60 * 1000; // so that a long think does not lose the task
const SAVE_TIMEOUT_MS = 20_000;
const [SOONEST_RETRY_MS, LATEST_RETRY_MS] = [5_000, 60_000];
const DOUBLE_CLICK_MS = 2_000; // a second click after this is meant
const STILL_HERE_MS = 10_000; // a page that is here so long after its form was sent goes on

class Draft extends KeptForm {
  constructor(form) {
    super(form, `${KEPT}task:${form.getAttribute("data-url")}#`, Number(form.elements.draft_version.value));
    this.window = randomName();
    this.nWrites = 0;
    this.status = form.querySelector("[data-draft-status]");
    this.copy = form.querySelector("[data-copy-text]");
    this.timer = 0;
    this.retry = SOONEST_RETRY_MS;
    this.isSending = false;
    this.sentAt = null; // when the form was sent, while the page is about to go
    this.sent = null; // what was typed into it
    this.said = null;
    this.adoptServersPanel();
    if (this.restore()) this.schedule(0);
    this.watch();
  }

  isServedUnsaved() {
    return this.form.hasAttribute("data-unsaved");
  }

  // The server has shown both already.
  adoptServersPanel() {
    const panel = document.querySelector("[data-offered]");
    if (!panel) return;
    const { offered, kind, at } = panel.dataset;
    const text = panel.querySelector("[data-other]").textContent;
    this.offers.push({ kind, at, text, fields: JSON.parse(offered), version: this.base });
    panel.remove();
  }

  watch() {
    this.form.addEventListener("input", () => {
      this.sentAt = null; // whoever types on is still here
      this.keepNow();
      // "Saved" was said of less than what stands there now.
      if (["saved", "adopted"].includes(this.said) && !this.hasSaved(typedInto(this.form))) this.say("saving");
      this.schedule();
    });
    this.copy?.addEventListener("click", () => copyText(asRead(this.form, typedInto(this.form)), null));
    window.addEventListener("online", () => this.schedule(0));
    setInterval(() => { if (document.visibilityState === "visible") this.save(true); }, SIGN_OF_LIFE_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.saveAtTheLast();
      else this.save(true); // another window may have gone on meanwhile
    });
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.comeBack(); });
    window.addEventListener("beforeunload", (event) => { if (!this.isLeaving() && !this.isKept) event.preventDefault(); });
  }

  // The form is on its way. The page may stay all the same: the browser was told to stop, or the
  // server does not answer.
  isLeaving() {
    return this.sentAt !== null;
  }

  isDoubleClick() {
    return this.isLeaving() && performance.now() - this.sentAt < DOUBLE_CLICK_MS;
  }

  // The browser shows the page as it was left: what is stored since is not on it.
  comeBack() {
    this.sentAt = null;
    this.keepNow();
    if (this.isKept) location.reload();
    else this.schedule(0);
  }

  stayed() {
    this.sentAt = null;
    this.save(true);
  }

  body(typed) {
    this.nWrites += 1;
    return new URLSearchParams({ csrf: this.form.elements.csrf.value, ...typed, draft_version: this.base, draft_window: this.window, draft_count: this.nWrites });
  }

  schedule(wait = TYPING_ENDS_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), wait);
  }

  // What another window stored waits for a choice: until then nothing of this one goes out.
  mustChoose() {
    return this.offers[0]?.version !== undefined;
  }

  async save(isSignOfLife = false) {
    clearTimeout(this.timer);
    const typed = typedInto(this.form);
    const hasNew = !this.hasSaved(typed);
    if (!hasNew && !this.isSending && this.said === "saving") this.say("saved"); // typed and taken back
    if (this.isLeaving() || (!hasNew && !isSignOfLife)) return;
    if (hasNew) this.keepNow();
    if (this.mustChoose()) return this.say("choose");
    if (this.isSending) return this.schedule();
    this.isSending = true;
    if (hasNew) this.say("saving");
    try {
      const options = { method: "POST", body: this.body(typed), redirect: "manual", signal: AbortSignal.timeout(SAVE_TIMEOUT_MS) };
      await this.hear(await fetch(this.form.getAttribute("data-draft"), options), typed, hasNew);
    } catch {
      if (hasNew) this.say(this.isKept ? "local" : "nowhere");
      this.tryAgain();
    }
    this.isSending = false;
  }

  tryAgain() {
    this.schedule(this.retry);
    this.retry = Math.min(2 * this.retry, LATEST_RETRY_MS);
  }

  async hear(answer, typed, hasNew) {
    // The session has ended; whoever signs in again, in another window, goes on here too.
    if (answer.type === "opaqueredirect" || answer.status === 400) {
      if (await this.renewToken()) return this.schedule(0);
      this.say(this.isKept ? "ended" : "nowhere");
      return this.tryAgain();
    }
    if ([403, 404, 410].includes(answer.status)) return this.say(this.isKept ? "gone" : "nowhere");
    if (answer.status === 413) return this.say("large");
    if (answer.status === 409) return this.isOvertaken(await answer.json());
    if (!answer.ok) throw new Error(answer.status);
    const { version, is_held, is_erased, is_answered } = await answer.json();
    this.retry = SOONEST_RETRY_MS;
    this.isStored(version, typed);
    if (this.form.hasAttribute("data-leased")) this.tellWhetherItIsHeld(is_held || is_answered, is_erased);
    if (is_answered) this.tellThatItIsAnswered();
    if (hasNew && !this.isLeaving()) this.say("saved");
  }

  tellWhetherItIsHeld(isHeld, isErased) {
    const [expired, erased] = ["[data-expired]", "[data-erased]"].map((mark) => document.querySelector(mark));
    if (expired) expired.hidden = isHeld || isErased;
    if (erased) erased.hidden = !isErased;
  }

  tellThatItIsAnswered() {
    document.querySelector("[data-revision]").hidden = false;
  }

  isStored(version, fields) {
    this.base = version;
    this.saved = fields;
    this.keepNow();
  }

  async renewToken() {
    const answer = await fetch(this.form.getAttribute("data-url"), { redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(SAVE_TIMEOUT_MS) });
    if (!answer.ok) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("[name=csrf]")?.value;
    if (!token || page.documentElement.dataset.account !== ACCOUNT) return false;
    for (const field of document.querySelectorAll("[name=csrf]")) field.value = token;
    return true;
  }

  // Another window has stored something that this one did not know.
  isOvertaken({ version, fields, text, at, kind }) {
    const isAnswer = kind === "answer";
    const theirs = JSON.parse(fields);
    const typed = typedInto(this.form);
    if (isSame(theirs, typed) && !isAnswer) return this.isStored(version, typed);
    if (isAnswer && this.sent !== null && isSame(theirs, this.sent)) {
      // It was sent from here, and the browser stopped before it heard so.
      this.tellThatItIsAnswered();
      this.isStored(version, theirs);
      return this.schedule(0);
    }
    if (this.hasSaved(typed) && !isAnswer) {
      // Nothing was typed here since: the other window went on from this text.
      fillIn(this.form, theirs);
      this.isStored(version, theirs);
      return this.say("adopted");
    }
    this.offers = this.offers.filter((offer) => offer.version === undefined);
    this.offers.unshift({ kind, fields: theirs, text, at, version });
    this.showOffer();
    this.say("choose");
  }

  chosen(offer, isOther) {
    if (offer.version !== undefined) {
      this.base = offer.version;
      this.saved = isOther ? offer.fields : null;
    }
    if (offer.kind === "answer") this.tellThatItIsAnswered();
    this.say(null);
    this.schedule(0);
  }

  // The page goes out of sight, and may never come back. Nobody hears whether it arrives.
  saveAtTheLast() {
    const typed = typedInto(this.form);
    if (this.isLeaving() || this.hasSaved(typed)) return;
    this.keepNow();
    if (!this.mustChoose()) navigator.sendBeacon(this.form.getAttribute("data-draft"), this.body(typed));
  }

  // What became of the text: the name of one of the sentences that the page came with.
  say(what) {
    this.said = what;
    if (!this.status) return;
    const { saved, local, saving, ended, gone, large, nowhere, choose, adopted } = this.status.dataset;
    const sentences = { saved, local, saving, ended, gone, large, nowhere, choose, adopted };
    this.status.textContent = sentences[what] ?? "";
    if (this.copy) this.copy.hidden = !["local", "ended", "gone", "large", "nowhere"].includes(what);
  }

  // The form is being sent, or that of a skip: with it goes what this window has seen.
  submitted() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.stayed(), STILL_HERE_MS);
    this.isSent();
    this.sent = typedInto(this.form);
    this.sentAt = performance.now();
    this.nWrites += 1;
    const known = { draft_version: this.base, draft_window: this.window, draft_count: this.nWrites };
    for (const [name, value] of Object.entries(known)) {
      for (const field of document.getElementsByName(name)) field.value = value;
    }
  }
}
