/** Plots of the last two minutes. Loaded with their library after the panel is shown. */

import uPlot from "../../../vendor/uplot/uPlot.js";
import { inBitrate, inMs, inPercent } from "./figures.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../../byway.js").Report} Report */
/** @typedef {{ at: number, report: Report }[]} History */

const SPAN_SECONDS = 120;
/** Pixels of a plot. */
const HEIGHT = 112;

/**
 * @typedef {object} Plot
 * @property {string} name Key of its title.
 * @property {(value: number) => string} format
 * @property {number} least Upper end of the scale at least, so that noise looks like noise.
 * @property {[string, (report: Report) => number | null][]} lines Key of each line, and its value.
 */

/** @type {Plot[]} */
const PLOTS = [
  {
    name: "bitrate",
    format: inBitrate,
    least: 100_000,
    lines: [["plot-here", ({ receivingBps }) => receivingBps], ["plot-there", ({ sendingBps }) => sendingBps]],
  },
  {
    name: "delay",
    format: inMs,
    least: 20,
    lines: [["round-trip", ({ roundTripMs }) => roundTripMs], ["jitter", ({ jitterMs }) => jitterMs]],
  },
  {
    name: "loss",
    format: inPercent,
    least: 0.05,
    lines: [["plot-here", ({ loss }) => loss], ["plot-there", ({ remoteLoss }) => remoteLoss]],
  },
];

/** Colors of the two lines of a plot. The second one is also dashed. */
const COLORS = ["--accent", "--warm"];

/**
 * Adds the plots to an element. Screen readers have the table of figures instead.
 *
 * @param {HTMLElement} holder
 * @param {Page} page
 */
export function plot(holder, page) {
  const drawn = PLOTS.map((each) => draw(holder, each, page));
  const resized = new ResizeObserver(() => {
    for (const { chart } of drawn) chart.setSize({ width: holder.clientWidth, height: HEIGHT });
  });
  resized.observe(holder);
  return {
    /** @param {History} history */
    update(history) {
      const now = Date.now();
      const recent = history.filter(({ at }) => now - at <= SPAN_SECONDS * 1000);
      const times = recent.map(({ at }) => (at - now) / 1000);
      for (const { chart, lines } of drawn) {
        const values = lines.map(([, value]) => recent.map(({ report }) => value(report)));
        chart.setData([times, ...values]);
      }
    },
    close() {
      resized.disconnect();
      for (const { chart } of drawn) chart.destroy();
      holder.replaceChildren();
    },
  };
}

/** @param {HTMLElement} holder @param {Plot} options @param {Page} page */
function draw(holder, { name, format, least, lines }, { element, say }) {
  const legend = lines.map(([key], index) =>
    element("span", { class: `line line-${index}`, text: say(`info.${key}`) }));
  const figure = element("div", { class: "plot", "data-plot": name, "aria-hidden": "true" },
    element("div", { class: "legend" }, element("strong", { text: say(`info.${name}`) }), ...legend));
  holder.append(figure);
  const color = (/** @type {string} */ property) => getComputedStyle(figure).getPropertyValue(property).trim();
  const axis = {
    stroke: () => color("--quiet"),
    grid: { stroke: () => color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const chart = new uPlot({
    width: holder.clientWidth,
    height: HEIGHT,
    padding: [6, 12, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false, range: [-SPAN_SECONDS, 0] },
      y: { range: (_, __, highest) => [0, Math.max(least, (highest ?? 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        gap: 8,
        splits: [-120, -60, 0],
        values: (_, splits) =>
          splits.map((at) => (at ? say("info.minutes-ago", { minutes: -at / 60 }) : say("info.now"))),
      },
      { ...axis, size: 64, space: 28, values: (_, splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((_, index) => ({
        stroke: () => color(COLORS[index]),
        width: 2,
        ...(index ? { dash: [6, 4] } : {}),
        points: { show: false },
      })),
    ],
  }, [[], ...lines.map(() => [])], figure);
  return { chart, lines };
}
