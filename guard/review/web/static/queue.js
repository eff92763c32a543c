// The list of held records: as pictures, or as lines with the columns that made them suspicious.

import { ask } from "/ask.js";
import { figure, make, pNumber, picture, sent, visible } from "/build.js";

const AT_ONCE = 10;
const MOST_KEPT = 5000;
const marked = new Map();
let turn = 0;

export function claim(row) {
  const parts = [row.label ? sent(row.label) : "no label"];
  if (row.suggested_label) parts.push(make("span", " → ", { "aria-hidden": "true" }), make("span", " trusted data say ", { class: "unseen" }), sent(row.suggested_label));
  return parts;
}

export function drawQueue(list, rows, current, kind) {
  const focused = list.contains(document.activeElement);
  const before = new Map([...list.children].map((item) => [item.dataset.origin, item]));
  list.classList.toggle("tiles", kind === "image");
  list.replaceChildren(...rows.map((row, number) => {
    const said = JSON.stringify([row.state, row.pending, marked.get(row.origin)]);
    const known = before.get(row.origin);
    const item = known?.dataset.said === said ? known : queueItem(row, kind);
    item.dataset.origin = row.origin;
    item.dataset.said = said;
    item.firstChild.dataset.number = number;
    return item;
  }));
  mark(list, current);
  if (focused) list.querySelector("[aria-current]")?.focus();
}

function mark(list, current) {
  [...list.children].forEach((item, number) => {
    const button = item.firstChild;
    button.tabIndex = number === current ? 0 : -1;
    if (number === current) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  list.children[current]?.scrollIntoView({ block: "nearest" });
}

// How many records stand side by side: the arrow keys move by it.
export function across(list) {
  const [first] = list.children;
  return first && list.classList.contains("tiles") ? [...list.children].filter((item) => item.offsetTop === first.offsetTop).length : 1;
}

function queueItem(row, kind) {
  const state = row.pending ? `will be ${row.pending}` : row.state === "undecided" ? "" : row.state;
  const facts = [row.p_value === null ? "" : `p ${pNumber(row.p_value)}`, row.reason === "suspect" ? "" : row.reason.replace("_", " "), state];
  const told = facts.filter(Boolean).join(" · ");
  const body = kind === "image"
    ? [figure(picture({ origin: row.origin }), "", make("strong", claim(row))), make("span", `${visible(row.source)} ${told}`, { class: "unseen" })]
    : [make("strong", claim(row)), make("span", told, { class: "told" }), make("span", row.source ? sent(row.source) : "no source", { class: "from" }), markedColumns(row.origin)];
  if (kind === "image" && (state || row.reason !== "suspect")) body.push(make("span", told, { class: "told" }));
  return make("li", make("button", body, { type: "button", class: row.pending ?? row.state }));
}

function markedColumns(origin) {
  const found = marked.get(origin);
  if (!found?.length) return null;
  return make("span", found.flatMap((one) => [make("mark", [sent(one.name), " ", sent(one.value)]), " "]), { class: "marks" });
}

// Which columns to mark is asked for a few records at a time, and no longer once another list is shown.
export async function markColumns(rows, draw) {
  const own = ++turn;
  if (marked.size > MOST_KEPT) marked.clear();
  const unknown = rows.filter((row) => row.p_value !== null && !marked.has(row.origin)).map((row) => row.origin);
  for (let first = 0; first < unknown.length && own === turn; first += AT_ONCE) {
    const part = unknown.slice(first, first + AT_ONCE);
    const found = await ask(`/api/marks?${new URLSearchParams(part.map((origin) => ["origin", origin]))}`);
    for (const [origin, columns] of Object.entries(found)) marked.set(origin, columns);
    if (own === turn) draw();
  }
}
