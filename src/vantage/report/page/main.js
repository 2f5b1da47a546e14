function theme() {
  const button = document.getElementById("theme"), root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const is = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const paint = () => { button.textContent = is() === "dark" ? "light" : "dark"; };
  button.addEventListener("click", () => { root.dataset.theme = is() === "dark" ? "light" : "dark"; paint(); });
  dark.addEventListener("change", paint);
  paint();
}
function sources() {
  // First as evaluations name them, then as pictures do, so that colours agree everywhere.
  for (const run of DATA.runs) for (const row of run.matrix) if (row.kind === "source") sourceColour(row.name);
  for (const group of DATA.groups.slice(0, 200)) for (const [name] of group.p) sourceColour(name);
}
theme();
sources();
document.getElementById("legend").append(...DATA.runs.map((run, i) => h("span", { title: run.name }, DATA.runs.length > 1 && h("span", { class: `dot ${runColour(i)}` }), label(run.name))));
showResult(document.getElementById("result"));
showCurves(document.getElementById("curves"));
showBrowser(document.getElementById("rollouts"));
document.getElementById("footer").append(`Made ${DATA.made} by vantage report from ${many(DATA.runs.length, "run folder")}. This file is complete: it asks the network for nothing. Intervals are 95 % intervals from drawing scenes with all their questions (bootstrap).`);
document.documentElement.dataset.ready = "yes";
