"use strict";
/* The page as a whole: choice of the VM, keys, links into it. */

(() => {
  const { state, el, id, vms, events, begin, end } = Report;

  for (const select of document.querySelectorAll(".vm-choice")) {
    Report.show(select, vms.map((vm) => el("option", {}, vm.name)));
    select.addEventListener("change", () => state.set({ vm: select.value, seq: 0 }));
    state.on(["vm"], ({ vm }) => { select.value = vm; });
  }

  const KEYS = [
    ["space", "play or stop", () => Report.clock.toggle()],
    ["← →", "a second back or on", null],
    [", .", "an event back or on", null],
    ["+ −", "zoom the timeline in or out", null],
    ["0", "the whole run in all curves", () => Report.interval.whole()],
    ["v", "the next VM", () => { const place = vms.findIndex((vm) => vm.name === state.get().vm); if (vms.length) state.set({ vm: vms[(place + 1) % vms.length].name, seq: 0 }); }],
    ["/", "search in the events", () => id("search").focus()],
    ["d", "dark or light", Report.theme.toggle],
    ["?", "this", () => help()],
  ];
  const help = () => {
    Report.show(id("help"), el("h3", {}, "Keys"), el("dl", {}, KEYS.map(([keys, words]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, words)])),
      el("p", {}, "Everything is connected: the slider, the curves, the timeline, the tables and the picture show the same moment, and the chosen VM and event. The address of the page names them: copy it to show them to others."),
      el("form", { method: "dialog" }, el("button", {}, "Close")));
    id("help").showModal();
  };
  id("help-button").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox" && event.target.type !== "range") return;
    if (event.key === " " && ["BUTTON", "SUMMARY"].includes(event.target.tagName)) return;
    const { now } = state.get();
    const does = {
      " ": KEYS[0][2], ArrowLeft: () => Report.clock.go(now - 1e9), ArrowRight: () => Report.clock.go(now + 1e9),
      ",": () => Report.clock.step(-1), ".": () => Report.clock.step(1), "+": () => Report.timeline.zoom(0.5, now), "-": () => Report.timeline.zoom(2, now),
      ...Object.fromEntries(KEYS.slice(4).map(([key, , call]) => [key, call])),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });

  /** What the address names: `#t=16m2s&vm=VM8&event=18112`. */
  const fromAddress = () => {
    const words = new URLSearchParams(location.hash.slice(1));
    const change = {};
    if (Report.vm(words.get("vm"))) change.vm = words.get("vm");
    const place = events.find(Number(words.get("event")));
    if (words.get("event") && place >= 0) Object.assign(change, { seq: events.seq[place], now: events.time[place], vm: events.vm(place) ?? change.vm ?? state.get().vm });
    else if (words.get("t") !== null && Number.isFinite(Number(words.get("t")))) change.now = Report.clamp(Number(words.get("t")) * 1e9, begin, end);
    state.set(change);
    if (change.now !== undefined && change.seq) Report.timeline.show(change.now - 2e9, change.now + 2e9);
  };
  let due = null;
  state.on(["vm", "seq", "now"], () => {
    clearTimeout(due);
    due = setTimeout(() => {
      const { vm, seq, now } = state.get();
      const words = new URLSearchParams({ ...(seq ? { event: seq } : { t: now / 1e9 }), ...(vm ? { vm } : {}) });
      try {
        history.replaceState(null, "", `#${words}`);
      } catch {
        // Some browsers do not allow it for files: the page works without.
      }
    }, 400);
  });
  window.addEventListener("hashchange", () => { if (location.hash.includes("=")) fromAddress(); });

  // Without contention, the VM that was short of memory for longest, then the largest: the crate keeps that one's events where there are too many.
  const weight = ({ summary }) => [summary?.time_above_100_s ?? 0, summary?.physical_memory_mb?.maximum ?? 0];
  const shortest = [...vms].sort((a, b) => weight(b)[0] - weight(a)[0] || weight(b)[1] - weight(a)[1])[0];
  // The moment that tells most: where contention begins, else the middle of the run.
  const phases = Report.run.summary && Report.run.summary.phases;
  const first = phases ? phases.contention_s * 1e9 : (begin + end) / 2;
  state.set({ vm: phases && Report.vm(phases.newcomer) ? phases.newcomer : shortest ? shortest.name : null, now: Report.clamp(first, begin, end) });
  Report.timeline.show(state.get().now - 2e9, state.get().now + 2e9);
  if (location.hash.includes("=")) fromAddress();

  document.documentElement.dataset.ready = "true";
})();
