// One decision about all that is chosen: what that is, and its number to be typed.

import { ask, query } from "/ask.js";
import { count, make, sent, visible } from "/build.js";
import { filter, words } from "/filter.js";

const at = (id) => document.getElementById(id);
const KINDS = ["reason", "source", "label"];
const SHOWN = 5;
let total = 0;

export async function openBatch(chosen, why) {
  total = chosen;
  at("all-what").replaceChildren(make("strong", count(total, "record")), `: ${visible(words().join(", "))}. Why: ${why}`);
  at("all-groups").replaceChildren();
  at("all-count").value = "";
  lock();
  at("all").showModal();
  const found = await Promise.all(KINDS.map((by) => ask(query("/api/groups", { ...filter(), by }))));
  at("all-groups").replaceChildren(...KINDS.flatMap((by, number) => [make("dt", by), make("dd", largest(found[number]))]));
}

export function onBatch(decide) {
  at("all-count").addEventListener("input", lock);
  at("all").addEventListener("close", () => {
    const action = at("all").returnValue;
    at("all").returnValue = "";
    if (action) decide(action, total);
  });
}

function largest(found) {
  const parts = found.rows.slice(0, SHOWN).flatMap((group, number) => [
    number ? ", " : "", group.name ? sent(group.name) : "(none)", ` ${group.undecided + group.released + group.rejected + group.expired}`,
  ]);
  return found.count > SHOWN ? [...parts, `, and ${found.count - SHOWN} more`] : parts;
}

function lock() {
  const wrong = at("all-count").value.trim() !== String(total);
  for (const button of at("all").querySelectorAll("button:not(#all-cancel)")) button.disabled = wrong;
}
