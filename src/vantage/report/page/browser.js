// Groups as a list that draws only what is seen, filters over it, and one group beside it.
const ROW = 74;
const FILTERS = { run: null, world: null, task: null, origin: null, answer: null, gain: null, from: null, to: null, text: "", order: "step" };

function memberMatches(member, state) {
  return (state.origin === null || member.o === state.origin) && (state.answer === null || member.c === state.answer);
}
function matching(state) {
  const wanted = state.text.trim().toLowerCase();
  const hits = wanted ? DATA.texts.map((text) => text.toLowerCase().includes(wanted)) : null;
  const found = [];
  DATA.groups.forEach((group, i) => {
    if (state.run !== null && group.r !== state.run) return;
    if (state.world !== null && group.world !== state.world) return;
    if (state.task !== null && group.task !== state.task) return;
    if (state.from !== null && group.s < state.from) return;
    if (state.to !== null && group.s > state.to) return;
    if (state.gain !== null && (!known(group.g) || Math.sign(Math.abs(group.g) < 1e-9 ? 0 : group.g) !== state.gain)) return;
    if ((state.origin !== null || state.answer !== null) && !group.m.some((member) => memberMatches(member, state))) return;
    if (hits && !(hits[group.q] || hits[group.t] || group.id.toLowerCase().includes(wanted) || group.m.some((m) => [m.x, m.y, m.d, m.n, m.e].some((t) => t !== undefined && hits[t])))) return;
    found.push(i);
  });
  const gain = (i) => (known(DATA.groups[i].g) ? DATA.groups[i].g : 0);
  if (state.order === "worst") found.sort((a, b) => gain(a) - gain(b) || a - b);
  if (state.order === "best") found.sort((a, b) => gain(b) - gain(a) || a - b);
  if (state.order === "last") found.reverse();
  return found;
}

function values(pick) {
  const counted = new Map();
  for (const group of DATA.groups) for (const value of new Set(pick(group))) counted.set(value, (counted.get(value) || 0) + 1);
  return counted;
}
function choice(state, key, title, options, changed) {
  const buttons = options.map(([value, name, colour]) => {
    const button = h("button", { type: "button", class: "chip", "aria-pressed": state[key] === value }, colour && h("span", { class: `dot ${colour}` }), label(name));
    button.addEventListener("click", () => { state[key] = value; paint(); changed(); });
    return button;
  });
  const paint = () => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(state[key] === options[i][0])));
  return h("fieldset", { class: "filter", "data-filter": key }, h("legend", null, title), h("div", null, buttons));
}

function showFilters(state, changed) {
  const rows = [], any = [null, "any"];
  const add = (key, title, options) => options.length > 1 && rows.push(choice(state, key, title, [any, ...options], changed));
  add("run", "run", DATA.runs.map((run, i) => [i, run.name, runColour(i)]));
  add("world", "world", [...values((group) => [group.world]).keys()].filter(Boolean).map((name) => [name, name]));
  add("task", "kind of question", [...values((group) => [group.task]).keys()].filter(Boolean).slice(0, 24).map((name) => [name, name]));
  const origins = [...values((group) => group.m.map((member) => member.o)).keys()].slice(0, 24);
  add("origin", "answered from", origins.map((origin) => [origin, originName(origin), originColour(origin)]));
  add("answer", "with an answer that is", [[1, "right"], [0, "wrong"], ...(DATA.groups.some((group) => group.m.some((m) => m.c < 0)) ? [[-1, "without score"]] : [])]);
  if (DATA.groups.some((group) => known(group.g))) add("gain", "gain of fusion", [[1, "above 0"], [0, "0"], [-1, "below 0"]]);
  const steps = DATA.groups.map((group) => group.s), low = steps.reduce((a, b) => Math.min(a, b)), high = steps.reduce((a, b) => Math.max(a, b));
  const bound = (key, name, placeholder) => h("input", { type: "number", "aria-label": name, placeholder, min: low, max: high, oninput: (event) => { state[key] = event.target.value === "" ? null : Number(event.target.value); changed(); } });
  rows.push(h("div", { class: "filter", "data-filter": "step" }, h("label", null, "steps"), h("div", null, bound("from", "first step", low), "to", bound("to", "last step", high))));
  const order = h("select", { "aria-label": "Order", onchange: (event) => { state.order = event.target.value; changed(); } }, [["step", "by step"], ["last", "last step first"], ["worst", "lowest gain first"], ["best", "highest gain first"]].map(([value, name]) => h("option", { value }, name)));
  rows.push(h("div", { class: "filter", "data-filter": "order" }, h("label", null, "order"), h("div", null, order)));
  let timer = 0;
  const search = h("input", { type: "search", id: "search", placeholder: "question, truth or answer", "aria-label": "Search", oninput: (event) => { clearTimeout(timer); timer = setTimeout(() => { state.text = event.target.value; changed(); }, 120); } });
  rows.push(h("div", { class: "filter wide", "data-filter": "text" }, h("label", { for: "search" }, "text"), h("div", null, search)));
  return h("div", { class: "filters" }, rows);
}

function item(group, selected) {
  const thumbs = group.p.slice(0, 2).map(([, index]) => picture(index)).map((each) => (each.uri ? h("img", { src: each.uri, alt: "", class: each.width <= 128 ? "pixels" : "" }) : h("span", { class: "none" })));
  const kinds = ["fused", "mono", "guest"].map((kind) => group.m.filter((member) => split(member.o)[0] === kind).slice(0, 24)).filter((own) => own.length);
  const tally = kinds.flatMap((own, i) => [i ? h("span", { class: "gap" }) : null, own.map((member) => glyph(member, ""))]);
  const gain = known(group.g) && h("span", { class: `gain ${group.g > 0 ? "good" : group.g < 0 ? "bad" : ""}` }, signed(group.g));
  return h("button", { type: "button", class: "item", role: "option", tabindex: "-1", "aria-selected": selected }, h("span", { class: "thumbs" }, thumbs),
    h("div", null, h("div", { class: "meta" }, DATA.runs.length > 1 && h("span", { class: `dot ${runColour(group.r)}` }), h("span", null, `step ${group.s}`), group.task && h("span", null, label(group.task)), gain), h("div", { class: "line" }, label(TEXT(group.q).slice(0, 200))), h("div", { class: "tally" }, tally)));
}

function showBrowser(place) {
  const told = DATA.runs.map((run) => run.groups), shown = told.reduce((sum, [n]) => sum + n, 0), all = told.reduce((sum, [, n]) => sum + n, 0);
  place.append(h("h2", null, "Rollouts"));
  if (!DATA.groups.length) { place.append(h("p", { class: "note" }, "There are no groups to look at.")); return; }
  place.append(h("p", { class: "soft small" }, `Every question with all that was answered to it: ${many(shown, "group")}` + (shown < all ? ` of ${all.toLocaleString("en")}, spread evenly over the steps; ${(all - shown).toLocaleString("en")} are left out to keep this file small.` : ".")));
  const state = { ...FILTERS };
  const list = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": "Groups" }), canvas = h("div");
  const detail = h("div", { class: "detail", "aria-live": "polite" }), count = h("span", { id: "count" });
  const reset = h("button", { type: "button", class: "quiet", hidden: true }, "all groups");
  let found = [], current = 0;
  const matches = (member) => memberMatches(member, state);
  const paint = () => {
    const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4), to = Math.min(found.length, from + Math.ceil(list.clientHeight / ROW) + 9);
    canvas.replaceChildren(...found.slice(from, to).map((index, k) => {
      const node = item(DATA.groups[index], from + k === current);
      node.style.top = `${(from + k) * ROW}px`;
      node.addEventListener("click", () => { select(from + k); if (matchMedia("(max-width: 720px)").matches) detail.scrollIntoView({ block: "start" }); });
      return node;
    }));
  };
  const select = (place) => {
    if (!found.length) { detail.replaceChildren(h("p", { class: "empty" }, "No group is like that.")); paint(); return; }
    current = Math.min(found.length - 1, Math.max(0, place));
    const top = current * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    showGroup(detail, DATA.groups[found[current]], matches, (by) => select(current + by));
    paint();
  };
  const changed = () => {
    const before = found[current];
    found = matching(state);
    canvas.style.height = `${found.length * ROW}px`;
    count.replaceChildren(h("b", null, found.length.toLocaleString("en")), ` of ${many(DATA.groups.length, "group")}`);
    reset.hidden = Object.keys(FILTERS).every((key) => state[key] === FILTERS[key]);
    list.scrollTop = 0;
    select(Math.max(0, found.indexOf(before)));
  };
  let filters = showFilters(state, changed);
  reset.addEventListener("click", () => { Object.assign(state, FILTERS); const fresh = showFilters(state, changed); filters.replaceWith(fresh); filters = fresh; changed(); });
  list.append(canvas);
  list.addEventListener("scroll", paint, { passive: true });
  new ResizeObserver(paint).observe(list);
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const near = place.contains(event.target) || event.target === document.body && onScreen(list);
    const by = event.key === "j" ? 1 : event.key === "k" ? -1 : near ? { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1, PageDown: 8, PageUp: -8 }[event.key] : 0;
    if (event.key === "/" ) { document.getElementById("search").focus(); event.preventDefault(); }
    if (!by) return;
    select(current + by);
    event.preventDefault();
  });
  place.append(filters, h("div", { class: "browser" }, h("div", { class: "side" }, h("header", null, count, reset, h("span", { class: "hint" }, h("kbd", null, "↑"), " ", h("kbd", null, "↓"), " ", h("kbd", null, "/"))), list), detail));
  changed();
}
function onScreen(node) {
  const box = node.getBoundingClientRect();
  return box.top < innerHeight * 0.7 && box.bottom > innerHeight * 0.3;
}
