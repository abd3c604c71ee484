// Which key somebody pressed, as they read it.
"use strict";

// The letter or digit that a key types. Where a layout types no Latin letters (Russian, Greek, Hebrew),
// the one that stands at that place on an American keyboard, and where digits want the shift key
// (French), the one that is printed on the key. Nothing where the key belongs to somebody else: with a
// modifier, or while a word is being composed.
function keyRead(event) {
  const isComposing = event.isComposing || event.key === "Process" || event.key === "Dead";
  const isModified = event.ctrlKey || event.metaKey || event.altKey || event.getModifierState("AltGraph");
  if (isComposing || isModified || event.defaultPrevented) return "";
  if ([...event.key].length > 1) return event.key; // Enter, Escape
  const typed = event.key.toLowerCase();
  if (/^[a-z0-9]$/.test(typed)) return typed;
  const [, letter, digit] = event.code.match(/^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/) ?? [];
  if (letter && /^\p{L}$/u.test(typed) && !/^\p{Script=Latin}$/u.test(typed)) return letter.toLowerCase();
  return (!event.shiftKey && digit) || "";
}

// Sends a form from wherever the cursor is.
function isSendKey(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.isComposing;
}
