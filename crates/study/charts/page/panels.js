"use strict";
/* Curves at the places that a page has for them. Those of one time show the same interval. */

(() => {
  const { el, id } = Report;
  const panels = Report.data("data-panels");
  const intervals = new Map();
  /** The interval of all panels of one time: from 0 to the last of their times. */
  const intervalOf = ({ time }) => {
    if (!intervals.has(time)) {
      const last = panels.filter((panel) => panel.time === time).flatMap(({ times }) => times.slice(-1));
      intervals.set(time, Report.newInterval(0, Math.max(1, ...last) * 1e9));
    }
    return intervals.get(time);
  };
  const whole = () => { for (const interval of intervals.values()) interval.whole(); };

  /** Apart without colour, too. */
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const PLACES = 8;
  const step = uPlot.paths.stepped({ align: 1 });
  const look = ({ place, drawn }) => {
    if (drawn === "limit") return { width: 1.2, stroke: () => Report.colour("faint"), dash: [4, 3] };
    if (drawn === "area") return { width: 0, fill: () => Report.colour("area") };
    return { width: 1.6, stroke: () => Report.vmColour(place), dash: DASHES[Math.floor(place / 2) % DASHES.length] };
  };
  const draw = ({ times, unit, curves, height, most }, interval, into) => {
    Report.chart(into, {
      data: [times, ...curves.map(({ values }) => values)], height, unit, axisSize: 74, most, interval,
      series: curves.map((curve) => ({ paths: step, points: { show: false }, ...look(curve) })),
      hover: (u, row, y) => {
        const known = curves.map(({ name, values }) => [name, values[row]]).filter(([, value]) => Number.isFinite(value));
        if (!known.length) return null;
        const far = ([, value]) => Math.abs(value - y);
        const near = curves.length > 3 ? [known.reduce((best, one) => (far(one) < far(best) ? one : best))] : known;
        return `${Report.time(times[row] * 1e9)}\n${near.map(([name, value]) => `${name}: ${Number(value.toFixed(3))} ${unit}`).join("\n")}`;
      },
    });
  };
  const key = ({ name, place, drawn }) => {
    const sample = drawn === "area"
      ? Report.svg("rect", { x: 0, y: 1, width: 26, height: 10, fill: "var(--area)" })
      : Report.svg("line", {
        x1: 0, x2: 26, y1: 6, y2: 6, stroke: drawn === "limit" ? "var(--faint)" : `var(--vm${place % PLACES})`, "stroke-width": 2.2,
        "stroke-dasharray": (look({ place, drawn }).dash || []).join(" "),
      });
    return el("span", {}, Report.svg("svg", { width: 30, height: 12, "aria-hidden": "true" }, sample), name);
  };
  for (const place of document.querySelectorAll("[data-panel]")) {
    const panel = panels[Number(place.dataset.panel)];
    const interval = intervalOf(panel);
    // As high as it will be, so that nothing moves when the curves come.
    const into = el("div", { style: `min-height: ${panel.height}px` });
    place.append(el("h3", {}, panel.title), into);
    if (panel.legend) place.append(el("div", { class: "legend" }, panel.curves.map(key)));
    let width = 0;
    Report.whenSeen(into, [], () => {
      if (into.clientWidth === width) return;
      width = into.clientWidth;
      draw(panel, interval, into);
    });
  }

  // Where there are curves of one time only, the interval is said.
  if (intervals.size === 1) {
    [Report.interval] = intervals.values();
    const { begin, end, on } = Report.interval;
    on(({ from, to }) => {
      id("interval").textContent = to - from >= end - begin ? "" : `${Report.timeTo(from, (to - from) / 100)} to ${Report.timeTo(to, (to - from) / 100)}`;
    });
  }
  id("curves-help").hidden = !panels.length;
  id("whole").addEventListener("click", whole);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "d") Report.theme.toggle();
    if (event.key === "0") whole();
  });
  document.documentElement.dataset.ready = "true";
})();
