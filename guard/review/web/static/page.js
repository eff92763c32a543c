// The page: which view is shown, where the reviewer is, and what is decided.

import { ask, enter, query } from "/ask.js";
import { drawAlarm } from "/alarm.js";
import { onBatch, openBatch } from "/batch.js";
import { count, make, visible } from "/build.js";
import { choose, chosen, drawChips, filter } from "/filter.js";
import { across, drawQueue, markColumns } from "/queue.js";
import { details, title } from "/record.js";
import { drawGroups, drawLog } from "/tables.js";

const at = (id) => document.getElementById(id);
const PAGE = 100;
const WATCH_MILLISECONDS = 1500;
const KEPT_REASONS = 12;
const NARROW = matchMedia("(max-width: 58rem)");
const state = { rows: [], count: 0, current: 0, wanted: null, shown: null, listed: true, kind: "text", seen: "", view: "queue" };
const first = { queue: 0, groups: 0, log: 0 };

function say(text) {
  at("said").textContent = text;
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    say(error.message);
  }
}

// Lists are drawn one after the other, so that no answer overtakes a later one.
let drawing = Promise.resolve();

function inTurn(work) {
  drawing = drawing.catch(() => {}).then(work);
  return drawing;
}

function load() {
  return inTurn(fetchQueue);
}

async function fetchQueue() {
  const found = await ask(query("/api/queue", { ...chosen(), first: first.queue }));
  if (first.queue && !found.rows.length) {
    first.queue = 0;
    return fetchQueue();
  }
  state.rows = found.rows;
  state.count = found.count;
  point(Math.min(state.current, found.rows.length - 1));
  const last = found.first + found.rows.length;
  at("count").textContent = found.count ? `${(found.first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${found.count.toLocaleString("en")}` : "nothing is chosen";
  turnable("queue", found);
  drawChips(at("chips"), () => guarded(anew));
  draw();
  if (state.kind === "table") guarded(() => markColumns(state.rows, draw));
  return allow();
}

// The list as it is now; the reviewer stays at the record that is shown, or goes on to what stands in its place.
async function follow() {
  await load();
  const number = state.rows.findIndex((row) => row.origin === state.wanted);
  if (number < 0 && state.listed) return show(state.current);
  point(number < 0 ? state.current : number);
  return draw();
}

function point(number) {
  state.current = Math.max(0, number);
}

function draw() {
  drawQueue(at("queue"), state.rows, state.current, state.kind);
}

async function anew() {
  first.queue = 0;
  state.current = 0;
  await load();
  await show(0);
}

function turnable(name, found) {
  const [back, on] = document.querySelectorAll(`.pager[data-of=${name}] button`);
  back.disabled = found.first === 0;
  on.disabled = found.first + found.rows.length >= found.count;
  back.parentNode.hidden = back.disabled && on.disabled;
}

// The record.
async function show(number) {
  point(Math.min(number, state.rows.length - 1));
  draw();
  const row = state.rows[state.current];
  state.listed = true;
  if (row) return open(row.origin);
  state.wanted = state.shown = null;
  at("record-title").textContent = "Nothing is left here";
  at("details").replaceChildren(make("p", "Choose something else, or wait: what is held from now on appears by itself.", { class: "note" }));
  return allow();
}

async function open(origin) {
  state.wanted = origin;
  at("details").setAttribute("aria-busy", "true");
  const found = await ask(query("/api/record", { origin }));
  if (state.wanted !== origin) return;
  state.shown = found;
  at("record-title").replaceChildren(...title(found));
  at("details").replaceChildren(...details(found, () => guarded(ofSource)));
  at("details").setAttribute("aria-busy", "false");
  at("record").scrollTop = 0;
  at("where").textContent = `${state.current + 1} of ${state.rows.length}: ${at("record-title").textContent}`;
  allow();
}

function allow() {
  const now = state.shown?.pending ? "pending" : state.shown?.state;
  at("reopen").hidden = now !== "rejected";
  at("release").disabled = at("reject").disabled = now !== "undecided";
  at("batch").textContent = `Decide about all ${state.count.toLocaleString("en")} chosen `;
  at("batch").append(make("kbd", "b"));
  at("batch").disabled = !state.count;
}

async function step(by) {
  const next = state.current + by;
  if (next >= state.rows.length && first.queue + state.rows.length < state.count) return turn("queue", 1);
  if (next < 0 && first.queue) return turn("queue", -1);
  return show(Math.max(0, next));
}

async function turn(name, by) {
  first[name] = Math.max(0, first[name] + by * PAGE);
  if (name !== "queue") return VIEWS[name]();
  state.current = by > 0 ? 0 : PAGE - 1;
  await load();
  return show(state.current);
}

async function ofSource() {
  if (!state.shown) return;
  choose("source", state.shown.source);
  await anew();
}

// Decisions.
function reason() {
  const why = at("why").value.trim();
  if (why) {
    const known = [...at("reasons").children].map((option) => option.value);
    if (!known.includes(why)) at("reasons").prepend(make("option", null, { value: why }));
    at("reasons").children[KEPT_REASONS]?.remove();
    return why;
  }
  at("why").focus();
  say("Write why first. It stays for the next decisions.");
  return null;
}

async function decide(action) {
  const why = reason();
  if (why === null) return;
  if (!state.shown || state.wanted !== state.shown.origin) {
    say("This record is not shown yet: look at it first.");
    return;
  }
  const { origin, label } = state.shown;
  const found = await ask("/api/decide", { action, why, origin });
  say(found.taken ? `${visible(label) || "The record"} will be ${action} in ${found.seconds} s. Undo with u.` : "It waits to be decided already.");
  flash(found.taken ? found.seconds : 0);
  await load();
  await show(state.rows[state.current]?.origin === origin ? state.current + 1 : state.current);
}

// The undo button is filled for as long as there is something to undo.
function flash(seconds) {
  at("undo").classList.remove("live");
  clearTimeout(state.told);
  if (!seconds) return;
  state.told = setTimeout(() => { say(""); flash(0); }, seconds * 1000);
  void at("undo").offsetWidth;
  at("undo").style.setProperty("--seconds", `${seconds}s`);
  at("undo").classList.add("live");
}

async function undo() {
  const found = await ask("/api/undo", {});
  flash(0);
  say(found.undone ? `${count(found.undone, "decision")} taken back.` : "Nothing waits any more. Show what is rejected to reopen it; a release is final.");
  await load();
  const number = state.rows.findIndex((row) => row.origin === found.origin);
  if (found.undone) await show(number >= 0 ? number : state.current);
}

async function batch() {
  const why = reason();
  if (why !== null && state.count) await openBatch(state.count, why);
}

async function decideAll(action, total) {
  const found = await ask("/api/decide", { action, why: reason(), filter: filter(), count: total });
  say(`${count(found.taken, "record")} will be ${action} in ${found.seconds} s. Undo with u.`);
  flash(found.seconds);
  await anew();
}

// Views, and what is told of the whole.
const VIEWS = {
  queue: follow,
  groups: () => inTurn(async () => turnable("groups", await drawGroups(first.groups, (name, text) => guarded(() => picked(name, text))))),
  log: () => inTurn(async () => turnable("log", await drawLog(first.log, (origin) => guarded(() => opened(origin))))),
};

async function go(view) {
  state.view = view;
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    at(`view-${button.dataset.view}`).hidden = button.dataset.view !== view;
  }
  await VIEWS[view]();
}

async function picked(name, text) {
  choose(name, text);
  await go("queue");
  await anew();
}

async function opened(origin) {
  await go("queue");
  state.listed = false;
  await open(origin);
}

async function watch() {
  const found = await ask("/api/session");
  enter(found.token);
  state.kind = found.kind;
  at("waiting").textContent = found.counts.undecided.toLocaleString("en");
  const soon = found.expiring?.["24 hours"];
  const parts = [found.title, `${found.reviewer}, ${count(found.done, "decision")} written`];
  if (soon) parts.push(`${count(soon, "record")} may be deleted within 24 hours`);
  if (found.expiring === null) parts.push("it cannot be seen how long records are kept");
  if (found.lost) parts.push(`at most ${found.lost.toLocaleString("en")} gone undecided`);
  at("facts").textContent = visible(parts.join(" · "));
  drawAlarm(found);
  const seen = JSON.stringify([found.counts, found.decisions, found.waiting]);
  if (state.seen && seen !== state.seen) await VIEWS[state.view]();
  state.seen = seen;
}

// Keys and buttons.
const KEYS = {
  j: () => step(1), k: () => step(-1), r: () => decide("released"), x: () => decide("rejected"), o: () => decide("reopened"),
  u: undo, b: batch, s: ofSource, w: () => at("why").focus(), f: () => { at("more").open = true; at("filter").elements.source.focus(); },
  1: () => go("queue"), 2: () => go("groups"), 3: () => go("log"), "?": () => at("help").showModal(),
};
const ARROWS = { ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: () => across(at("queue")), ArrowUp: () => -across(at("queue")) };

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog[open]");
  if (event.key === "Escape" && typing && !event.target.closest("dialog[open]")) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const arrow = state.view === "queue" && !event.target.closest(".scroll, pre") ? ARROWS[event.key] : undefined;
  const key = at("keys-on").checked || event.key === "?" ? KEYS[event.key] : undefined;
  if (!arrow && !key) return undefined;
  event.preventDefault();
  return guarded(arrow ? () => step(arrow()) : key);
});
at("queue").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) guarded(() => show(Number(button.dataset.number)).then(() => NARROW.matches && at("record").scrollIntoView()));
});
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => guarded(() => go(button.dataset.view)));
for (const button of document.querySelectorAll(".pager button")) {
  button.addEventListener("click", () => guarded(() => turn(button.parentNode.dataset.of, Number(button.dataset.by))));
}
for (const [id, work] of Object.entries({ release: KEYS.r, reject: KEYS.x, reopen: KEYS.o, undo, batch, "help-open": KEYS["?"] })) at(id).addEventListener("click", () => guarded(work));
at("filter").addEventListener("submit", (event) => { event.preventDefault(); at("more").open = false; guarded(anew); });
at("filter").addEventListener("reset", () => setTimeout(() => guarded(anew)));
for (const name of ["state", "order"]) at("filter").elements[name].addEventListener("change", () => guarded(anew));
at("by").addEventListener("change", () => { first.groups = 0; guarded(VIEWS.groups); });
at("decide").addEventListener("submit", (event) => { event.preventDefault(); at("why").blur(); });
onBatch((action, total) => guarded(() => decideAll(action, total)));
at("keys-on").checked = localStorage.getItem("single-keys") !== "off";
at("keys-on").addEventListener("change", () => localStorage.setItem("single-keys", at("keys-on").checked ? "on" : "off"));

guarded(async () => {
  await watch();
  await anew();
  setInterval(() => document.hidden || guarded(watch), WATCH_MILLISECONDS);
});
