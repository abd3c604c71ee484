// A task of any kind: what is typed is kept (drafts.js), the time that it takes is counted, and keys
// (keys.js) do what the pointer does.
"use strict";

const taskForm = document.getElementById("task");
const taskDraft = new Draft(taskForm);
const skipping = document.getElementById("skip");

watchLeaving(taskForm, taskDraft, countActiveTime());
document.addEventListener("keydown", onKey);

// However the task is left, its time goes along.
function watchLeaving(form, draft, leadTime) {
  function leave() {
    for (const field of document.querySelectorAll("[name=lead_time_ms]")) field.value = Math.round(leadTime());
    draft.submitted();
  }
  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button?.hasAttribute("data-show-preview") || button?.hasAttribute("data-save")) return;
    if (draft.isDoubleClick()) event.preventDefault(); // it is one answer
    else leave();
  });
  skipping?.querySelector("form")?.addEventListener("submit", leave);
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

function submitTask() {
  taskForm.requestSubmit(taskForm.querySelector("button.primary"));
}

// Which keys lead to a choice or a field, the page says with it (data-keys).
function onKey(event) {
  const at = event.target;
  const isInSkip = skipping !== null && skipping.contains(at);
  if (isSendKey(event)) {
    event.preventDefault();
    if (!event.repeat && !isInSkip) submitTask();
    return;
  }
  const key = keyRead(event);
  if (!key || event.repeat) return;
  if (at.matches("textarea, select, input:not([type=radio], [type=checkbox])")) {
    if (key === "Escape") at.blur();
  } else if (isInSkip && skipping.open) {
    if (key === "Escape") { skipping.open = false; skipping.querySelector("summary").focus(); }
  } else if (key === "s" && skipping) {
    event.preventDefault();
    skipping.open = true;
    skipping.scrollIntoView({ block: "center" });
    skipping.querySelector("input[type=radio]").focus();
  } else {
    onFieldKey(event, key);
  }
}

function onFieldKey(event, key) {
  const keyed = [...taskForm.querySelectorAll("[data-keys]")];
  const field = keyed.find((field) => field.dataset.keys.split(" ").includes(key));
  const choices = keyed.filter((field) => field.type === "radio");
  if (field) {
    event.preventDefault();
    goToField(field);
  } else if (key === "Enter" && choices.length > 0 && !event.target.matches("a, button, summary")) {
    event.preventDefault();
    if (choices.some((choice) => choice.checked)) submitTask();
  }
}

function goToField(field) {
  if (field.type !== "radio") field.focus();
  else if (field.checked) submitTask(); // the same key again
  else {
    field.checked = true;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
