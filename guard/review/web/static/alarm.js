// What is wrong with the quarantine or its decisions, until the reviewer has seen it.

import { count, visible } from "/build.js";

const text = document.getElementById("alarm-text");
const close = document.getElementById("alarm-close");
let dismissed = "";

export function drawAlarm(found) {
  const parts = [found.fault, ...found.refused.map((one) => `${one.origin}: ${one.why}`)];
  if (found.disputed) parts.push(`${count(found.disputed, "origin")} claimed by two different records: one of them is forged`);
  if (found.disbelieved) parts.push(`${count(found.disbelieved, "entry", "entries")} among the decisions not believed: see who may write there`);
  const told = visible(parts.filter(Boolean).join(" · "));
  show(told === dismissed ? "" : told);
}

function show(told) {
  if (text.textContent !== told) text.textContent = told;
  close.hidden = !told;
}

close.addEventListener("click", () => {
  dismissed = text.textContent;
  show("");
});
