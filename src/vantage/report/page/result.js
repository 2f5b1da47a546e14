// What was trained, whether it helped, and whether seeing more meant knowing more.
function rowName(row) {
  const names = { fused: "all pictures", either: "right from at least one", interference: "one right, together wrong" };
  return row.kind === "source" ? row.name + " alone" : names[row.kind] || row.name;
}
const rowColour = (row) => (row.kind === "fused" ? "c0" : row.kind === "source" ? sourceColour(row.name) : "cg");

function bells(run) {
  const moments = run.moments, shown = run.matrix.filter((row) => row.kind !== "interference" || row.before || row.after);
  const ends = shown.flatMap((row) => moments.flatMap((m) => (row[m] ? [row[m][1], row[m][2]] : [])));
  const low = Math.max(0, Math.floor(10 * (Math.min(...ends) - 0.01)) / 10), high = Math.min(1, Math.ceil(10 * (Math.max(...ends) + 0.01)) / 10);
  const at = (v) => `${(100 * (v - low)) / (high - low || 1)}%`;
  const marks = [];
  for (let v = Math.round(10 * low); v <= Math.round(10 * high); v++) marks.push(v / 10);
  const both = moments.length === 2;
  const grid = h("div", { class: "bells", role: "table", "aria-label": "Right answers by what the model saw" });
  grid.append(h("div", { class: "head" }, "right answers, %"), h("div", { class: "head track" }), h("div", { class: "head values" }, both ? "before → after" : moments[0] || ""), h("div", { class: "head change" }, both ? "change" : ""));
  for (const row of shown) {
    const colour = rowColour(row), svg = s("svg", { class: colour, "aria-hidden": "true" });
    for (const v of marks) svg.append(s("line", { class: "grid", x1: at(v), x2: at(v), y1: 0, y2: "100%" }));
    const was = row.before, is = row.after || (both ? null : row.before);
    if (is) svg.append(s("line", { class: "isline", x1: at(is[1]), x2: at(is[2]), y1: "50%", y2: "50%" }));
    if (was && both) svg.append(s("line", { class: "wasline", x1: at(was[1]), x2: at(was[2]), y1: "50%", y2: "50%" }));
    if (was && is && both) svg.append(s("line", { class: "move", x1: at(was[0]), x2: at(is[0]), y1: "50%", y2: "50%" }));
    if (was && both) svg.append(s("circle", { class: "was", cx: at(was[0]), cy: "50%", r: 5 }));
    if (is) svg.append(s("circle", { class: "is", cx: at(is[0]), cy: "50%", r: 7 }));
    const minor = row.kind !== "fused" && row.kind !== "source";
    grid.append(h("div", { class: `name ${colour} ${minor ? "minor" : ""}` }, h("span", { class: "dot" }), label(rowName(row))), h("div", { class: "track" }, svg));
    grid.append(h("div", { class: "values" }, both && was ? h("span", null, percent(was[0]), " →") : "", h("b", null, is ? percent(is[0]) : "–")));
    grid.append(h("div", { class: "change" }, changed(row)));
  }
  const axis = s("svg", { "aria-hidden": "true" }, marks.map((v, i) => s("text", { x: at(v), y: 13, "text-anchor": i === 0 ? "start" : i === marks.length - 1 ? "end" : "middle" }, Math.round(100 * v))));
  grid.append(h("div", { class: "axis blank" }), h("div", { class: "axis track" }, axis), h("div", { class: "axis blank" }), h("div", { class: "axis blank" }));
  return h("div", null, grid, h("p", { class: "key" }, both ? "Hollow: before training; filled: after; bars and brackets: 95 % intervals. " : "", `${many(run.n, "held-out question")}. “Right from at least one” is what perfect trust in the right source would reach.`));
}
function changed(row) {
  if (!row.change) return "";
  const [value, low, high] = row.change, way = sign(row.change) * (row.kind === "interference" ? -1 : 1);
  return [h("b", { class: way > 0 ? "good" : way < 0 ? "bad" : "soft" }, points(value)), known(low) ? h("small", null, `${points(low)} to ${points(high)}`) : h("small", null, "no interval")];
}

function facts(run) {
  return h("dl", { class: "facts" }, run.facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, label(value)))));
}
// The number in a headline carries its colour.
function coloured(title, tone) {
  return title.split(/([+\u2212]?\d[\d.]* (?:points|%))/).map((piece, i) => (i % 2 ? h("em", { class: tone }, piece) : piece));
}
function one(run) {
  const told = run.told;
  const text = h("div", null, h("h1", null, coloured(told.title, told.tone)), told.about && h("p", { class: "lead" }, told.about),
    told.seeing && h("div", { class: "seeing" }, h("h2", null, told.seeing), h("p", null, label(told.seen))), run.notes.map((note) => h("p", { class: "note" }, label(note))));
  return [facts(run), h("div", { class: run.matrix.length ? "hero" : "hero alone" }, text, run.matrix.length ? bells(run) : "")];
}
function several(place) {
  const rows = DATA.runs.map((run, i) => {
    const fused = run.matrix.find((row) => row.kind === "fused") || {}, facts = new Map(run.facts);
    const cell = (share) => (share ? [percent(share[0]), h("small", null, `${percent(share[1])} to ${percent(share[2])}`)] : "–");
    return h("tr", null, h("td", { class: runColour(i) }, h("span", { class: "dot" }), " ", label(run.name)), h("td", null, label(facts.get("method") || "–")), h("td", null, label(facts.get("steps") || "–")),
      h("td", { class: "num" }, cell(fused.before)), h("td", { class: "num" }, cell(fused.after)), h("td", { class: "num" }, fused.change ? changed(fused) : "–"), h("td", null, run.told.seeing || "–"));
  });
  const heads = ["run", "method", "steps", "right before, %", "right after, %", "change, points", "does seeing more mean knowing more?"];
  const view = h("div");
  const choose = (i) => {
    const names = new Map(DATA.runs.map((run, k) => [k, run.name]));
    view.replaceChildren(chips(names, i, choose), ...one(DATA.runs[i]));
    showTasks(document.getElementById("tasks"), DATA.runs[i]);
  };
  place.append(h("div", { class: "hero alone" }, h("h1", null, `${DATA.runs.length} runs, side by side.`)), h("div", { class: "scroll" }, h("table", { class: "runs" }, h("thead", null, h("tr", null, heads.map((name, i) => h("th", { class: i > 2 && i < 6 ? "num" : "" }, name)))), h("tbody", null, rows))), h("h2", { class: "spaced" }, "One at a time"), view);
  choose(0);
}

function showTasks(place, run) {
  const link = document.querySelector('nav a[href="#tasks"]');
  place.hidden = link.hidden = !run.tasks.length;
  if (!run.tasks.length) return;
  const columns = run.tasks[0].rows, both = run.moments.length === 2, last = run.moments[run.moments.length - 1];
  const cell = (row) => {
    if (!row || !row[last]) return h("td", null, "–");
    const way = sign(row.change) * (row.kind === "interference" ? -1 : 1);
    return h("td", null, h("b", null, percent(row[last][0])), h("small", { class: way > 0 ? "good" : way < 0 ? "bad" : "" }, row.change ? points(row.change[0]) : `${percent(row[last][1])} to ${percent(row[last][2])}`));
  };
  const find = (task, column) => task.rows.find((row) => row.kind === column.kind && row.name === column.name);
  place.replaceChildren(h("h2", null, "By kind of question"), h("p", { class: "soft small" }, both ? "Share of right answers after training, %, and the change in points; coloured where its 95 % interval leaves out 0." : "Share of right answers, %."),
    h("div", { class: "scroll" }, h("table", { class: "grid" }, h("thead", null, h("tr", null, h("th", null, ""), columns.map((row) => h("th", { class: rowColour(row) }, h("span", { class: "dot" }), " ", label(rowName(row)))))),
      h("tbody", null, run.tasks.map((task) => h("tr", null, h("td", null, label(task.name), h("small", null, many(task.n, "question"))), columns.map((column) => cell(find(task, column)))))))));
}

function showResult(place) {
  if (DATA.runs.length === 1) {
    place.append(...one(DATA.runs[0]));
    showTasks(document.getElementById("tasks"), DATA.runs[0]);
  } else several(place);
}
