// Everything works without this file; with it, the page saves you steps.
"use strict";

// The summary of a form's errors is read out and seen first.
document.querySelector("[data-focus]")?.focus();

// On a narrow screen the place that you are at may be far to the right.
document.querySelector("nav.place [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Tables without their head, as a narrow screen shows them, name each value; the first names its row.
function labelTables(within = document) {
  for (const table of within.querySelectorAll("table.stacks")) {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      for (const [at, cell] of [...row.cells].entries()) {
        if (at > 0 && heads[at] && !cell.querySelector("a, .tag, progress, time, button")) cell.dataset.label = heads[at];
      }
    }
  }
}
labelTables();

const notices = document.getElementById("notices");
if (notices) followNotices(notices);

const task = document.getElementById("task");
forgetWhatArrived();
if (task) setUpTask(task);

// Runs that end are told wherever you are: a count in the header, a notice on the page, and outside
// of the browser if you asked for it. Each is announced once in this browser.
function followNotices(link) {
  const recent = 10 * 60 * 1000; // older news are in the list, and need no announcement
  const announced = (id) => {
    const known = JSON.parse(localStorage.getItem("announced") ?? "[]");
    if (known.includes(id)) return true;
    localStorage.setItem("announced", JSON.stringify([id, ...known].slice(0, 100)));
    return false;
  };
  const toasts = document.createElement("div");
  toasts.className = "toasts";
  toasts.setAttribute("role", "status");
  document.body.append(toasts);
  function announce({ id, title, project, url }) {
    if (location.pathname === url) return; // the page says it itself
    const toast = document.createElement("div");
    toast.className = "toast";
    const text = document.createElement("a");
    text.href = url;
    text.textContent = `${title} · ${project}`;
    const close = document.createElement("button");
    close.textContent = "×";
    close.setAttribute("aria-label", link.dataset.close);
    close.addEventListener("click", () => toast.remove());
    toast.append(text, close);
    toasts.append(toast);
    const wanted = localStorage.getItem("notify") === "yes" && "Notification" in window;
    if (wanted && Notification.permission === "granted" && document.hidden) {
      const outside = new Notification(title, { body: project, tag: id });
      outside.addEventListener("click", () => { window.focus(); location.href = url; });
    }
  }
  async function ask() {
    let waits = link.dataset.waits !== undefined;
    try {
      const answer = await fetch(link.dataset.url, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected) return; // signed out meanwhile
      if (answer.ok) {
        const news = await answer.json();
        waits = news.waits;
        const count = link.querySelector(".count");
        count.textContent = news.count;
        count.hidden = news.count === 0;
        for (const notice of news.notices.reverse()) {
          if (Date.now() - notice.finished_at < recent && !announced(notice.id)) announce(notice);
        }
      }
    } catch {} // no network: ask again
    setTimeout(ask, waits ? 3000 : 30000);
  }
  setTimeout(ask, 1000);
  setUpOutside(document.getElementById("outside"));
}

// The button that lets notices out of the browser's window.
function setUpOutside(place) {
  if (!place || !("Notification" in window)) return;
  const [button, status] = [place.querySelector("button"), place.querySelector("[role=status]")];
  const show = () => {
    const isOn = localStorage.getItem("notify") === "yes" && Notification.permission === "granted";
    status.textContent = Notification.permission === "denied" ? place.dataset.denied : isOn ? place.dataset.on : place.dataset.off;
    button.setAttribute("aria-pressed", isOn);
  };
  button.addEventListener("click", async () => {
    const isOn = localStorage.getItem("notify") === "yes" && Notification.permission === "granted";
    if (!isOn && (await Notification.requestPermission()) === "granted") localStorage.setItem("notify", "yes");
    else localStorage.removeItem("notify");
    show();
  });
  place.hidden = false;
  show();
}

// What was submitted is kept in this browser until the page after it shows that it arrived: one that
// is neither an error, nor the way to sign in again, nor the same task.
function forgetWhatArrived() {
  const sent = sessionStorage.getItem("sent");
  if (!sent) return;
  sessionStorage.removeItem("sent"); // whatever comes after an error says nothing of it
  const failed = "error" in document.body.dataset || location.pathname === "/sign-in";
  if (!failed && sent !== "draft:" + task?.dataset.url) localStorage.removeItem(sent);
}

function setUpTask(form) {
  const draft = keepDraft(form);
  const leadTime = countActiveTime();
  let leaving = false;

  function leave() {
    leaving = true;
    for (const field of document.querySelectorAll("[name=lead_time_ms]")) field.value = Math.round(leadTime());
    draft.submitted();
  }
  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button?.hasAttribute("data-preview") || button?.hasAttribute("data-save")) return;
    if (leaving) event.preventDefault(); // a double click is one answer
    else leave();
  });
  document.querySelector("#skip form")?.addEventListener("submit", leave);
  window.addEventListener("pageshow", (event) => { if (event.persisted) leaving = false; });

  if (form.querySelector("[data-preview]")) setUpWriting(form, draft);
  setUpKeys(form);
}

// Saves what is typed on the server as you go; in this browser while the server is out of reach,
// from where it is sent again unprompted.
function keepDraft(form) {
  const url = form.dataset.url + "/draft?quiet=true";
  const place = "draft:" + form.dataset.url;
  const status = form.querySelector("[data-draft-status]");
  const ofThePage = ["csrf", "idempotency_key", "lead_time_ms"]; // everything else was typed
  const say = (what) => { if (status) status.textContent = what ? status.dataset[what] : ""; };
  const typed = () => {
    return Object.fromEntries([...new FormData(form)].filter(([name]) => !ofThePage.includes(name)));
  };
  const body = () => {
    const csrf = form.elements.csrf.value;
    return new URLSearchParams({ csrf, ...typed() });
  };
  const shown = JSON.stringify(typed());
  let saved = shown, timer = 0, done = false;

  // A draft that never reached the server is newer than what the page came with.
  const kept = localStorage.getItem(place);
  if (kept && kept !== shown) {
    const values = JSON.parse(kept);
    for (const [name, value] of Object.entries(values)) {
      const field = form.elements[name];
      if (field) field.value = value;
    }
    const note = document.querySelector("[data-restored]");
    if (note) note.hidden = false;
    schedule(0);
  }

  async function save() {
    const now = JSON.stringify(typed());
    if (done || now === saved) return;
    localStorage.setItem(place, now);
    say("saving");
    try {
      const answer = await fetch(url, { method: "POST", body: body(), redirect: "manual" });
      // The session has ended: this page cannot send anything any more, and signing in mends it.
      if (answer.type === "opaqueredirect" || answer.status === 400) return say("ended");
      if (!answer.ok) throw new Error(answer.status);
      saved = now;
      if (localStorage.getItem(place) === now) localStorage.removeItem(place);
      if (!done) say("saved");
    } catch {
      say("local");
      schedule(5000);
    }
  }
  function schedule(wait = 700) {
    clearTimeout(timer);
    timer = setTimeout(save, wait);
  }
  form.addEventListener("input", () => schedule());
  window.addEventListener("online", () => schedule(0));
  // Another sign of life, so that a long think does not lose the task.
  setInterval(() => { if (document.visibilityState === "visible" && !done) { saved = ""; save(); } }, 4 * 60 * 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "hidden" || done) return;
    const now = JSON.stringify(typed());
    if (now === saved) return;
    localStorage.setItem(place, now);
    if (navigator.sendBeacon(url, body())) saved = now;
  });
  return {
    schedule,
    submitted() {
      done = true;
      clearTimeout(timer);
      localStorage.setItem(place, JSON.stringify(typed()));
      sessionStorage.setItem("sent", place);
    },
  };
}

// Milliseconds during which the page was looked at and something happened within the last minute.
function countActiveTime() {
  let total = 0, last = performance.now(), lastAction = last;
  const tick = () => {
    const now = performance.now();
    if (document.visibilityState === "visible" && now - lastAction < 60000) total += now - last;
    last = now;
  };
  for (const kind of ["keydown", "pointermove", "pointerdown", "wheel", "scroll", "touchstart"]) {
    window.addEventListener(kind, () => { tick(); lastAction = performance.now(); }, { passive: true });
  }
  document.addEventListener("visibilitychange", tick);
  return () => { tick(); return total; };
}

function setUpWriting(form, draft) {
  const text = form.elements.answer;
  const count = form.querySelector("[data-word-count]");
  const pane = document.querySelector("[data-preview-pane]");
  const paneBody = document.querySelector("[data-preview-body]");
  let timer = 0;

  function countWords() {
    const words = text.value.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
    count.textContent = text.dataset.words + " " + words;
  }
  async function preview() {
    const body = new URLSearchParams({ csrf: form.elements.csrf.value, answer: text.value });
    const answer = await fetch(form.dataset.url + "/preview?quiet=true", { method: "POST", body });
    if (answer.ok) paneBody.innerHTML = await answer.text(); // sanitised by the server
  }
  text.addEventListener("input", () => {
    countWords();
    if (pane.hidden) return;
    clearTimeout(timer);
    timer = setTimeout(preview, 500);
  });
  form.querySelector("[data-preview]").addEventListener("click", (event) => {
    event.preventDefault();
    pane.hidden = !pane.hidden;
    if (!pane.hidden) preview();
  });
  form.querySelector("[data-save]").addEventListener("click", (event) => {
    event.preventDefault();
    draft.schedule(0);
  });
  countWords();
}

// Keys are told by their place (event.code), so that they work in every keyboard layout. Which ones
// lead to a choice or a field, the page says with it (data-keys).
function setUpKeys(form) {
  const skip = document.getElementById("skip");
  const submit = () => form.requestSubmit(form.querySelector("button.primary"));
  const keyed = [...form.querySelectorAll("[data-keys]")];
  const fieldOf = (code) => keyed.find((field) => field.dataset.keys.split(" ").includes(code));
  const choices = keyed.filter((field) => field.type === "radio");
  document.addEventListener("keydown", (event) => {
    const isEnter = event.code === "Enter" || event.code === "NumpadEnter";
    if (isEnter && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat && !skip?.contains(event.target)) submit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const at = event.target;
    if (at.matches("textarea, input:not([type=radio])")) {
      if (event.code === "Escape") at.blur();
      return;
    }
    if (skip?.contains(at) && skip.open) {
      if (event.code === "Escape") { skip.open = false; skip.querySelector("summary").focus(); }
      return;
    }
    if (event.code === "KeyS" && skip) {
      event.preventDefault();
      skip.open = true;
      skip.scrollIntoView({ block: "center" });
      skip.querySelector("input[type=radio]").focus();
    } else if (fieldOf(event.code)) {
      event.preventDefault();
      goTo(fieldOf(event.code));
    } else if (isEnter && choices.length > 0 && !at.matches("a, button, summary")) {
      event.preventDefault();
      if (choices.some((choice) => choice.checked)) submit();
    }
  });
  function goTo(field) {
    if (field.type !== "radio") field.focus();
    else if (field.checked) submit(); // the same key again
    else {
      field.checked = true;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
}
