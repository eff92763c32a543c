// The views beside the queue: records counted by source, and every decision.

import { ask, query } from "/ask.js";
import { count, make, numberCell, pNumber, sent, tableRow } from "/build.js";

const at = (id) => document.getElementById(id);

export async function drawGroups(first, choose) {
  const by = at("by").value;
  const found = await ask(query("/api/groups", { state: "all", by, first }));
  at("groups-by").textContent = `${by[0].toUpperCase()}${by.slice(1)}`;
  at("groups-count").textContent = `${count(found.count, by)}, the largest first`;
  at("groups-rows").replaceChildren(...found.rows.map((group) => {
    const button = make("button", group.name ? sent(group.name) : `no ${by}`, { type: "button", class: "link" });
    button.addEventListener("click", () => choose(by, group.name));
    const numbers = [group.undecided, group.released, group.rejected, group.expired].map((number) => numberCell(number.toLocaleString("en")));
    return tableRow([button, ...numbers, numberCell(group.smallest_p === null ? "" : pNumber(group.smallest_p))]);
  }));
  return found;
}

export async function drawLog(first, open) {
  const found = await ask(query("/api/log", { first }));
  at("log-count").textContent = count(found.count, "decision");
  at("log-rows").replaceChildren(...found.rows.map((one) => {
    const button = make("button", sent(one.origin), { type: "button", class: "link" });
    button.addEventListener("click", () => open(one.origin));
    return tableRow([button, make("span", one.action, { class: `badge ${one.action}` }), one.time.slice(0, 19).replace("T", " "), sent(one.reviewer), sent(one.why)]);
  }));
  return found;
}
