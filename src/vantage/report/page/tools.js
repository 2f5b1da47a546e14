"use strict";
// Everything that a model, a file or a server wrote reaches the page as text nodes, never as markup; names that it chose
// are looked up in maps, never as properties.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"];
const MINUS = "\u2212";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || (value === false && !key.startsWith("aria-"))) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true && !key.startsWith("aria-") ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Control characters, marks that turn the direction of writing, and halves of surrogate pairs, which would hide.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
function visible(text) {
  const pieces = [];
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > from) pieces.push(text.slice(from, found.index));
    const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    pieces.push(h("span", { class: "escape", title: "a character that cannot be seen" }, "U+" + code));
    from = found.index + 1;
  }
  if (from < text.length) pieces.push(text.slice(from));
  return pieces;
}
const label = (text) => h("bdi", null, visible(text));

const known = (value) => typeof value === "number" && Number.isFinite(value);
function number(value, digits = 3) {
  if (!known(value)) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 1e6) ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", MINUS);
}
const signed = (value, digits = 2) => (known(value) ? (value > 0 ? "+" : value < 0 ? MINUS : "") + Math.abs(value).toFixed(digits) : "–");
const percent = (value) => (known(value) ? (100 * value).toFixed(1) : "–");
function points(value) {
  const text = (100 * value).toFixed(1);
  return (value > 0 && text !== "0.0" ? "+" : "") + (text === "-0.0" ? "0.0" : text.replace("-", MINUS));
}
const sign = (change) => (!change || !known(change[1]) ? 0 : change[1] > 0 ? 1 : change[2] < 0 ? -1 : 0);
const many = (n, one, more) => `${n.toLocaleString("en")} ${n === 1 ? one : more || one + "s"}`;

// A source has one colour on the whole page, whatever run it comes from.
const SOURCES = new Map();
function sourceColour(name) {
  if (!SOURCES.has(name)) SOURCES.set(name, ["c1", "c3", "c5", "c6", "c2", "c4"][SOURCES.size % 6]);
  return SOURCES.get(name);
}
const GUESTS = new Map();
function originColour(origin) {
  const [kind, name] = split(origin);
  if (kind === "fused") return "c0";
  if (kind === "mono") return sourceColour(name);
  if (!GUESTS.has(name)) GUESTS.set(name, ["c4", "c2", "c6", "c5"][GUESTS.size % 4]);
  return GUESTS.get(name);
}
function split(origin) {
  const at = origin.indexOf(":");
  return at < 0 ? [origin, ""] : [origin.slice(0, at), origin.slice(at + 1)];
}
const runColour = (index) => COLOURS[index % COLOURS.length];
function originName(origin) {
  const [kind, name] = split(origin);
  return kind === "fused" ? "all pictures" : kind === "mono" ? name + " alone" : kind === "guest" ? "guest " + name : origin;
}
