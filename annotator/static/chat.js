// Talks to a model: answers appear as they are written. Without this file the form does the same,
// a page per answer. The conversation is kept in this window until a new one begins.
"use strict";

const CHAT_SETTINGS = ["system", "temperature", "top_p", "max_new_tokens"];

class Chat {
  constructor(form) {
    this.form = form;
    this.log = document.getElementById("turns");
    this.status = form.querySelector("[data-status]");
    this.stop = form.querySelector("[data-stop]");
    this.again = form.querySelector("[data-again]");
    this.clear = form.querySelector("[data-clear]");
    this.send = form.querySelector("button.primary");
    this.message = form.elements.message;
    this.key = `chat:${ACCOUNT}:${form.getAttribute("data-url")}`;
    this.turns = JSON.parse(form.elements.turns.value || "[]");
    this.answering = null; // aborts the answer that is being written
    this.isLeaving = false;
    this.restore();
    this.show();
    this.listen();
  }

  listen() {
    this.form.addEventListener("submit", (event) => {
      // The server says what is wrong with a setting.
      if (!this.answering && !this.areSettingsSane()) return;
      event.preventDefault();
      this.ask();
    });
    this.form.addEventListener("input", () => {
      this.isLeaving = false; // the browser may have been told to stay
      this.keep();
    });
    this.again.addEventListener("click", () => this.answerAgain());
    this.stop.addEventListener("click", () => this.answering?.abort());
    this.clear.addEventListener("click", () => {
      this.isLeaving = true;
      this.answering?.abort();
      noteInThisWindow(this.key, null);
    });
    unsentHere.push(() => this.unsent());
    document.addEventListener("keydown", (event) => {
      if (keyRead(event) === "Escape" && this.answering) this.answering.abort();
      if (isSendKey(event)) {
        event.preventDefault();
        this.form.requestSubmit(this.send);
      }
    });
  }

  restore() {
    const kept = JSON.parse(inThisWindow(this.key) ?? "null");
    if (!kept || this.turns.length > 0) return;
    this.turns = kept.turns;
    for (const name of CHAT_SETTINGS) this.form.elements[name].value = kept[name];
    this.message.value ||= kept.message;
    for (const turn of this.turns) this.draw(turn);
  }

  keep() {
    if (this.isLeaving) return;
    this.form.elements.turns.value = JSON.stringify(this.turns);
    const typed = CHAT_SETTINGS.map((name) => [name, this.form.elements[name].value]);
    const kept = { turns: this.turns, message: this.message.value, ...Object.fromEntries(typed) };
    noteInThisWindow(this.key, JSON.stringify(kept)); // full: it is not kept
  }

  // The conversation is in this window alone.
  unsent() {
    const said = [...this.turns.map((turn) => turn.content), this.message.value].filter((text) => text.trim());
    return said.length > 0 ? [{ url: location.href, title: document.title, text: said.join("\n\n") }] : [];
  }

  show() {
    this.send.disabled = this.answering !== null;
    this.stop.hidden = this.answering === null;
    this.again.hidden = this.answering !== null || this.turns.at(-1)?.role !== "assistant";
    this.keep();
  }

  draw({ role, content }) {
    const turn = document.createElement("div");
    turn.className = `turn ${role}`;
    const speaker = document.createElement("p");
    speaker.className = "speaker";
    speaker.textContent = role === "assistant" ? this.form.getAttribute("data-model") : this.form.getAttribute("data-you");
    const text = document.createElement("div");
    text.className = "answer";
    text.dir = "auto";
    text.textContent = content;
    turn.append(speaker, text);
    this.log.append(turn);
    return text;
  }

  number(name) {
    return Number(this.form.elements[name].value.trim().replace(",", "."));
  }

  areSettingsSane() {
    const [temperature, topP, tokens] = CHAT_SETTINGS.slice(1).map((name) => this.number(name));
    return temperature >= 0 && temperature <= 2 && topP > 0 && topP <= 1 && Number.isInteger(tokens) && tokens > 0;
  }

  request() {
    const system = this.form.elements.system.value.trim();
    return {
      model: this.form.getAttribute("data-model"), stream: true, stream_options: { include_usage: true },
      messages: [...(system ? [{ role: "system", content: system }] : []), ...this.turns],
      temperature: this.number("temperature"), top_p: this.number("top_p"), max_tokens: this.number("max_new_tokens"),
    };
  }

  // Sends what is typed as a turn.
  async ask() {
    const question = this.message.value;
    if (this.answering || !question.trim()) return this.message.focus();
    const turn = { role: "user", content: question };
    this.turns.push(turn);
    const drawn = this.draw(turn);
    this.message.value = "";
    if (!(await this.answer())) {
      // Nothing came: the question goes back to where it was typed.
      this.turns.pop();
      drawn.parentElement.remove();
      this.message.value ||= question;
      this.show();
    }
    this.message.focus();
  }

  async answerAgain() {
    const before = this.turns.pop();
    this.log.lastElementChild.remove();
    if (await this.answer()) return;
    this.turns.push(before);
    this.draw(before);
    this.show();
  }

  // Has the turns answered as they are, and adds the answer to them; whether anything came.
  async answer() {
    this.isLeaving = false;
    this.answering = new AbortController();
    const asked = performance.now();
    const waiting = setInterval(() => this.sayHowLong(asked), 1000);
    const answer = { content: "", reason: null, tokens: undefined, began: 0 };
    this.status.textContent = "";
    this.show();
    const text = this.draw({ role: "assistant", content: "" });
    try {
      for await (const piece of pieces(this.form, this.request(), this.answering.signal)) {
        if (this.add(piece, answer, text)) clearInterval(waiting);
      }
      if (!answer.reason) throw new Error(this.form.getAttribute("data-broken"));
      this.status.textContent = this.measured(answer, (performance.now() - (answer.began || asked)) / 1000);
    } catch (error) {
      const isCut = error instanceof TypeError; // what a browser calls a lost connection
      const why = isCut ? this.form.getAttribute("data-broken") : error.message;
      this.status.textContent = this.answering.signal.aborted ? this.form.getAttribute("data-stopped") : why;
    }
    clearInterval(waiting);
    this.answering = null;
    const hasCome = answer.content !== "" || Boolean(answer.reason);
    if (hasCome) this.turns.push({ role: "assistant", content: answer.content });
    else text.parentElement.remove();
    this.show();
    return hasCome;
  }

  // Adds a piece to the answer; whether it held text.
  add(piece, answer, text) {
    if (piece.error) throw new Error(piece.error.message);
    const choice = piece.choices?.[0];
    const content = choice?.delta?.content;
    if (content) {
      answer.began ||= performance.now();
      answer.content += content;
      this.status.textContent = this.form.getAttribute("data-writing");
      append(text, content);
    }
    if (choice?.finish_reason) answer.reason = choice.finish_reason;
    if (piece.usage) answer.tokens = piece.usage.completion_tokens;
    return Boolean(content);
  }

  sayHowLong(asked) {
    const seconds = Math.round((performance.now() - asked) / 1000);
    if (seconds >= 1) this.status.textContent = this.form.getAttribute("data-starting").replace("{seconds}", seconds);
  }

  measured({ reason, tokens }, seconds) {
    const rate = decimal(tokens / Math.max(seconds, 0.001), tokens > seconds * 10 ? 0 : 1);
    const values = { tokens, seconds: decimal(seconds, 1), rate };
    const told = this.form.getAttribute("data-measured").replace(/\{(\w+)\}/g, (_, name) => values[name]);
    return reason === "length" ? `${told} · ${this.form.getAttribute("data-cut")}` : told;
  }
}

// A number as the page's language writes it.
function decimal(value, digits) {
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false };
  return value.toLocaleString(document.documentElement.lang, format);
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
  const answer = await fetch(form.getAttribute("data-url"), { method: "POST", headers, body: JSON.stringify(request), signal });
  if (answer.redirected) throw new Error(form.getAttribute("data-signed-out"));
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Error(body?.error?.message ?? (answer.status === 400 ? form.getAttribute("data-signed-out") : form.getAttribute("data-broken")));
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

const chat = document.getElementById("chat");
if (chat) new Chat(chat);
