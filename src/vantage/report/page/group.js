// One group: its question, its pictures, and every answer with what it earned.
const TEXT = (index) => (index === undefined ? "" : DATA.texts[index]);

function completion(text) {
  if (!text) return h("div", { class: "text blank" }, "(empty)");
  const box = h("div", { class: "text", dir: "auto" });
  const shape = /^([^]*?<think>)([^]*?)(<\/think>[^]*?)(?:(<answer>)([^]*?)(<\/answer>[^]*))?$/.exec(text.length < 40000 ? text : "");
  if (!shape) return fill(box, null, visible(text));
  const [, open, thought, close, answerOpen, answer, end] = shape;
  fill(box, null, [h("span", { class: "tag" }, visible(open)), h("span", { class: "thought" }, visible(thought)), h("span", { class: "tag" }, visible(close))]);
  return answerOpen ? fill(box, null, [h("span", { class: "tag" }, answerOpen), h("span", { class: "answer" }, visible(answer)), h("span", { class: "tag" }, visible(end))]) : box;
}
function glyph(member, base) {
  const kind = split(member.o)[0];
  return h("i", { class: `${base} ${originColour(member.o)} ${kind === "fused" ? "" : kind === "mono" ? "mono" : "guest"} ${member.c === 1 ? "on" : member.c < 0 ? "off" : ""}` });
}
const VERDICT = new Map([[1, "right"], [0, "wrong"], [-1, "no score"]]);

function terms(member) {
  const parts = DATA.terms[member.p].filter(([, value]) => value !== null);
  return h("div", { class: "terms" }, h("span", { class: "total" }, h("b", null, known(member.r) ? number(member.r) : "no reward"), ` ${VERDICT.get(member.c)}`),
    parts.map(([name, value]) => h("span", null, label(name), " ", h("b", null, number(value)))));
}
function advantage(member, most) {
  const bar = h("i", { class: member.a > 0 ? "c0" : "c4" }), size = known(member.a) && most ? (50 * Math.abs(member.a)) / most : 0;
  bar.style.width = `${size}%`;
  bar.style[member.a > 0 ? "left" : "right"] = "50%";
  return h("div", { class: "adv" }, h("span", { class: "track" }, size > 0 && bar), h("b", null, known(member.a) ? signed(member.a) : "–"), !member.l && h("small", null, "not trained on"));
}
function extras(member) {
  const found = [];
  if (member.y !== undefined) found.push(h("div", { class: "extra" }, "the reasoner replied", completion(TEXT(member.y))));
  if (member.d !== undefined) found.push(h("div", { class: "extra" }, "learned in its place", completion(TEXT(member.d))));
  if (member.n !== undefined) found.push(h("div", { class: "extra bad" }, "not there: ", label(TEXT(member.n))));
  if (member.e !== undefined) found.push(h("div", { class: "extra" }, label(TEXT(member.e))));
  if (member.w) found.push(h("div", { class: "extra bad" }, "stopped at the time limit of the verifier"));
  if (!member.f && member.c >= 0) found.push(h("div", { class: "extra" }, "not laid out as asked"));
  return found;
}

function showGroup(place, group, matches, move) {
  const most = Math.max(...group.m.map((member) => (known(member.a) ? Math.abs(member.a) : 0)), 0);
  const run = DATA.runs[group.r], order = new Map([["mono", 0], ["fused", 1], ["guest", 2]]);
  const members = group.m.map((member, i) => [member, i]).sort(([a, i], [b, j]) => matches(b) - matches(a) || (order.get(split(a.o)[0]) ?? 3) - (order.get(split(b.o)[0]) ?? 3) || i - j);
  const rows = members.map(([member, i]) =>
    h("div", { class: `member ${matches(member) ? "" : "dim"}`, "data-origin": member.o, onpointerenter: () => light(place, i), onpointerleave: () => light(place, null), onclick: () => light(place, i) },
      h("div", { class: "origin", title: member.o }, glyph(member, "glyph"), h("span", null, label(originName(member.o)))), h("div", { class: "said" }, completion(TEXT(member.x)), extras(member)), terms(member), advantage(member, most)));
  const gain = known(group.g) && h("span", { class: group.g > 0 ? "good" : group.g < 0 ? "bad" : "" }, `gain of fusion ${signed(group.g)}`);
  const left = group.left && h("p", { class: "note" }, `${many(group.left[0], "answer")} and ${many(group.left[1], "picture")} more are not shown.`);
  place.replaceChildren(
    h("div", { class: "crumbs" }, DATA.runs.length > 1 && h("span", { class: runColour(group.r) }, h("span", { class: "dot" }), " ", label(run.name)), h("span", null, `step ${group.s}`), group.task && h("span", null, label(group.task)), group.about && h("span", null, label(group.about)), gain, h("span", null, label(group.id)),
      h("span", { class: "nav" }, h("button", { type: "button", class: "quiet", "aria-label": "Previous group", onclick: () => move(-1) }, "↑"), h("button", { type: "button", class: "quiet", "aria-label": "Next group", onclick: () => move(1) }, "↓"))),
    h("p", { class: "question", dir: "auto" }, visible(TEXT(group.q))), h("p", { class: "truth" }, "Truth: ", h("b", null, label(TEXT(group.t))), group.reward && h("span", null, " · judged by ", label(group.reward))),
    ...showPictures(group).filter(Boolean),
    h("div", { class: "members" }, h("div", { class: "member head" }, h("span", null, "who answered"), h("span", null, "what"), h("span", null, "reward"), h("span", null, "advantage")), rows), left || "");
  place.scrollTop = 0;
}
