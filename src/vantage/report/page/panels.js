// Which curves stand together, and how to read them.
function columnsOf(run) {
  const map = new Map();
  for (const [name, values] of run.metrics.columns) map.set(name, values);
  return map;
}
const below = (columns, prefix) => [...columns.keys()].filter((name) => name.startsWith(prefix)).map((name) => [name, name.slice(prefix.length)]);
const TIME = [["rollout", "c0"], ["anchors", "c1"], ["guests", "c4"], ["vision", "c3"], ["reward", "c2"], ["update", "c5"]];

// The series of a panel for one run: [column, label, colour, style].
const PANELS = [
  { title: "Reward and accuracy", about: "mean over the step’s sampled answers", options: { floor: 0 }, series: (c) => {
    const r = c.get("reward"), a = c.get("accuracy");
    const same = r && a && r.every((v, i) => v === a[i] || (known(v) && known(a[i]) && Math.abs(v - a[i]) < 1e-4));
    return [same ? null : ["reward", "reward", "c0"], ["accuracy", same ? "right, which is the reward" : "right", "c2"], ["format", "laid out as asked", "cg", "dash"]];
  } },
  { title: "Information gain of fusion", about: "reward from all pictures minus from one; above 0, seeing more helps", options: { zero: true, shade: true }, series: (c) =>
    [["gain", "over the mean of the sources", "ci", "", true], ...below(c, "gain/").map(([column, name]) => [column, `over ${name} alone`, sourceColour(name), "thin"])] },
  { title: "Right, together and alone", about: "share of answers in the rollouts", options: { floor: 0, percent: true }, series: (c) => {
    const alone = below(c, "anchor/").filter(([, name]) => name.endsWith("/accuracy"));
    return alone.length ? [["accuracy", "all pictures", "c0"], ...alone.map(([column, name]) => [column, `${name.slice(0, -9)} alone`, sourceColour(name.slice(0, -9)), "thin"])] : [];
  } },
  { title: "Groups without signal", about: "share of questions; all answers score alike, nothing is learned", options: { floor: 0, percent: true, least: 0.1 }, series: () =>
    [["groups/silent", "no signal at all", "cg"], ["groups/revived_wrong", "all wrong, an anchor right", "c4"], ["groups/revived_right", "all right, an anchor wrong", "c2"]] },
  { title: "Captions for the reasoner", about: "share of captions", options: { floor: 0, percent: true, least: 0.1 }, series: () =>
    [["reasoner/mention", "the truth occurs in it", "c2"], ["reasoner/leak", "states an answer", "c4"], ["reasoner/cut", "reply was cut", "c1"], ["reasoner/failed", "call failed", "c3"]] },
  { title: "Guests", about: "share of the answers that the policy learns from", options: { floor: 0, percent: true, least: 0.1 }, series: (c, run) =>
    [["guests/kept", "of the kept", "ci"], ["guests/pool", "of all answers", "cg", "dash"], ...(run.guests.length > 1 ? run.guests.map((name) => [`guests/${name}/kept`, name, originColour("guest:" + name), "thin"]) : []), ["guests/missing", "missing", "c3", "dash"]] },
  { title: "Reward of guests", about: "mean over the step’s answers", options: { floor: 0 }, series: (c, run) => {
    const found = run.guests.filter((name) => c.has(`guests/${name}/reward`));
    return found.length ? [["reward", "the policy", "c0"], ...found.map((name) => [`guests/${name}/reward`, name, originColour("guest:" + name)])] : [];
  } },
  { title: "Entropy", about: "how open the policy is", options: { floor: 0 }, series: () => [["entropy", "nats a token", "c0"]] },
  { title: "Drift", about: "KL to the reference, nats a token", options: { floor: 0 }, series: (c) => ((c.get("kl") || []).some((v) => v) ? [["kl", "KL", "c1"]] : []) },
  { title: "Length of answers", about: "tokens", options: { floor: 0 }, band: ["length/min", "length/max"], series: () => [["length/mean", "mean, within shortest to longest", "c0"]] },
];

function seriesOf(panel, run) {
  const columns = columnsOf(run);
  return panel.series(columns, run).filter((each) => each && columns.has(each[0])).map(([column, name, colour, style, main]) => ({
    column, label: name, colour, style, main, step: run.metrics.step, values: columns.get(column),
    ...(panel.band && panel.band.every((b) => columns.has(b)) ? { low: columns.get(panel.band[0]), high: columns.get(panel.band[1]) } : {}),
  }));
}

function chart(panel) {
  const found = DATA.runs.map((run) => seriesOf(panel, run));
  const several = DATA.runs.length > 1;
  const names = new Map();
  for (const series of found) for (const each of series) if (!names.has(each.column)) names.set(each.column, each.label);
  if (!names.size) return null;
  const holder = h("div");
  const options = { ...panel.options, title: panel.title };
  const show = (column) => {
    const series = several
      ? found.flatMap((own, i) => own.filter((each) => each.column === column).map((each) => ({ ...each, low: undefined, style: "", main: false, colour: runColour(i), label: DATA.runs[i].name })))
      : found[0];
    holder.replaceChildren(plot(series, options), several && names.size > 1 ? chips(names, column, show) : several ? "" : keys(series));
  };
  show(names.keys().next().value);
  return h("div", { class: "chart" }, h("h3", null, panel.title), h("p", { class: "about" }, panel.about), holder);
}
function chips(names, pressed, choose) {
  return h("div", { class: "tabs" }, [...names].map(([column, name]) => h("button", { type: "button", class: "chip", "aria-pressed": column === pressed, onclick: () => choose(column) }, label(name))));
}

function timeChart() {
  const parts = DATA.runs.map((run) => {
    const columns = columnsOf(run);
    return TIME.filter(([name]) => (columns.get("time/" + name) || []).some((v) => v > 0)).map(([name, colour]) => ({ name, colour, values: columns.get("time/" + name).map((v) => v || 0) }));
  });
  if (!parts.some((each) => each.length)) return null;
  const title = "Time of a step", mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const shares = (own) => { const all = own.reduce((sum, each) => sum + mean(each.values), 0) || 1; return own.map((each) => mean(each.values) / all); };
  if (DATA.runs.length > 1) {
    const rows = parts.map((own, i) => {
      const share = shares(own), total = own.reduce((sum, each) => sum + mean(each.values), 0);
      const longest = Math.max(...parts.map((all) => all.reduce((sum, each) => sum + mean(each.values), 0)));
      const stack = h("div", { class: "stack" }, own.map((each, k) => { const bar = h("i", { class: each.colour, title: `${each.name} ${number(mean(each.values))} s` }); bar.style.width = `${100 * share[k]}%`; return bar; }));
      stack.style.width = `${(100 * total) / longest}%`;
      return h("div", null, h("p", null, h("span", { class: `dot ${runColour(i)}` }), label(DATA.runs[i].name), ` ${number(total)} s`), stack);
    });
    const used = TIME.filter(([name]) => parts.some((own) => own.some((each) => each.name === name)));
    return h("div", { class: "chart" }, h("h3", null, title), h("p", { class: "about" }, "mean seconds"), h("div", { class: "bars" }, rows), keys(used.map(([name, colour]) => ({ label: name, colour, style: "area" }))));
  }
  const run = DATA.runs[0], share = shares(parts[0]);
  let bases = run.metrics.step.map(() => 0);
  const series = parts[0].map((each, i) => {
    const added = smooth(each.values, width(each.values)), tops = bases.map((v, j) => v + added[j]);
    const made = { label: each.name, share: `, ${Math.round(100 * share[i])} %`, colour: each.colour, style: "area", step: run.metrics.step, values: each.values, bases, tops };
    bases = tops;
    return made;
  });
  // The first step often loads and compiles; it does not set the scale.
  const top = () => { const sorted = [...bases].sort((a, b) => a - b); return 1.15 * sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))]; };
  return h("div", { class: "chart" }, h("h3", null, title), h("p", { class: "about" }, "seconds, and share of the whole run"), plot(series, { floor: 0, top, unit: " s", title }), keys(series));
}

function showCurves(place) {
  const made = [...PANELS.map(chart), timeChart()].filter(Boolean);
  if (!made.length) { place.hidden = true; document.querySelector('nav a[href="#curves"]').hidden = true; return; }
  const every = Math.max(...DATA.runs.map((run) => run.metrics.every || 1));
  fill(place, null, [h("h2", null, "Curves"), every > 1 && h("p", { class: "soft small" }, `Each point is the mean of ${every} steps.`), h("div", { class: "charts" }, made)]);
}
