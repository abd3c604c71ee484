// Texts as they were written, instead of laid out: one key away, and remembered for each person.
// kept.js and keys.js come before this.
"use strict";

setUpAsWritten(document.getElementById("as-written"));

function setUpAsWritten(choice) {
  const key = `as-written:${ACCOUNT}`;
  try { choice.checked = localStorage.getItem(key) !== null; } catch {} // forbidden: it is not remembered
  choice.addEventListener("change", () => {
    try {
      if (choice.checked) localStorage.setItem(key, "yes");
      else localStorage.removeItem(key);
    } catch {} // forbidden or full: as above
  });
  document.addEventListener("keydown", (event) => {
    if (event.repeat || keyRead(event) !== "w") return;
    if (event.target.matches("textarea, select, input:not([type=radio], [type=checkbox])")) return;
    event.preventDefault();
    choice.click();
  });
}
