// The page of runs: a list, and the curves of those that are chosen, one over the other.

import { fetchRun, fetchRuns } from "./api.js";
import { pointsOf, showCurves } from "./curve.js";
import { element, time } from "./dom.js";
import { currentLanguage, preferredLanguage, say, useLanguage } from "./i18n.js";

const MOST = 4;
const POLL_MS = 3000;

const part = (id) => document.getElementById(id);
const chosen = new Set();
let runs = [];
let next = null;

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", async () => {
    await useLanguage(button.dataset.language, { remember: true });
    showLanguage();
  });
}
document.addEventListener("visibilitychange", look);

function showLanguage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
}

/** Look at the runs, and again while one of them goes on and somebody looks. */
async function look() {
  clearTimeout(next);
  if (document.hidden) return;
  try {
    const first = runs.length === 0;
    runs = (await fetchRuns()).data;
    if (first && runs.length > 0) chosen.add(runs[0].run);
    draw();
    await drawCurves();
    part("failure").hidden = true;
  } catch {
    say(part("failure"), "failure.offline").hidden = false;
  }
  if (runs.some(({ state }) => state === "running")) next = setTimeout(look, POLL_MS);
}

function draw() {
  part("none").hidden = runs.length > 0;
  part("runs").hidden = runs.length === 0;
  const focused = document.activeElement?.value;
  part("rows").replaceChildren(...runs.map(row));
  if (focused) part("rows").querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
}

function row(run) {
  const box = element("input", {
    type: "checkbox",
    value: run.run,
    labels: { "aria-label": ["runs.choose", { name: run.run }] },
    on: { change: () => choose(run.run, box.checked) },
  });
  box.checked = chosen.has(run.run);
  box.disabled = !box.checked && chosen.size >= MOST;
  return element(
    "tr",
    { "data-state": run.state },
    element("td", {}, box),
    element("th", { scope: "row" }, element("bdi", {}, run.run)),
    element("td", { say: `runs.${run.state}` }),
    element("td", {}, run.base === "scratch" ? element("span", { say: "runs.scratch" }) : run.base),
    element("td", {}, [run.method, run.objective].filter(Boolean).join(", ")),
    element("td", {}, time(run.started)),
    element("td", {}, run.release ?? "–"),
  );
}

async function choose(name, wanted) {
  if (wanted) chosen.add(name);
  else chosen.delete(name);
  draw();
  await drawCurves();
}

async function drawCurves() {
  const names = runs.map(({ run }) => run).filter((name) => chosen.has(name));
  const found = await Promise.all(names.map((name) => fetchRun(name).catch(() => null)));
  const series = found
    .filter(Boolean)
    .map(({ run, curve }) => ({ name: run, points: pointsOf(curve) }));
  showCurves(part("curves"), series);
  part("uncurved").hidden = names.length === 0 || series.some(({ points }) => points.length > 1);
}

await useLanguage(preferredLanguage());
showLanguage();
await look();
document.body.classList.add("ready");
