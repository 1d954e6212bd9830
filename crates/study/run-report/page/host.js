"use strict";
/* The host at any moment: counters of the last sample, and what events have changed since. */

Report.host = (() => {
  const { counters, events, vms } = Report;
  const BALANCER = "Hyper-V Dynamic Memory Balancer";
  const VM = "Hyper-V Dynamic Memory VM";
  const MODEL = "Dynamic Memory Model";
  const MODEL_VM = "Dynamic Memory Model VM";
  const list = (column) => (column ? column.list : null);
  const host = {
    available: list(counters.find(BALANCER, "System Balancer", "Available Memory")),
    pressure: list(counters.find(BALANCER, "System Balancer", "Average Pressure")),
    transit: list(counters.find(MODEL, null, "Memory In Transit")),
    overhead: list(counters.find(MODEL, null, "Overhead Memory")),
    reserve: list(counters.find(MODEL, null, "Reserve Memory")),
    all: list(counters.find(MODEL, null, "Host Memory")),
    free: list(counters.find("Memory", null, "Available MBytes")),
  };
  const of = vms.map(({ name }) => ({
    physical: list(counters.find(VM, name, "Physical Memory")),
    visible: list(counters.find(VM, name, "Guest Visible Physical Memory")),
    pressure: list(counters.find(VM, name, "Current Pressure")),
    low: list(counters.find(VM, name, "Minimum Pressure")),
    high: list(counters.find(VM, name, "Maximum Pressure")),
    demand: list(counters.find(MODEL_VM, name, "Demand")),
    maximum: list(counters.find(MODEL_VM, name, "Maximum Memory")),
    available: list(counters.find("Memory", null, "Available MBytes", name)),
    locked: list(counters.find("Dynamic Memory Model Guest", null, "Driver Locked", name)),
  }));
  /** What the counters say of a VM's rings and map; only what the run recorded. */
  const BUS = "Dynamic Memory Model VMBus";
  const MAP = "Dynamic Memory Model Map";
  const channel = vms.map(({ name }) => new Map([
    [BUS, ["Packets From Guest", "Packets To Guest", "Signals From Guest", "Signals Suppressed From Guest", "Signals To Guest", "Signals Suppressed To Guest",
      "Upstream Ring Used", "Upstream Ring High Water", "Downstream Ring Used", "Downstream Ring High Water", "Control Messages From Guest",
      "Control Messages To Guest", "Doorbell Longest Wait"]],
    [MAP, ["2M Pages", "4K Pages", "Page Splits", "Page Merges"]],
  ].flatMap(([object, names]) => names.map((counter) => [counter, list(counters.find(object, name, counter))])).filter(([, values]) => values)));
  /** A counter of a VM's rings or map at a time; NaN if it was not recorded. */
  const channelAt = (place, counter, time) => value(channel[place].get(counter), counters.at(time));
  const value = (values, row) => (values && row >= 0 ? values[row] : NaN);
  const total = (() => {
    const first = host.all && host.all.find((mb) => mb > 0);
    return first || (Report.run.summary && Report.run.summary.host && Report.run.summary.host.memory_mb) || NaN;
  })();
  const placeOf = new Map(vms.map((vm) => [vm.name, vm.place]));
  /** The largest maximum of each VM that the run knows. */
  const maximum = vms.map(({ summary }, place) => {
    if (summary && summary.maximum_mb) return summary.maximum_mb;
    const values = (of[place].maximum || of[place].physical || []).filter((mb) => mb > 0);
    return values.length ? values.reduce((a, b) => Math.max(a, b)) : 0;
  });

  const CHANGES = new Set(["pages_mapped", "pages_unmapped", "add_memory", "status_report", "decision", "vm_stopped", "vm_failed", "vm_started"]);
  const changes = events.groups.map((group) => CHANGES.has(group.event));

  /** What there is at a time, MB. */
  const at = (time) => {
    const row = counters.at(time);
    const or0 = (number) => (Number.isFinite(number) ? number : 0);
    const now = {
      total,
      available: or0(value(host.available, row)), transit: or0(value(host.transit, row)),
      overhead: or0(value(host.overhead, row)), reserve: or0(value(host.reserve, row)),
      pressure: value(host.pressure, row),
      vms: vms.map(({ name }, place) => ({
        name, place, maximum: maximum[place],
        physical: or0(value(of[place].physical, row)), visible: or0(value(of[place].visible, row)),
        demand: value(of[place].demand, row), low: value(of[place].low, row), high: value(of[place].high, row),
        target: NaN, rule: null,
      })),
    };
    // Events since the sample.
    const since = row >= 0 ? counters.t[row] : -1;
    for (let place = Math.max(0, events.upTo(since) + 1), end = events.upTo(time); place <= end; place++) {
      const group = events.group(place);
      if (!CHANGES.has(group.event)) continue;
      const vm = now.vms[placeOf.get(group.vm)];
      if (!vm) continue;
      const mb = (name) => (events.value(place, name) || 0) / 256;
      switch (group.event) {
        case "add_memory": now.available -= mb("pages"); now.transit += mb("pages"); break;
        case "pages_mapped": if (events.value(place, "ok")) { vm.physical += mb("pages"); now.transit -= mb("pages"); } break;
        case "pages_unmapped": if (events.value(place, "ok")) { vm.physical -= mb("pages"); now.available += mb("pages"); } break;
        case "status_report": vm.demand = mb("demand"); break;
        case "vm_stopped": case "vm_failed": now.available += vm.physical; vm.physical = 0; vm.demand = NaN; break;
      }
    }
    now.available = Math.max(0, now.available);
    now.transit = Math.max(0, now.transit);
    for (const vm of now.vms) {
      const decision = lastDecision(vm.place, time);
      if (decision >= 0 && vm.physical > 0) {
        vm.target = events.value(decision, "target") / 256;
        vm.rule = events.value(decision, "rule");
        vm.decision = decision;
      }
      vm.pressure = Report.pressure(vm.demand, vm.physical);
    }
    return now;
  };

  const decisions = vms.map(() => []);
  const rounds = [];
  events.groups.forEach((group) => { group.isDecision = group.event === "decision" && placeOf.has(group.vm); });
  for (let place = 0; place < events.length; place++) {
    const group = events.group(place);
    if (group.isDecision) decisions[placeOf.get(group.vm)].push(place);
    else if (group.event === "round") rounds.push(place);
  }
  const lastIn = (places, time) => {
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (events.time[places[middle]] <= time) low = middle + 1;
      else high = middle;
    }
    return low ? places[low - 1] : -1;
  };
  const lastDecision = (vm, time) => lastIn(decisions[vm], time);

  /** Memory on its way, in order of its start: [from, to] in ns, VM, MB, and whether it goes to the VM. */
  const moves = (() => {
    const found = [];
    for (const place of events.named("add_memory", "start_admitted", "pages_unmapped")) {
      const vm = placeOf.get(events.vm(place));
      const name = events.name(place);
      if (vm === undefined || (name === "pages_unmapped" && !events.value(place, "ok"))) continue;
      const from = events.time[place];
      const arrival = name === "pages_unmapped" ? from : arrivalOf(place);
      found.push({ place, vm, mb: events.value(place, "pages") / 256, toVm: name !== "pages_unmapped", from, to: arrival });
    }
    return found;
  })();
  function arrivalOf(place) {
    // The grant's worker maps it: the first such effect of its effects.
    let at = place;
    for (let steps = 0; steps < 4; steps++) {
      const next = [...Report.causality.effects(at)].find((effect) => ["grant", "pages_mapped", "vm_started"].includes(events.name(effect)));
      if (next === undefined) break;
      at = next;
      if (events.name(at) !== "grant") break;
    }
    return events.time[at];
  }

  /** Messages in the rings, in order: time, VM, direction, place of the event. */
  const messages = events.named("dm_send", "balloon_status").map((place) => ({
    place, at: events.time[place], vm: placeOf.get(events.vm(place)), up: events.component(place) !== "dm-vsp",
    status: events.name(place) === "balloon_status",
  })).filter((message) => message.vm !== undefined);
  const counted = vms.map(() => 0);
  for (const message of messages) if (message.status) message.number = counted[message.vm]++;
  /** What the balancer tells the workers. */
  const orders = events.named("add_memory", "remove_memory").map((place) => ({ at: events.time[place], vm: placeOf.get(events.vm(place)) }))
    .filter((order) => order.vm !== undefined);
  const orderTimes = Float64Array.from(orders, (order) => order.at);
  const messageTimes = Float64Array.from(messages, (message) => message.at);
  const moveTimes = Float64Array.from(moves, (move) => move.from);

  return {
    at, total, maximum, columns: of, host, placeOf, moves, messages, messageTimes, moveTimes, orders, orderTimes,
    channelAt, hasChannel: channel.some((of) => of.size > 0), lastDecision, lastRound: (time) => lastIn(rounds, time), decisions,
  };
})();
