// A chart of curves over the steps: axes, smoothed lines over faint raw ones, bands and areas, values where one points.
function smooth(values, width) {
  if (width <= 0) return values;
  const reach = Math.ceil(4 * width);
  return values.map((value, i) => {
    if (!known(value)) return null;
    let sum = 0, weights = 0;
    for (let j = Math.max(0, i - reach); j <= Math.min(values.length - 1, i + reach); j++) {
      if (!known(values[j])) continue;
      const weight = Math.exp(-0.5 * ((j - i) / width) ** 2);
      sum += weight * values[j];
      weights += weight;
    }
    return sum / weights;
  });
}
const width = (values) => (values.length >= 20 ? values.length / 50 : 0);

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

// series: [{label, colour, step, values, style, low, high}]; options: {percent, zero, floor, top, unit, shade}
function plot(series, options) {
  const box = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": options.title });
  const drawn = series.map((each) => ({ ...each, line: each.style === "band" ? each.values : smooth(each.values, width(each.values)) }));
  const draw = () => {
    const w = box.clientWidth, height = 210, left = 44, bottom = 22, top = 6, right = 6;
    if (!w) return;
    const scale = scales(drawn, options, left, w - right, height - bottom, top);
    box._scale = scale;
    const svg = s("svg", { viewBox: `0 0 ${w} ${height}`, "aria-hidden": "true" });
    for (const at of ticks(scale.y0, scale.y1, 4)) {
      svg.append(s("line", { class: at === 0 && options.zero ? "zero" : "grid", x1: left, x2: w - right, y1: scale.y(at), y2: scale.y(at) }));
      svg.append(s("text", { x: left - 8, y: scale.y(at) + 4, "text-anchor": "end" }, options.percent ? `${Math.round(100 * at)}%` : number(at)));
    }
    for (const at of ticks(scale.x0, scale.x1, Math.min(6, w / 60)).filter(Number.isInteger))
      svg.append(s("text", { x: scale.x(at), y: height - 5, "text-anchor": "middle" }, number(at, 6)));
    for (const each of drawn) svg.append(...lines(each, scale, options));
    box.replaceChildren(svg);
  };
  new ResizeObserver(draw).observe(box);
  hover(box, drawn, options);
  return box;
}

function scales(series, options, left, right, bottom, top) {
  const xs = series.flatMap((each) => each.step), ys = [];
  for (const each of series) {
    const raw = each.values.filter(known).sort((a, b) => a - b);
    ys.push(...(each.style === "area" ? each.tops : each.low ? [...each.low, ...each.high] : raw).filter(known));
  }
  let x0 = Math.min(...xs), x1 = Math.max(...xs), y0 = Math.min(...ys), y1 = Math.max(...ys);
  if (options.floor !== undefined) y0 = Math.min(options.floor, y0);
  if (options.zero) { y0 = Math.min(0, y0); y1 = Math.max(0, y1); }
  if (options.least) y1 = Math.max(options.least, y1);
  if (options.top) y1 = options.top(series, y1);
  if (x1 === x0) { x0 -= 1; x1 += 1; }
  if (y1 === y0) { y0 -= Math.abs(y0) * 0.1 || 0.5; y1 += Math.abs(y1) * 0.1 || 0.5; }
  const room = (y1 - y0) * 0.04;
  y1 += room;
  if (options.floor === undefined || y0 < options.floor) y0 -= room;
  return { x0, x1, y0, y1, x: (v) => left + ((v - x0) / (x1 - x0)) * (right - left), y: (v) => Math.max(top - 2, bottom - ((v - y0) / (y1 - y0)) * (bottom - top)), back: (px) => x0 + ((px - left) / (right - left)) * (x1 - x0) };
}

function path(step, values, scale) {
  let text = "", pen = false;
  values.forEach((value, i) => {
    if (!known(value)) return; // a curve that is logged every few steps is drawn through
    text += `${pen ? "L" : "M"}${scale.x(step[i]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
    pen = true;
  });
  return text;
}
function between(step, low, high, scale) {
  const there = step.map((_, i) => i).filter((i) => known(low[i]) && known(high[i]));
  if (!there.length) return "";
  const go = (i, values) => `${scale.x(step[i]).toFixed(1)} ${scale.y(values[i]).toFixed(1)}`;
  return "M" + there.map((i) => go(i, high)).join("L") + "L" + there.reverse().map((i) => go(i, low)).join("L") + "Z";
}
function lines(each, scale, options) {
  if (each.style === "area") return [s("path", { class: `area ${each.colour}`, d: between(each.step, each.bases, each.tops, scale) })];
  const found = [];
  if (each.low) found.push(s("path", { class: `band ${each.colour}`, d: between(each.step, each.low, each.high, scale) }));
  if (options.shade && each.main) {
    const zero = each.line.map((v) => (known(v) ? 0 : null));
    found.push(s("path", { class: "above", d: between(each.step, zero, each.line.map((v) => (known(v) ? Math.max(v, 0) : null)), scale) }));
    found.push(s("path", { class: "below", d: between(each.step, each.line.map((v) => (known(v) ? Math.min(v, 0) : null)), zero, scale) }));
  }
  if (each.line !== each.values) found.push(s("path", { class: `raw ${each.colour}`, d: path(each.step, each.values, scale) }));
  found.push(s("path", { class: `${each.colour} ${each.style || ""}`, d: path(each.step, each.line, scale) }));
  const there = each.line.map((v, i) => (known(v) ? i : -1)).filter((i) => i >= 0);
  if (there.length === 1) found.push(s("circle", { class: each.colour, cx: scale.x(each.step[there[0]]), cy: scale.y(each.line[there[0]]), r: 4 }));
  return found;
}

function hover(box, series, options) {
  let at = null;
  const show = (value) => {
    box.querySelectorAll(".tip, .cross, .mark-at").forEach((node) => node.remove());
    at = value;
    const scale = box._scale, svg = box.querySelector("svg");
    if (value === null || !scale || !svg) return;
    const steps = [...new Set(series.flatMap((each) => each.step))];
    const step = steps.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best), steps[0]);
    const x = scale.x(step);
    svg.append(s("line", { class: "cross", x1: x, x2: x, y1: 6, y2: 188 }));
    const tip = h("div", { class: "tip" }, h("p", null, "step ", step.toLocaleString("en")));
    for (const each of series) {
      const i = each.step.indexOf(step), found = i < 0 ? null : each.values[i];
      if (!known(found)) continue;
      if (each.style !== "area") svg.append(s("circle", { class: `mark-at ${each.colour}`, cx: x, cy: scale.y(each.line[i]), r: 4 }));
      tip.append(h("div", { class: each.colour }, h("span", { class: "dot" }), label(each.label), h("b", null, options.percent ? percent(found) + " %" : number(found) + (options.unit || ""))));
    }
    box.append(tip);
    const room = box.clientWidth, wide = tip.offsetWidth;
    tip.style.left = `${x + 14 + wide > room ? Math.max(0, x - 14 - wide) : x + 14}px`;
    tip.style.top = "4px";
    at = step;
  };
  const point = (event) => box._scale && show(box._scale.back(event.clientX - box.getBoundingClientRect().left));
  box.addEventListener("pointermove", point);
  box.addEventListener("pointerdown", point);
  box.addEventListener("pointerleave", () => show(null));
  box.addEventListener("blur", () => show(null));
  box.addEventListener("keydown", (event) => {
    const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!move || !box._scale) return;
    const steps = [...new Set(series.flatMap((each) => each.step))].sort((a, b) => a - b);
    const place = at === null ? (move > 0 ? 0 : steps.length - 1) : Math.min(steps.length - 1, Math.max(0, steps.indexOf(at) + move));
    show(steps[place]);
    event.preventDefault();
    event.stopPropagation();
  });
}

function keys(series) {
  return h("div", { class: "keys" }, series.map((each) => h("span", { class: each.colour }, h("i", { class: each.style === "area" ? "fill" : each.style || "" }), label(each.label + (each.share || "")))));
}
