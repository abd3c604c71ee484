// Talks to a model: answers appear as they are written. Without this file the form does the same,
// a page per answer. The conversation is kept in this window until a new one begins.
"use strict";

const chat = document.getElementById("chat");
if (chat) setUpChat(chat);

function setUpChat(form) {
  const log = document.getElementById("turns");
  const status = form.querySelector("[data-status]");
  const [stop, again, clear] = ["stop", "again", "clear"].map((name) => form.querySelector(`[data-${name}]`));
  const send = form.querySelector("button.primary");
  const message = form.elements.message;
  const settings = ["system", "temperature", "top_p", "max_new_tokens"];
  const place = "chat:" + form.dataset.url;
  let turns = JSON.parse(form.elements.turns.value || "[]");
  let answering = null, leaving = false;

  restore();
  show();

  function restore() {
    const kept = JSON.parse(sessionStorage.getItem(place) ?? "null");
    if (!kept || turns.length > 0) return;
    turns = kept.turns;
    for (const name of settings) form.elements[name].value = kept[name];
    message.value ||= kept.message;
    for (const turn of turns) draw(turn);
  }
  function keep() {
    if (leaving) return;
    form.elements.turns.value = JSON.stringify(turns);
    const typed = settings.map((name) => [name, form.elements[name].value]);
    const kept = { turns, message: message.value, ...Object.fromEntries(typed) };
    try { sessionStorage.setItem(place, JSON.stringify(kept)); } catch {} // full: it is not kept
  }
  function show() {
    send.disabled = answering !== null;
    stop.hidden = answering === null;
    again.hidden = answering !== null || turns.at(-1)?.role !== "assistant";
    keep();
  }
  function draw({ role, content }) {
    const turn = document.createElement("div");
    turn.className = `turn ${role}`;
    const speaker = document.createElement("p");
    speaker.className = "speaker";
    speaker.textContent = role === "assistant" ? form.dataset.model : form.dataset.you;
    const text = document.createElement("div");
    text.className = "answer";
    text.textContent = content;
    turn.append(speaker, text);
    log.append(turn);
    return text;
  }
  const number = (name) => Number(form.elements[name].value.trim().replace(",", "."));

  function request() {
    const system = form.elements.system.value.trim();
    return {
      model: form.dataset.model, stream: true, stream_options: { include_usage: true },
      messages: [...(system ? [{ role: "system", content: system }] : []), ...turns],
      temperature: number("temperature"), top_p: number("top_p"), max_tokens: number("max_new_tokens"),
    };
  }

  // Asks with the turns as they are, and adds the answer to them.
  async function answer() {
    answering = new AbortController();
    const asked = performance.now();
    const wait = () => {
      const seconds = Math.round((performance.now() - asked) / 1000);
      if (seconds >= 1) status.textContent = form.dataset.starting.replace("{seconds}", seconds);
    };
    const waiting = setInterval(wait, 1000);
    status.textContent = "";
    show();
    const text = draw({ role: "assistant", content: "" });
    let said = "", end = {}, first = 0;
    try {
      for await (const piece of pieces(form, request(), answering.signal)) {
        if (piece.error) throw new Error(piece.error.message);
        const choice = piece.choices?.[0];
        if (choice?.delta?.content) {
          clearInterval(waiting);
          first ||= performance.now();
          status.textContent = form.dataset.writing;
          said += choice.delta.content;
          append(text, choice.delta.content);
        }
        if (choice?.finish_reason) end.reason = choice.finish_reason;
        if (piece.usage) end.tokens = piece.usage.completion_tokens;
      }
      if (!end.reason) throw new Error(form.dataset.broken);
      status.textContent = measured(end, (performance.now() - (first || asked)) / 1000);
    } catch (error) {
      const isCut = error instanceof TypeError; // what a browser calls a lost connection
      const why = isCut ? form.dataset.broken : error.message;
      status.textContent = answering.signal.aborted ? form.dataset.stopped : why;
    }
    clearInterval(waiting);
    answering = null;
    if (said || end.reason) turns.push({ role: "assistant", content: said });
    else text.parentElement.remove();
    show();
    return said !== "" || Boolean(end.reason);
  }
  function measured({ reason, tokens }, seconds) {
    const rate = (tokens / Math.max(seconds, 0.001)).toFixed(tokens > seconds * 10 ? 0 : 1);
    const values = { tokens, seconds: seconds.toFixed(1), rate };
    const told = form.dataset.measured.replace(/\{(\w+)\}/g, (_, name) => values[name]);
    return reason === "length" ? `${told} · ${form.dataset.cut}` : told;
  }

  // The server says what is wrong with a setting.
  function areSettingsSane() {
    const [temperature, topP, tokens] = settings.slice(1).map(number);
    return temperature >= 0 && temperature <= 2 && topP > 0 && topP <= 1 && Number.isInteger(tokens) && tokens > 0;
  }
  form.addEventListener("submit", async (event) => {
    if (!answering && !areSettingsSane()) return;
    event.preventDefault();
    const question = message.value;
    if (answering || !question.trim()) return message.focus();
    const turn = { role: "user", content: question };
    turns.push(turn);
    const drawn = draw(turn);
    message.value = "";
    if (!(await answer())) {
      // Nothing came: the question goes back to where it was typed.
      turns.pop();
      drawn.parentElement.remove();
      message.value ||= question;
      show();
    }
    message.focus();
  });
  again.addEventListener("click", () => {
    const before = turns.pop();
    log.lastElementChild.remove();
    answer().then((came) => {
      if (!came) { turns.push(before); draw(before); show(); }
    });
  });
  stop.addEventListener("click", () => answering?.abort());
  clear.addEventListener("click", () => {
    leaving = true;
    answering?.abort();
    sessionStorage.removeItem(place);
  });
  form.addEventListener("input", keep);
  document.addEventListener("keydown", (event) => {
    if (event.code === "Escape" && answering) answering.abort();
    const isEnter = event.code === "Enter" || event.code === "NumpadEnter";
    if (isEnter && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit(send);
    }
  });
}

// Adds to a text, and stays at its end if that is where the person is.
function append(text, piece) {
  const page = document.documentElement;
  const isAtEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 80;
  text.append(piece);
  if (isAtEnd) page.scrollTop = page.scrollHeight;
}

// The pieces of a streamed answer (server-sent events up to [DONE]).
async function* pieces(form, request, signal) {
  const headers = { "content-type": "application/json", csrf: form.elements.csrf.value };
  const answer = await fetch(form.dataset.url, { method: "POST", headers, body: JSON.stringify(request), signal });
  if (answer.redirected) throw new Error(form.dataset.signedOut);
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Error(body?.error?.message ?? form.dataset[answer.status === 400 ? "signedOut" : "broken"]);
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.startsWith("data: ") ? event.slice(6) : "";
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}
