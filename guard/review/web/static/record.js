// One held record: what it claims, what the trusted data say, and why it is held.

import { figure, make, numberCell, picture, pNumber, sent, table, tableRow, visible } from "/build.js";

const LOUDEST = 12;

export function title(found) {
  const parts = ["Claims ", found.label ? sent(found.label) : "no label"];
  const suggested = found.suggested_label || found.suggested_now;
  if (suggested) parts.push(make("span", [", trusted data say ", sent(suggested)], { class: "suggested" }));
  return parts;
}

export function details(found, onSource) {
  const parts = [summary(found, onSource)];
  if (found.disputed) parts.push(make("p", "Two different records claim this origin, so one of them is forged. It cannot be released.", { class: "warning" }));
  if (!found.model) parts.push(make("p", "Nothing was judged about this sample, and nothing but the sample is shown. Release it when it is right as it stands; reject it when it is poison.", { class: "note" }));
  if (found.kind === "gone") parts.push(make("p", "The record itself is gone: the quarantine holds it no longer.", { class: "warning" }));
  if (found.kind === "text") parts.push(make("pre", visible(found.text), { tabindex: 0, "aria-label": "The sample as text" }));
  if (found.kind === "text" && found.cut) parts.push(make("p", `Cut; ${found.size} bytes in all.`));
  if (found.kind === "image") parts.push(images(found));
  if (found.kind === "table") parts.push(columns(found));
  if (found.members?.length) parts.push(members(found.members));
  parts.push(facts(found));
  return parts;
}

function summary(found, onSource) {
  const source = make("button", found.source ? sent(found.source) : "no source", { type: "button", class: "link", title: "Choose this source" });
  source.addEventListener("click", onSource);
  const parts = ["from ", source];
  if (found.reason) parts.push(" · ", found.reason.replace("_", " "));
  if (found.p_value !== null) parts.push(" · ", make("span", `p ${pNumber(found.p_value)}`, { class: "p" }));
  if (found.p_value !== null && found.threshold !== null) parts.push(` against α ${found.threshold}`);
  const state = found.pending ? `will be ${found.pending}` : found.state;
  if (state !== "undecided") parts.push(" · ", make("span", state, { class: `badge ${found.pending ?? found.state}` }));
  return make("p", parts, { class: "summary" });
}

function members(found) {
  const rows = found.map((one) => {
    const meter = make("meter", null, { min: 0, max: LOUDEST, value: Math.min(LOUDEST, -Math.log10(one.p)), "aria-hidden": "true" });
    return tableRow([one.name, numberCell(pNumber(one.p)), make("td", meter), one.fired ? make("strong", "spoke loudest") : "", one.blind], one.fired ? { class: "fired" } : {});
  });
  return table("What each member says", ["Member", make("th", "p alone", { scope: "col", class: "number" }), make("th", "suspicion", { scope: "col" }), "", "blind to"], rows);
}

function images(found) {
  const own = figure(picture({ origin: found.origin }), `The held sample, claimed to be ${visible(found.label)}`, ["held: ", found.label ? sent(found.label) : "no label"], { class: "own" });
  const near = found.neighbours.map((one) => figure(picture({ trusted: one.row }), `Trusted sample, ${visible(one.label)}`, [make("strong", sent(one.label)), distance(one)], { class: one.label === found.label ? "same" : "other" }));
  const beside = make("div", [make("h3", "Nearest trusted samples"), make("div", near, { class: "near" })]);
  return make("div", near.length ? [own, beside] : [own], { class: "pictures" });
}

function distance(one) {
  return one.distance === null ? "" : make("span", ` at ${Number(one.distance.toPrecision(3))}`);
}

function columns(found) {
  const blamed = found.columns.some((one) => one.blamed);
  const names = ["Column", make("th", ["held", make("br"), found.label ? sent(found.label) : "no label"], { scope: "col", class: "held" })];
  names.push(...found.neighbours.map((one) => make("th", ["trusted", make("br"), sent(one.label)], { scope: "col" })));
  const rows = found.columns.map((one) => tableRow([columnName(one), make("td", sent(one.value), { class: "held" }), ...one.near.map((value) => sent(value))], one.blamed ? { class: "blamed" } : {}));
  const caption = ["The sample beside its nearest trusted ones", blamed ? ". What made it suspicious is marked and stands first" : "", found.more ? ` (${found.more} more columns not shown)` : ""].join("");
  return table(caption, names, rows);
}

function columnName(one) {
  const parts = [sent(one.name)];
  if (one.blamed) parts.push(make("span", `suspicious, ${Math.round(one.share * 100)} %`, { class: "share" }));
  return make("th", parts, { scope: "row" });
}

function facts(found) {
  const list = make("dl", null, { class: "facts" });
  const other = found.explained && found.model && found.explained !== found.model ? ` (explained by ${found.explained})` : "";
  const pairs = {
    "Name": found.name,
    "Judged": found.judged,
    "By model": found.model && `${found.model}${other}`,
    "May be deleted from": found.expires_not_before,
    "Record": found.origin,
  };
  for (const [name, value] of Object.entries(pairs)) {
    if (value) list.append(make("dt", name), make("dd", sent(value)));
  }
  for (const one of found.decisions) list.append(make("dt", one.action), make("dd", [`${one.time} by `, sent(one.reviewer), ": ", sent(one.why)]));
  return list;
}
