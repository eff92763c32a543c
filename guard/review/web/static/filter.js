// What is chosen: the fields of the form. A text that no field can hold, such as one with a line break, stays beside it.

import { make, sent } from "/build.js";

const form = document.getElementById("filter");
const NAMES = { suggested: "trusted say", min_p: "p from", max_p: "p up to", since: "since", until: "until", expiring: "deleted within" };

export function chosen() {
  const found = {};
  for (const field of form.elements) {
    const text = field.dataset.exact ?? field.value.trim();
    if (field.name && (text || field.dataset.exact !== undefined)) found[field.name] = text;
  }
  return found;
}

export function filter() {
  const { order, ...rest } = chosen();
  return rest;
}

export function choose(name, text) {
  const field = form.elements[name];
  field.value = text;
  delete field.dataset.exact;
  if (field.value.trim() !== text || !text) field.dataset.exact = text;
}

export function leave(name) {
  const field = form.elements[name];
  field.value = "";
  delete field.dataset.exact;
}

export function words() {
  const { state, ...rest } = filter();
  return [state, ...Object.entries(rest).map(([name, text]) => `${NAMES[name] ?? name} ${text || "(none)"}`)];
}

export function drawChips(box, onLeave) {
  const { state, ...rest } = filter();
  box.replaceChildren(...Object.entries(rest).map(([name, text]) => {
    const chip = make("button", [`${NAMES[name] ?? name} `, text ? sent(text) : "(none)", make("span", " ×", { "aria-hidden": "true" })], { type: "button", "aria-label": `Leave out the filter ${NAMES[name] ?? name}` });
    chip.addEventListener("click", () => { leave(name); onLeave(); });
    return chip;
  }));
}

form.addEventListener("input", (event) => delete event.target.dataset.exact);
form.addEventListener("reset", () => [...form.elements].forEach((field) => delete field.dataset.exact));
