"use strict";
/* A page of curves: a chart for each panel, and light and dark. */

(() => {
  const { state, el, id, sheet } = Report;
  document.title = sheet.title;
  id("title").textContent = sheet.title;
  Report.show(id("lead"), sheet.lead.map((words) => el("p", { class: "faint" }, words)));
  id("text").textContent = sheet.text;
  id("text").hidden = !sheet.text;

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = (theme) => {
    document.documentElement.dataset.theme = theme;
    state.set({ theme });
  };
  const toggle = () => paint(state.get().theme === "dark" ? "light" : "dark");
  paint(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));
  id("theme").addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "d") toggle();
    if (event.key === "0") Report.interval.whole();
  });

  /** Apart without colour, too. */
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const PLACES = 8;
  const look = (place) => ({ hue: () => Report.vmColour(place), dash: DASHES[Math.floor(place / 2) % DASHES.length] });
  const step = uPlot.paths.stepped({ align: 1 });
  const draw = ({ times, unit, curves }, into) => {
    Report.chart(into, {
      data: [times, ...curves.map(({ values }) => values)], height: 190, unit, axisSize: 74,
      series: curves.map(({ place }) => {
        const { hue, dash } = look(place);
        return { paths: step, width: 1.6, stroke: hue, dash, points: { show: false } };
      }),
      hover: (u, row, y) => {
        const known = curves.map(({ name, values }) => [name, values[row]]).filter(([, value]) => Number.isFinite(value));
        if (!known.length) return null;
        const far = ([, value]) => Math.abs(value - y);
        const near = curves.length > 3 ? [known.reduce((best, one) => (far(one) < far(best) ? one : best))] : known;
        return `${Report.time(times[row] * 1e9)}\n${near.map(([name, value]) => `${name}: ${Number(value.toFixed(3))} ${unit}`).join("\n")}`;
      },
    });
  };
  const key = ({ name, place }) => {
    const { dash } = look(place);
    const line = Report.svg("line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: `var(--vm${place % PLACES})`, "stroke-width": 2.2, "stroke-dasharray": dash.join(" ") });
    return el("span", {}, Report.svg("svg", { width: 30, height: 12, "aria-hidden": "true" }, line), name);
  };
  for (const panel of sheet.panels) {
    const into = el("div", {});
    id("curves").append(el("section", {}, el("h3", {}, panel.title), into, el("div", { class: "legend" }, panel.curves.map(key))));
    let width = 0;
    Report.whenSeen(into, [], () => {
      if (into.clientWidth === width) return;
      width = into.clientWidth;
      draw(panel, into);
    });
  }
  state.on(["theme"], () => { for (const chart of Report.chart.all) chart.redraw(false, false); });
  for (const [name, printing] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => {
      Report.printing = printing;
      paint(printing || !dark.matches ? "light" : "dark");
      state.settle();
    });
  }
  document.documentElement.dataset.ready = "true";
})();
