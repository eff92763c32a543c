// Builds what is shown. Everything is set as text: what a sample holds is never markup.

const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

export function make(tag, content, options = {}) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) node.setAttribute(name, value);
  const parts = Array.isArray(content) ? content : [content];
  node.append(...parts.filter((part) => part !== undefined && part !== null));
  return node;
}

// What a sender wrote: what cannot be seen, or turns the line around, stands as an escape, and its direction stays inside.
export function sent(text) {
  return make("bdi", visible(String(text)));
}

export function visible(text) {
  return text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

export function pNumber(value) {
  if (value < 1e-12) return "< 10⁻¹²";
  return value >= 0.001 ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace("e-", " × 10⁻").replace(/(?<=⁻)\d+/, raised);
}

function raised(digits) {
  return [...digits].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

export function table(caption, names, rows) {
  const frame = make("div", null, { class: "scroll", tabindex: 0, role: "region", "aria-label": caption });
  const head = make("tr", names.map((name) => (name instanceof Node ? name : make("th", name, { scope: "col" }))));
  frame.append(make("table", [make("caption", caption), make("thead", head), make("tbody", rows)]));
  return frame;
}

export function tableRow(cells, options = {}) {
  return make("tr", cells.map((cell, number) => (cell instanceof HTMLTableCellElement ? cell : make(number ? "td" : "th", cell, number ? {} : { scope: "row" }))), options);
}

export function numberCell(value) {
  return make("td", value, { class: "number" });
}

export function figure(source, told, below, options = {}) {
  const image = make("img", null, { src: source, alt: told, loading: "lazy" });
  image.addEventListener("error", () => image.replaceWith(make("span", "no picture", { class: "broken" })));
  return make("figure", [image, make("figcaption", below)], options);
}

export function picture(of) {
  return `/picture?${new URLSearchParams(of)}`;
}
