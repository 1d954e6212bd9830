"use strict";
/* Why a VM had what it had at a time: what `cargo xtask explain` says, word by word. The crate's tests hold the two against each other. */

Report.explain = (() => {
  const events = Report.events;
  const AFTERWARDS = 120e9;
  const EFFECTS = 24;
  const FRESH = 2e9;
  const OTHERS = 12;
  const NAMES = 20;
  const IS_EFFECT = new Set(["add_memory", "remove_memory", "ballooned", "unballooned", "hot_added", "pages_mapped", "pages_unmapped",
    "operation_finished", "operation_rejected", "add_memory_failed", "guest_unresponsive", "unmap_refused"]);
  const rules = new Map(Report.run.rules);
  const states = new Map(Report.run.states);
  const number = (place, name) => {
    const value = events.value(place, name);
    return typeof value === "number" ? value : 0;
  };
  const text = (place, name) => {
    const value = events.value(place, name);
    return value === undefined ? "" : String(value);
  };
  const time = (at) => Report.time(Math.floor(at / 1e6) * 1e6);
  const mb = Report.mbOfPages;
  const lacked = (place) => ({ required: number(place, "required_mb"), available: number(place, "available_mb") });
  const said = (place) => events.fields(place).map(([name, value]) => `${name} ${Report.value(value)}`).join(", ");

  const fresh = () => ({ life: "never", since: 0, lacked: null, until: null, has: 0, report: null, decision: null });
  const decided = (place) => ({
    place, at: events.time[place], seq: events.seq[place], round: number(place, "round"), assigned: number(place, "assigned"),
    target: number(place, "target"), proposed: number(place, "proposed"), rule: text(place, "rule"), inputs: text(place, "inputs"),
    correction: events.value(place, "correction"),
  });

  /** What one event changes about its VM. */
  const read = (then, place) => {
    const t = events.time[place];
    switch (events.name(place)) {
      case "start_requested": Object.assign(then, { life: "waiting", since: t, lacked: null }); break;
      case "restart_waits": Object.assign(then, { life: "waiting", since: t, lacked: lacked(place) }); break;
      case "start_refused": {
        const reserved = number(place, "reserved_s");
        Object.assign(then, fresh(), { life: "refused", since: t, lacked: lacked(place), until: reserved > 0 ? t + reserved * 1e9 : null });
        break;
      }
      case "start_admitted": Object.assign(then, fresh(), { life: "running", since: t, has: number(place, "pages") }); break;
      case "vm_stopped": case "vm_failed": case "start_cancelled": Object.assign(then, fresh(), { life: "off", since: t }); break;
      case "pages_mapped": if (events.value(place, "ok") === true) then.has += number(place, "pages"); break;
      case "pages_unmapped": if (events.value(place, "ok") === true) then.has = Math.max(0, then.has - number(place, "pages")); break;
      case "status_report": then.report = { at: t, demand: number(place, "demand"), available: number(place, "available") }; break;
      case "decision":
        then.decision = decided(place);
        then.has = then.decision.assigned;
        if (then.life !== "running") Object.assign(then, { life: "running", since: t });
    }
  };

  /** Pressure in percent, as the crate `balancing-policy` has it. */
  const pressure = (demand, has) => (has === 0 ? (demand === 0 ? 100 : Infinity) : (100 * (demand / 256)) / (has / 256));

  /** All VMs at a time, and the last round that differed: [Map of name to state, round, policy failures]. */
  const all = (at) => {
    const vms = new Map();
    let host = null;
    let failures = 0;
    const end = events.upTo(at);
    for (let place = 0; place <= end; place++) {
      const name = events.vm(place);
      if (name !== null) {
        if (!vms.has(name)) vms.set(name, fresh());
        read(vms.get(name), place);
      } else if (events.name(place) === "round") host = { at: events.time[place], seq: events.seq[place], rule: text(place, "rule"), inputs: text(place, "inputs") };
      else if (events.name(place) === "policy_failed") failures++;
    }
    return { vms, host, failures };
  };

  /** What came of the decision that stood: places of effects, how many more, the next decision. */
  const follow = (vm, at) => {
    let caused = new Set();
    let effects = [];
    let more = 0;
    let next = null;
    for (let place = 0; place < events.length; place++) {
      if (events.vm(place) !== vm) continue;
      const t = events.time[place];
      if (events.name(place) === "decision") {
        if (t <= at) {
          caused = new Set([events.seq[place]]);
          effects = [];
          more = 0;
        } else next ||= decided(place);
        continue;
      }
      const over = (next && t > next.at + AFTERWARDS) || t > at + AFTERWARDS;
      const name = events.name(place);
      const follows = caused.has(events.cause(place));
      if (over || !IS_EFFECT.has(name)) {
        if (follows && !over) caused.add(events.seq[place]);
        continue;
      }
      if (((name === "add_memory" || name === "remove_memory") && !next) || follows) {
        caused.add(events.seq[place]);
        if (effects.length < EFFECTS) effects.push(place);
        else more++;
      }
    }
    return { effects, more, next };
  };

  const effectInWords = (place) => {
    const pages = (name) => mb(number(place, name));
    switch (events.name(place)) {
      case "add_memory": return `The balancer grants it ${pages("pages")}, to bring it to ${pages("target")}.`;
      case "remove_memory": return `The balancer asks it for ${pages("pages")}.`;
      case "ballooned": return `The guest gives away ${pages("given")} of ${pages("requested")} asked for.`;
      case "unballooned": return "The guest takes back what it had given away.";
      case "hot_added": return "The guest takes what is added.";
      case "pages_mapped": return `${pages("pages")} are mapped into it.`;
      case "pages_unmapped": return `${pages("pages")} are taken out of it.`;
      case "operation_finished": return `Done: ${pages("done")} of ${pages("requested")} (${text(place, "outcome").toLowerCase()}).`;
      case "guest_unresponsive": return "The guest does not answer.";
      default: return `${events.name(place).replaceAll("_", " ")} ${said(place)}`;
    }
  };

  /** The explanation for a VM at a time; null if there is nothing to explain with. */
  return (vm, at) => {
    const isThere = (event) => events.groups.some((group) => group.event === event);
    if (!isThere("decision")) return null;
    const hasReports = isThere("status_report");
    const policy = (Report.run.summary && Report.run.summary.policy) || (Report.run.manifest && Report.run.manifest.policy) || "(its name is missing)";
    const { vms, host, failures } = all(at);
    const then = vms.get(vm) || fresh();
    const { effects, more, next } = follow(vm, at);
    const out = [];
    const line = (text) => out.push(text);
    const tellLacked = ({ required, available }) => line(`  It needed ${required} MB, and ${available} MB were available.`);
    const running = then.life === "running";
    if (then.life === "never") line(`${vm} had no memory at ${time(at)}: it had not been started.`);
    else if (then.life === "off") line(`${vm} had no memory at ${time(at)}: it has been off since ${time(then.since)}.`);
    else if (then.life === "waiting") {
      line(`${vm} had no memory at ${time(at)}: it has been waiting to start since ${time(then.since)}.`);
      if (then.lacked) tellLacked(then.lacked);
    } else if (then.life === "refused") {
      line(`${vm} had no memory at ${time(at)}: its start was refused at ${time(then.since)}.`);
      tellLacked(then.lacked);
      line(then.until === null ? "  The others could not have given that much, so nothing was taken from them."
        : `  From then until ${time(then.until)} memory was collected for it, in case that it was asked to start again.`);
    } else {
      line(`${vm} had ${mb(then.has)} at ${time(at)}. It runs since ${time(then.since)}.`);
      if (!then.report) line(hasReports ? "  Its guest had not reported." : "  What its guest reported is not among the events.");
      else {
        line(`  Its guest's last report, ${time(then.report.at)}: it needs ${mb(then.report.demand)}, ${mb(then.report.available)} are available in it; `
          + `pressure ${Report.fixed(pressure(then.report.demand, then.has), 1)} %.`);
      }
    }
    line("");
    line("The host");
    if (host) {
      const meaning = states.get(host.rule) || `policy ${policy} calls it \`${host.rule}\``;
      line(`  Since ${time(host.at)}: ${meaning} (\`${host.rule}\`).`);
      const them = [...vms.values()].filter((other) => other.life === "running");
      const has = mb(them.reduce((sum, other) => sum + other.has, 0));
      const need = mb(them.reduce((sum, other) => sum + (other.report ? other.report.demand : 0), 0));
      // What a guest needs is known from its reports only.
      const silent = them.filter((other) => !other.report).length;
      const who = them.length === 0 ? "no VM was running"
        : !hasReports ? (them.length === 1 ? `1 VM was running; it had ${has}` : `${them.length} VMs were running; together they had ${has}`)
        : them.length === 1 && silent === 0 ? `1 VM was running; it had ${has} and needed ${need}`
          : them.length === 1 ? `1 VM was running; it had ${has}, and its guest had not reported`
            : silent === 0 ? `${them.length} VMs were running; together they had ${has} and needed ${need}`
              : `${them.length} VMs were running; together they had ${has} and needed ${need}, without ${silent} whose guests had not reported`;
      line(`  At ${time(at)}, ${who}.`);
      line(at - host.at < FRESH ? `  The round of ${time(host.at)} found: ${Report.inputs(host.inputs)}.`
        : `  What the round of ${time(host.at)} found is event ${host.seq}.`);
    } else line("  There had been no round.");
    if (failures > 0) line(`  The policy had failed in ${failures} rounds by then; in each the targets before it stayed.`);
    if (running) {
      line("");
      line("The decision");
      const decision = then.decision;
      if (!decision) line("  There had been none: it has what it started with.");
      else {
        line(`  ${time(decision.at)}, round ${decision.round}, by ${policy}: \`${decision.rule}\`.`);
        line(`  ${rules.get(decision.rule) || `Policy ${policy} names its rule \`${decision.rule}\`.`}`);
        if (decision.inputs !== "") line(`  ${Report.inputs(decision.inputs)}`);
        line(`  It had ${mb(decision.assigned)} then, and was to have ${mb(decision.target)}.`);
        if (decision.correction !== undefined) {
          const why = {
            below_lowest: "less than it can be brought to", above_highest: "more than it can be brought to",
            over_capacity: "with all others more than the host has",
          }[decision.correction] || decision.correction;
          line(`  The policy had proposed ${mb(decision.proposed)}, ${why}; the balancer corrected it.`);
        }
        line(next ? `  It stood until ${time(next.at)}, round ${next.round}: then \`${next.rule}\`, ${mb(next.target)}.`
          : "  It stood until the end of the run.");
      }
    }
    line("");
    line("Who else had a claim, or something to give");
    const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    const others = [...vms].filter(([name, other]) => name !== vm && other.life === "running").sort(([a], [b]) => order(a, b));
    const press = (other) => (other.report ? pressure(other.report.demand, other.has) : -1);
    others.sort(([, a], [, b]) => press(b) - press(a));
    if (others.length === 0) line("  Nobody: no other VM was running.");
    const shown = others.slice(0, OTHERS);
    const names = Math.min(Math.max(2, ...shown.map(([name]) => [...name].length)), NAMES);
    if (shown.length > 0) {
      line(`  ${"VM".padEnd(names)}  ${"had".padStart(9)}  ${"needed".padStart(9)}  ${"pressure".padStart(8)}  by its rule to have`);
    }
    for (const [name, other] of shown) {
      const need = other.report ? mb(other.report.demand) : hasReports ? "no report" : "not known";
      const percent = other.report ? `${Report.fixed(press(other), 1)} %` : "";
      const rule = other.decision ? `  ${other.decision.rule}, ${mb(other.decision.target)}` : "";
      const head = [...name].length > NAMES ? `${name}\n  ${"".padEnd(names)}` : name.padEnd(names);
      line(`  ${head}  ${mb(other.has).padStart(9)}  ${need.padStart(9)}  ${percent.padStart(8)}${rule}`);
    }
    if (others.length > OTHERS) line(`  … and ${others.length - OTHERS} more${hasReports ? ", under less pressure" : ""}.`);
    for (const [name, other] of [...vms].filter(([name]) => name !== vm).sort(([a], [b]) => order(a, b))) {
      if (other.life === "waiting") line(`  ${name.padEnd(8)} was waiting to start.`);
      else if (other.life === "refused" && other.until !== null && at <= other.until) {
        line(`  ${name.padEnd(8)} had been refused its start, and memory was being collected for it.`);
      }
    }
    if (running && then.decision) {
      line("");
      line("What came of it");
      if (effects.length === 0) {
        line(then.decision.target === then.decision.assigned ? "  Nothing was moved: it had its target."
          : "  Nothing was moved: what was missing was too little to move, or there was nothing to move yet.");
      }
      for (const effect of effects) line(`  ${time(events.time[effect]).padStart(12)}  ${effectInWords(effect)}`);
      if (more > 0) line(`  … and ${more} more events.`);
      line("");
      line(`Event ${then.decision.seq} is the decision. All around it:`);
      line(`  cargo xtask events DIR --follow ${then.decision.seq}`);
    }
    return `${out.join("\n")}\n`;
  };
})();
