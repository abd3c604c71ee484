// Everything works without this file; with it, the page saves you steps.
"use strict";

// The summary of a form's errors is read out and seen first.
document.querySelector("[data-focus]")?.focus();
