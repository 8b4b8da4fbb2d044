// Curves as inline SVG, with a table of the same figures for those who do not see them.

import { element } from "./dom.js";
import { label, number } from "./i18n.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 180;
const ROWS = 8;

/** Minutes and seconds, as "2:05". */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * The points of a run that can be drawn: [[seconds, bits per byte], …]. Where bytes are not known,
 * there are none.
 */
export function pointsOf(curve) {
  return curve.points
    .filter((point) => Number.isFinite(point.bits_per_byte) && Number.isFinite(point.seconds))
    .map((point) => [point.seconds, point.bits_per_byte]);
}

/** What was measured on the newest posts on the way, as points. */
export function measuredOf(curve) {
  return curve.evaluations
    .filter(({ future, seconds }) => Number.isFinite(future) && Number.isFinite(seconds))
    .map(({ future, seconds }) => [seconds, future]);
}

/** The first and the last of some points, and the least and the greatest of each axis. */
export function extent(series) {
  const all = series.flatMap(({ points }) => points);
  if (all.length === 0) return null;
  const ys = all.map(([, y]) => y);
  const low = Math.min(...ys);
  const high = Math.max(...ys);
  // A curve that is level is drawn in the middle, not on the edge.
  const room = high > low ? 0 : Math.max(0.05, high * 0.05);
  return { end: Math.max(...all.map(([x]) => x), 1e-9), low: low - room, high: high + room };
}

/** The path of points within the drawing, as SVG's `d`. */
export function path(points, { end, low, high }) {
  const places = points.map(([x, y]) => {
    const across = (x / end) * WIDTH;
    const down = HEIGHT - ((y - low) / (high - low)) * HEIGHT;
    return `${across.toFixed(1)} ${down.toFixed(1)}`;
  });
  return places.length > 0 ? `M${places.join("L")}` : "";
}

/**
 * Draw curves of bits per byte over time into `root`: series are {name, points}, or {say, points}
 * where a message names them. Each has its own stroke, so that nobody needs to tell colours apart.
 */
export function showCurves(root, series) {
  const key = JSON.stringify(series);
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  const drawn = series.filter(({ points }) => points.length > 1);
  const open = root.querySelector("details")?.open ?? false;
  root.hidden = drawn.length === 0;
  if (drawn.length === 0) {
    root.replaceChildren();
    return;
  }
  const range = extent(drawn);
  root.replaceChildren(plot(drawn, range), ...(drawn.length > 1 ? [legend(drawn)] : []), table(drawn, open));
}

function plot(series, range) {
  const svg = made("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  for (const y of [0, HEIGHT / 2, HEIGHT]) {
    svg.append(made("path", { class: "grid", d: `M0 ${y}H${WIDTH}` }));
  }
  series.forEach(({ points }, index) => {
    svg.append(made("path", { class: `line line-${index + 1}`, d: path(points, range) }));
  });
  describe(svg, series);
  return element(
    "div",
    { class: "plot" },
    element("span", { class: "unit", say: "curve.unit", "aria-hidden": "true" }),
    element("span", { class: "high", "aria-hidden": "true" }, rounded(range.high)),
    element("span", { class: "low", "aria-hidden": "true" }, rounded(range.low)),
    svg,
    element("span", { class: "begin", "aria-hidden": "true" }, "0:00"),
    element("span", { class: "end", "aria-hidden": "true" }, clock(range.end)),
  );
}

/** Say in one sentence what the picture shows. */
function describe(svg, series) {
  const [{ points }] = series;
  const first = rounded(points[0][1]);
  const last = rounded(points.at(-1)[1]);
  const values = { n: series.length, first, last, time: clock(points.at(-1)[0]) };
  const same = series.length === 1 || series.some((one) => one.say);
  label(svg, "aria-label", same ? "curve.described" : "curve.compared", values);
}

function legend(series) {
  return element(
    "ul",
    { class: "legend" },
    ...series.map(({ name, say }, index) => {
      const sample = made("svg", { viewBox: "0 0 32 8", "aria-hidden": "true" });
      sample.append(made("path", { class: `line line-${index + 1}`, d: "M0 4H32" }));
      return element("li", {}, sample, say ? element("span", { say }) : element("bdi", {}, name));
    }),
  );
}

function table(series, open) {
  const end = Math.max(...series.map(({ points }) => points.at(-1)[0]));
  const times = Array.from({ length: ROWS }, (_, row) => (end * (row + 1)) / ROWS);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col", say: "curve.time" }),
    ...series.map(({ name, say }) => element("th", { scope: "col", say }, say ? null : name)),
  );
  const rows = times.map((time) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, clock(time)),
      ...series.map(({ points }) => element("td", {}, valueAt(points, time))),
    ),
  );
  const details = element(
    "details",
    { class: "figures" },
    element("summary", { say: "curve.figures" }),
    element(
      "table",
      {},
      element("caption", { say: "curve.unit" }),
      element("thead", {}, head),
      element("tbody", {}, ...rows),
    ),
  );
  details.open = open;
  return details;
}

/** The newest value at a time; nothing where the run had ended before. */
function valueAt(points, time) {
  const found = points.findLast(([x]) => x <= time + 1e-6);
  return found && points.at(-1)[0] >= time * 0.98 ? rounded(found[1]) : "–";
}

function rounded(value) {
  return number(Number(value.toFixed(value < 10 ? 3 : 1)));
}

function made(tag, attributes) {
  const node = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
