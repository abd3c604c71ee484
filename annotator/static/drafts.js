// What is typed into a task is kept: on the server as you go, in this browser while the server is
// out of reach, and there also from its sending until the page after it shows that it arrived.
"use strict";

const SENT = "sent"; // the key of the draft that was sent from this window

forgetWhatArrived();

// Every page asks: a page that is neither an error, nor the way to sign in again, nor the same task
// shows that what was sent arrived.
function forgetWhatArrived() {
  const sent = sessionStorage.getItem(SENT);
  if (!sent) return;
  sessionStorage.removeItem(SENT); // whatever comes after an error says nothing of it
  const hasFailed = document.body.matches("[data-error], [data-sign-in]");
  const task = document.getElementById("task");
  const isSameTask = task !== null && sent === draftKey(task);
  if (!hasFailed && !isSameTask) localStorage.removeItem(sent);
}

function draftKey(form) {
  return "draft:" + form.dataset.url;
}

class Draft {
  constructor(form) {
    this.form = form;
    this.url = form.dataset.url + "/draft?quiet=true";
    this.key = draftKey(form);
    this.status = form.querySelector("[data-draft-status]");
    this.saved = this.typed(); // what the server has
    this.timer = 0;
    this.isDone = false;
    this.restore();
    this.watch();
  }

  // A draft that never reached the server is newer than what the page came with.
  restore() {
    const kept = localStorage.getItem(this.key);
    if (!kept || kept === this.saved) return;
    for (const [name, value] of Object.entries(JSON.parse(kept))) {
      const field = this.form.elements[name];
      if (field) field.value = value;
    }
    const note = document.querySelector("[data-restored]");
    if (note) note.hidden = false;
    this.schedule(0);
  }

  watch() {
    this.form.addEventListener("input", () => this.schedule());
    window.addEventListener("online", () => this.schedule(0));
    // Another sign of life, so that a long think does not lose the task.
    setInterval(() => {
      if (document.visibilityState !== "visible" || this.isDone) return;
      this.saved = "";
      this.save();
    }, 4 * 60 * 1000);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden" && !this.isDone) this.saveAtTheLast();
    });
  }

  // What a person filled in, as JSON.
  typed() {
    const fields = [...this.form.elements].filter((field) => field.name && field.type !== "hidden");
    const names = new Set(fields.map((field) => field.name));
    return JSON.stringify(Object.fromEntries([...new FormData(this.form)].filter(([name]) => names.has(name))));
  }

  body() {
    return new URLSearchParams({ csrf: this.form.elements.csrf.value, ...JSON.parse(this.typed()) });
  }

  schedule(wait = 700) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), wait);
  }

  async save() {
    const now = this.typed();
    if (this.isDone || now === this.saved) return;
    localStorage.setItem(this.key, now);
    this.say(this.status?.dataset.saving);
    try {
      const answer = await fetch(this.url, { method: "POST", body: this.body(), redirect: "manual" });
      // The session has ended: this page cannot send anything any more, and signing in mends it.
      if (answer.type === "opaqueredirect" || answer.status === 400) return this.say(this.status?.dataset.ended);
      if (!answer.ok) throw new Error(answer.status);
      this.saved = now;
      if (localStorage.getItem(this.key) === now) localStorage.removeItem(this.key);
      if (!this.isDone) this.say(this.status?.dataset.saved);
    } catch {
      this.say(this.status?.dataset.local);
      this.schedule(5000);
    }
  }

  // The page goes out of sight, and may never come back.
  saveAtTheLast() {
    const now = this.typed();
    if (now === this.saved) return;
    localStorage.setItem(this.key, now);
    if (navigator.sendBeacon(this.url, this.body())) this.saved = now;
  }

  say(text) {
    if (this.status) this.status.textContent = text;
  }

  // The form is being sent.
  submitted() {
    this.isDone = true;
    clearTimeout(this.timer);
    localStorage.setItem(this.key, this.typed());
    sessionStorage.setItem(SENT, this.key);
  }
}
