// A task whose answer a person writes: its words are counted, and it is shown as it will look.
// task.js comes before this.
"use strict";

setUpWriting(taskForm, taskDraft);

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
    const answer = await fetch(form.getAttribute("data-preview"), { method: "POST", body });
    if (answer.ok) paneBody.innerHTML = await answer.text(); // sanitised by the server
  }
  text.addEventListener("input", () => {
    countWords();
    if (pane.hidden) return;
    clearTimeout(timer);
    timer = setTimeout(preview, 500);
  });
  form.addEventListener("filled", countWords);
  form.querySelector("[data-show-preview]").addEventListener("click", (event) => {
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
