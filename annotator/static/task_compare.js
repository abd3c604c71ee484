// A comparison by keys alone: a digit or X chooses, the same key again or Enter sends, R writes why.
"use strict";

onTaskKey = (event) => {
  const value = choiceOf(event.code);
  if (value !== null) {
    event.preventDefault();
    choose(taskForm.querySelector(`[name=choice][value="${value}"]`));
  } else if (event.code === "KeyR") {
    event.preventDefault();
    taskForm.elements.rationale.focus();
  } else if (isEnter(event) && !event.target.matches("a, button, summary")) {
    event.preventDefault();
    if (taskForm.querySelector("[name=choice]:checked")) submitTask();
  }
};

function choiceOf(code) {
  const digit = /^(?:Digit|Numpad)([0-7])$/.exec(code)?.[1];
  if (digit) return digit === "4" ? "0" : digit;
  return code === "KeyX" ? "x" : null;
}

function choose(radio) {
  if (radio.checked) return submitTask(); // the same key again
  radio.checked = true;
  radio.dispatchEvent(new Event("input", { bubbles: true }));
}
