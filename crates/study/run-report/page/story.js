"use strict";
/* The story: what happened, each sentence a way to its moment. And what the run was. */

(() => {
  const { el, id, run, state } = Report;
  const summary = run.summary || {};
  const manifest = run.manifest || {};
  const name = summary.scenario || (manifest.scenario && manifest.scenario.name) || "A run";
  document.title = `${name}: a run of Hyper-V Dynamic Memory`;
  id("title").textContent = name;
  const host = summary.host;
  const parts = [
    host && `host with ${Report.number(host.memory_mb / 1024, host.memory_mb % 1024 ? 1 : 0)} GB, ${Report.mb(host.reserve_at_start_mb)} of it reserved for the parent OS`,
    `${Report.vms.length} VM${Report.vms.length === 1 ? "" : "s"}`,
    (summary.policy || manifest.policy) && `policy ${summary.policy || manifest.policy}`,
    summary.seed !== undefined && `seed ${summary.seed}`,
    `${Report.time(Report.end)} of ${manifest.clock === "wall" && manifest.speed === 1 ? "real" : "virtual"} time`,
    `${Report.events.length} events`,
  ];
  Report.show(id("identity"), parts.filter(Boolean).join(" · "), manifest.command ? [el("br"), el("code", {}, manifest.command)] : null);
  if (run.missing.length) {
    id("missing").hidden = false;
    Report.show(id("missing"), el("p", { class: "note" }, el("b", {}, "Not all of the run is here. "), run.missing.map((sentence) => `${sentence} `)));
  }
  const list = id("story-list");
  const items = run.story.map(([seconds, words]) => {
    const at = Math.min(seconds * 1e9, Report.end);
    const button = el("button", { type: "button", class: "moment", onclick: () => Report.clock.go(at) }, Report.timeTo(at, 1e9));
    return { at, item: el("li", {}, button, " ", words) };
  });
  Report.show(list, items.length ? items.map(({ item }) => item) : el("li", {}, "Nothing is told of this run: it has neither summary nor marks."));
  state.on(["now"], ({ now }) => {
    const told = items.filter(({ at }) => at <= now);
    const current = told[told.length - 1];
    for (const entry of items) entry.item.classList.toggle("current", entry === current);
  });
  const commit = manifest.commit ? `, commit ${manifest.commit.slice(0, 12)}` : "";
  Report.show(id("foot"), `Made by the open reference implementation of Hyper-V Dynamic Memory, version ${manifest.version || "unknown"}${commit}. `
    + "The page holds the run and needs nothing else. Curves: uPlot (MIT).");
})();
