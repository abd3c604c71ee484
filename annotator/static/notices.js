// Runs that end are told wherever you are: a count in the header, a notice on the page, and outside
// of the browser if you asked for it. Each is announced once in this browser.
"use strict";

const RECENT_MS = 10 * 60 * 1000; // older news are in the list, and need no announcement

const noticesLink = document.getElementById("notices");
if (noticesLink) {
  followNotices(noticesLink);
  const outside = document.getElementById("outside");
  if (outside && "Notification" in window) setUpOutsideNotices(outside);
}

// Asks for news, and asks again: soon while a run is awaited, now and then otherwise.
function followNotices(link) {
  const toasts = document.createElement("div");
  toasts.className = "toasts";
  toasts.setAttribute("role", "status");
  document.body.append(toasts);
  async function askForNews() {
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
          const isRecent = Date.now() - notice.finished_at < RECENT_MS;
          if (isRecent && !isAnnounced(notice.id)) announce(notice, toasts, link.dataset.close);
        }
      }
    } catch {} // no network: ask again
    setTimeout(askForNews, waits ? 3000 : 30000);
  }
  setTimeout(askForNews, 1000);
}

// Whether a notice has been announced in this browser; from now on it has.
function isAnnounced(id) {
  const known = JSON.parse(localStorage.getItem(`announced:${ACCOUNT}`) ?? "[]");
  if (known.includes(id)) return true;
  localStorage.setItem(`announced:${ACCOUNT}`, JSON.stringify([id, ...known].slice(0, 100)));
  return false;
}

function announce({ id, title, project, url }, toasts, closeLabel) {
  if (location.pathname === url) return; // the page says it itself
  const toast = document.createElement("div");
  toast.className = "toast";
  const text = document.createElement("a");
  text.href = url;
  text.textContent = `${title} · ${project}`;
  const close = document.createElement("button");
  close.textContent = "×";
  close.setAttribute("aria-label", closeLabel);
  close.addEventListener("click", () => toast.remove());
  toast.append(text, close);
  toasts.append(toast);
  if ("Notification" in window && areOutsideNoticesOn() && document.hidden) {
    const outside = new Notification(title, { body: project, tag: id });
    outside.addEventListener("click", () => { window.focus(); location.href = url; });
  }
}

function areOutsideNoticesOn() {
  return localStorage.getItem("notify") === "yes" && Notification.permission === "granted";
}

// The button that lets notices out of the browser's window.
function setUpOutsideNotices(place) {
  const [button, status] = [place.querySelector("button"), place.querySelector("[role=status]")];
  const show = () => {
    const isOn = areOutsideNoticesOn();
    const isDenied = Notification.permission === "denied";
    status.textContent = isDenied ? place.dataset.denied : isOn ? place.dataset.on : place.dataset.off;
    button.setAttribute("aria-pressed", isOn);
  };
  button.addEventListener("click", async () => {
    if (!areOutsideNoticesOn() && (await Notification.requestPermission()) === "granted") localStorage.setItem("notify", "yes");
    else localStorage.removeItem("notify");
    show();
  });
  place.hidden = false;
  show();
}
