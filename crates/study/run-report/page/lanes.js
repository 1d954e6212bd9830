"use strict";
/* The components of one VM as lanes: what each did when, and for how long. */

Report.lanes = (() => {
  const { events } = Report;
  const { effects } = Report.causality;
  /** A message takes so long to the other side (ARCHITECTURE.md, "Time"), ns. */
  const MESSAGE = 10e3;
  const LANES = [
    { id: "management", name: "operator, VMMS" },
    { id: "guest", name: "guest" },
    { id: "vsc", name: "VSC" },
    { id: "up", name: "ring to host" },
    { id: "down", name: "ring to guest" },
    { id: "vsp", name: "VSP" },
    { id: "map", name: "map (GMO)" },
    { id: "balancer", name: "balancer" },
  ];
  const place = Object.fromEntries(LANES.map(({ id }, index) => [id, index]));

  /** The lane of an event. */
  const laneOf = (at) => {
    switch (events.component(at)) {
      case "guest": return "guest";
      case "dm-vsc": return "vsc";
      case "dm-vsp": return ["pages_mapped", "pages_unmapped", "unmap_refused", "add_memory_failed", "discard_failed"].includes(events.name(at)) ? "map" : "vsp";
      case "memory-balancer": return "balancer";
      default: return "management";
    }
  };

  const mb = (at, name) => Report.mbOfPages(events.value(at, name) || 0);

  const known = new Map();
  /** Bars and instants of a VM, each list in order of time: bars {lane, from, to, label, at}, instants {lane, t, at}. */
  const of = (vm) => {
    if (known.has(vm)) return known.get(vm);
    const bars = [];
    const instants = [];
    const bar = (lane, from, to, label, at) => bars.push({ lane: place[lane], from, to: Math.max(to, from), label, at });
    const open = { operation: null, boot: null, workload: null, asked: null };
    for (let at = 0; at < events.length; at++) {
      const about = events.vm(at);
      const name = events.name(at);
      if (about !== vm && !(about === null && name === "round")) continue;
      const t = events.time[at];
      instants.push({ lane: place[laneOf(at)], t, at });
      switch (name) {
        case "balloon_status": bar("up", t, t + MESSAGE, "STATUS_REPORT", at); break;
        case "dm_send": {
          const message = events.value(at, "message");
          const up = events.component(at) !== "dm-vsp";
          bar(up ? "up" : "down", t, t + MESSAGE, message, at);
          if (!up) {
            const answer = [...effects(at)].find((effect) => ["hot_added", "ballooned", "unballooned"].includes(events.name(effect)));
            if (answer !== undefined) {
              const label = { hot_added: "adds memory", ballooned: "fills its balloon", unballooned: "empties its balloon" }[events.name(answer)];
              bar("vsc", t + MESSAGE, events.time[answer], label, answer);
            }
          }
          break;
        }
        case "grant": case "shrink":
          open.operation = at;
          break;
        case "operation_finished":
          if (open.operation !== null) {
            bar("vsp", events.time[open.operation], t, `${events.value(at, "kind")} ${mb(at, "requested")}`, at);
            open.operation = null;
          }
          if (open.asked !== null) {
            bar("balancer", events.time[open.asked], t, `${events.name(open.asked) === "add_memory" ? "adds" : "asks for"} ${mb(open.asked, "pages")}`, open.asked);
            open.asked = null;
          }
          break;
        case "add_memory": case "remove_memory": open.asked = at; break;
        case "pages_mapped": case "pages_unmapped": {
          const cause = events.find(events.cause(at));
          if (cause >= 0) bar("map", events.time[cause], t, `${name === "pages_mapped" ? "maps" : "unmaps"} ${mb(at, "pages")}`, at);
          break;
        }
        case "vm_started": open.boot = at; break;
        case "integration_services_ready":
          if (open.boot !== null) bar("guest", events.time[open.boot], t, "boots", open.boot);
          open.boot = null;
          break;
        case "workload_started": open.workload = at; break;
        case "application_finished": case "workload_ended": case "workload_unloaded":
          if (open.workload !== null) bar("guest", events.time[open.workload], t, `${events.value(open.workload, "kind") || "workload"}: allocates`, open.workload);
          open.workload = null;
          break;
      }
    }
    bars.sort((a, b) => a.from - b.from);
    const found = { bars, instants, longest: bars.reduce((most, { from, to }) => Math.max(most, to - from), 0) };
    known.set(vm, found);
    return found;
  };
  return { LANES, of, laneOf, place, MESSAGE };
})();
