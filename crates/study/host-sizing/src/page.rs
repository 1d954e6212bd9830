//! The answer as one HTML page that needs nothing else: no network, no script.

use std::fmt::Write as _;

use charts::{Curve, Figure, Given, Mark, Panel, STROKES, Stroke, escape};

use crate::advise::Advice;
use crate::answer::{Answer, Evaluated, Found};
use crate::clock::{gb, length, moment};
use crate::job::Engine;
use crate::question::Sought;

const STYLE: &str = "
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1b1b; --faint: #6b6b6b; --line: #d9d9d9; --box: #f6f6f4;
  --good: #146c2e; --bad: #b3261e; --bar: #c9dcec; --peak: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e8e8e6; --faint: #a0a4a8; --line: #3a3e43; --box: #1f2226;
  --good: #7ee2a0; --bad: #ff9a92; --bar: #2c4a63; --peak: #6ab0ff; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1180px; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .3rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
p { max-width: 62rem; margin: .4rem 0; } .faint { color: var(--faint); } .good { color: var(--good); } .bad { color: var(--bad); }
.answer { background: var(--box); border-left: 5px solid var(--good); border-radius: 4px; padding: .6rem 1rem; margin: 1rem 0; max-width: 62rem; }
.answer.bad { border-color: var(--bad); color: inherit; } .answer p.head { font-size: 1.15rem; font-weight: 600; } .answer p.head + p { margin-top: .2rem; } .answer p + p.head { margin-top: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .45rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } th.left, tr.why td { text-align: left; }
tr.why td { font-size: .8rem; color: var(--faint); padding-top: 0; } tr.why div { white-space: normal; position: sticky; left: .45rem; width: max-content; max-width: min(60rem, calc(100vw - 4rem)); }
tr:has(+ tr.why) td { border-bottom: 0; }
td.changed { font-weight: 600; } figure { margin: .8rem 0; background: var(--box); border-radius: 8px; padding: .7rem; max-width: 860px; }
svg { width: 100%; height: auto; display: block; } svg.range { width: 170px; height: 14px; } svg .span { fill: var(--bar); } svg .p95 { fill: var(--peak); }
svg .bound { stroke: var(--ink); stroke-width: 1.5; } code { font-size: .86em; }
@media (max-width: 620px) { figure { overflow-x: auto; } figure > svg { min-width: 560px; } }
@media print { body { padding: 0; max-width: none; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .scroll { overflow: visible; } table, tr.why td { font-size: .64rem; } tr.why div { max-width: 100%; } }
";

/// Engines, and the strokes of their curves for one size of host after the other.
const ENGINES: [(&str, Engine, [usize; 4]); 2] =
    [("full runs", Engine::Full, [0, 2, 4, 6]), ("fast model", Engine::Fast, [3, 1, 5, 7])];

impl Answer {
    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut html = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        let _ = write!(
            html,
            "<title>Hosts for {}</title><style>{STYLE}</style></head><body>",
            escape(&self.title)
        );
        let _ = write!(
            html,
            "<h1>Hosts for {}</h1><p class=\"faint\">{} VMs over {}, replayed through the balancer ({}){}. Risk: no VM short for more than {} in one piece \
             or {} % of its time, at most {} refused allocations, all VMs start.{}</p>",
            escape(&self.title),
            self.vms,
            length(self.length_s),
            escape(&self.policy),
            self.growth.map_or_else(String::new, |growth| format!(
                ", demand grown by {:.0} % ({growth})",
                (growth.factor() - 1.0) * 100.0
            )),
            length(self.risk.longest_s),
            self.risk.share * 100.0,
            self.risk.refused,
            if self.warm_up_s > 0.0 {
                format!(
                    " The first {} of a run, in which all start, do not count for shortages.",
                    length(self.warm_up_s)
                )
            } else {
                String::new()
            }
        );
        let _ = write!(html, "<div class=\"answer{}\">", if self.is_enough() { "" } else { " bad" });
        // Each size of hosts has its answer: its first sentence stands out, red where it is not enough.
        let heads =
            self.found.iter().filter_map(|found| Some((self.of_found(found).into_iter().next()?, found)));
        let heads: Vec<(String, &Found)> = heads.collect();
        for sentence in self.sentences() {
            let head = heads.iter().find(|(head, _)| *head == sentence);
            let class = match head {
                Some((_, found)) if found.kept => " class=\"head\"",
                Some(_) => " class=\"head bad\"",
                None => "",
            };
            let _ = write!(html, "<p{class}>{}</p>", escape(&sentence));
        }
        html.push_str("</div>");
        self.risk_figure(&mut html);
        self.over_time(&mut html);
        self.worst(&mut html);
        self.vms_table(&mut html);
        self.tried(&mut html);
        let _ = writeln!(
            html,
            "<p class=\"faint\">Repeat: <code>{}</code></p></body></html>",
            escape(&self.command)
        );
        html
    }

    /// Risk over memory: the longest shortage of each try.
    fn risk_figure(&self, html: &mut String) {
        let by_hosts = self.sought == Sought::Hosts;
        let x = |tried: &Evaluated| {
            if by_hosts { f64::from(tried.hosts) } else { tried.memory_mb / 1024.0 }
        };
        // Of hosts of several sizes, a curve for each.
        let mut sizes: Vec<f64> =
            self.found.iter().filter(|_| by_hosts).map(|found| found.memory_mb).collect();
        if sizes.is_empty() {
            sizes.push(0.0);
        }
        let mut curves = Vec::new();
        let mut ends = (f64::INFINITY, 0.0_f64);
        let mut marks = Vec::new();
        let longest = |tried: &Evaluated| {
            if tried.not_started > 0 { self.length_s } else { tried.longest_s }
        };
        // A VM that never starts is short all of the time; a scale for that would hide the rest.
        let top = self
            .evaluated
            .iter()
            .filter(|tried| tried.not_started == 0)
            .map(longest)
            .fold(self.risk.longest_s * 4.0, f64::max);
        let top = top.min(self.risk.longest_s.max(1.0) * 20.0);
        for (number, size) in sizes.iter().enumerate() {
            for (label, engine, places) in ENGINES {
                let mut points: Vec<(f64, f64)> = self
                    .evaluated
                    .iter()
                    .filter(|tried| tried.engine == engine)
                    .filter(|tried| !by_hosts || (tried.memory_mb - size).abs() < 0.5)
                    .map(|tried| (x(tried), longest(tried).min(top)))
                    .collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                for point in &points {
                    ends = (ends.0.min(point.0), ends.1.max(point.0));
                }
                if points.len() > 1 {
                    let place = places[number % places.len()];
                    let stroke: Stroke = STROKES.get(place).copied().unwrap_or(STROKES[0]);
                    let label =
                        if sizes.len() > 1 { format!("{}, {label}", gb(*size)) } else { label.to_owned() };
                    curves.push(Curve { label, stroke, points });
                }
            }
        }
        if curves.is_empty() || ends.0 >= ends.1 {
            return;
        }
        for found in self.found.iter().filter(|found| found.kept) {
            let at = if by_hosts { f64::from(found.hosts) } else { found.memory_mb / 1024.0 };
            let seen = self.evaluated.iter().find(|tried| {
                tried.hosts == found.hosts
                    && (tried.memory_mb - found.memory_mb).abs() < 0.5
                    && tried.engine == Engine::Full
            });
            if let Some(seen) = seen {
                marks.push(Mark { at: (at, longest(seen).min(top)), label: "the answer".to_owned() });
            }
        }
        let figure = Figure {
            title: if by_hosts {
                "Risk over hosts: the longest time that a VM is short".to_owned()
            } else {
                "Risk over memory: the longest time that a VM is short".to_owned()
            },
            note: "Values beyond the scale lie on its upper edge; dotted: what the risk allows".to_owned(),
            axis: if by_hosts { "hosts" } else { "memory of each host, GB" },
            from: ends.0,
            to: ends.1,
            phases: Vec::new(),
            panels: vec![Panel {
                title: String::new(),
                axis: "seconds".to_owned(),
                height: 190.0,
                top: Some(top * 1.05),
                curves,
                given: vec![Given {
                    from: ends.0,
                    to: ends.1,
                    low: self.risk.longest_s,
                    high: self.risk.longest_s,
                    label: "allowed".to_owned(),
                }],
                marks,
            }],
        };
        let over = if by_hosts { "hosts" } else { "memory" };
        let _ = write!(html, "<h2>Risk over {over}</h2><figure>{}</figure>", figure.draw());
    }

    /// Demand and memory over time.
    fn over_time(&self, html: &mut String) {
        let series = &self.series;
        if series.time_s.len() < 2 {
            return;
        }
        let hours = self.length_s > 10_800.0;
        let unit = if hours { 3600.0 } else { 60.0 };
        let curve = |values: &[f64]| {
            series.time_s.iter().zip(values).map(|(time, mb)| (time / unit, mb / 1024.0)).collect::<Vec<_>>()
        };
        let figure = Figure {
            title: "Demand of the VMs together, what they had, and what the host can give".to_owned(),
            note: format!("On the host with the least left, from {} on", moment(self.begins_ms, 0.0)),
            axis: if hours { "time, hours" } else { "time, minutes" },
            from: 0.0,
            to: series.time_s.last().copied().unwrap_or(1.0) / unit,
            phases: Vec::new(),
            panels: vec![Panel {
                title: String::new(),
                axis: "GB".to_owned(),
                height: 220.0,
                top: None,
                curves: vec![
                    Curve {
                        label: "can give".to_owned(),
                        stroke: Stroke::dashed(charts::GREY, 1.2, "4 3"),
                        points: curve(&series.capacity_mb),
                    },
                    Curve { label: "had".to_owned(), stroke: STROKES[0], points: curve(&series.assigned_mb) },
                    Curve {
                        label: "demand".to_owned(),
                        stroke: STROKES[1],
                        points: curve(&series.demand_mb),
                    },
                ],
                given: Vec::new(),
                marks: Vec::new(),
            }],
        };
        let _ = write!(html, "<h2>Over time</h2><figure>{}</figure>", figure.draw());
    }

    fn worst(&self, html: &mut String) {
        for found in &self.found {
            let (title, list) = if found.kept {
                ("Worst moments", &found.shortages)
            } else {
                ("What breaks the risk", &found.shortages)
            };
            if list.is_empty() {
                continue;
            }
            let _ = write!(
                html,
                "<h2>{title} on {} × {}</h2><div class=\"scroll\"><table><tr><th>VM</th><th>longest shortage</th><th>from</th><th>share of its time</th>\
                 <th>most lacking</th><th>refused</th></tr>",
                found.hosts,
                gb(found.memory_mb)
            );
            for shortage in list.iter().take(15) {
                let class = if found.kept { "" } else { " class=\"bad\"" };
                if shortage.started {
                    let _ = write!(
                        html,
                        "<tr><td>{}{}</td><td{class}>{}</td><td>{}</td><td>{:.2} %</td><td>{}</td><td>{}</td></tr>",
                        escape(&shortage.vm),
                        if shortage.after_failure {
                            " <span class=\"faint\">after a host has failed</span>"
                        } else {
                            ""
                        },
                        length(shortage.longest_s),
                        escape(&moment(self.begins_ms, shortage.at_s)),
                        shortage.share * 100.0,
                        gb(shortage.most_lacking_mb),
                        shortage.refused
                    );
                } else {
                    let _ = write!(
                        html,
                        "<tr><td>{}</td><td class=\"bad\" colspan=\"5\">{}</td></tr>",
                        escape(&shortage.vm),
                        if shortage.after_failure {
                            "does not start again when its host fails"
                        } else {
                            "never starts"
                        }
                    );
                }
            }
            html.push_str("</table></div>");
        }
    }

    fn vms_table(&self, html: &mut String) {
        let most = self
            .advice
            .iter()
            .map(|advice| {
                advice.demand.maximum_mb.max(advice.advised.maximum_mb.min(advice.demand.maximum_mb * 2.0))
            })
            .fold(1.0, f64::max);
        html.push_str(
            "<h2>VMs</h2><p>Demand from its smallest to its largest, darker up to where it is for 95 % of the time; lines: minimum and maximum RAM. \
             <i>Never taken</i>: what its maximum lies above its largest demand with the buffer, which is what static memory of that size would waste.</p>\
             <div class=\"scroll\"><table><tr><th>VM</th><th class=\"left\">demand</th><th>smallest</th><th>median</th><th>95 %</th><th>99 %</th><th>largest</th><th>minimum</th>\
             <th>startup</th><th>maximum</th><th>buffer</th><th>never taken</th></tr>",
        );
        for advice in &self.advice {
            row(html, advice, most);
        }
        html.push_str("</table></div>");
    }

    fn tried(&self, html: &mut String) {
        html.push_str(
            "<h2>What was tried</h2><div class=\"scroll\"><table><tr><th>hosts</th><th>memory of each</th><th>with</th><th>longest shortage</th><th>largest share</th>\
             <th>refused</th><th>not started</th><th>risk</th></tr>",
        );
        for tried in &self.evaluated {
            let _ = write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}{}</td><td>{:.2} %</td><td>{}</td><td>{}</td>{}</tr>",
                tried.hosts,
                gb(tried.memory_mb),
                if tried.engine == Engine::Full { "full runs" } else { "the fast model" },
                if tried.ended_early { "at least " } else { "" },
                length(tried.longest_s),
                tried.share * 100.0,
                tried.refused,
                tried.not_started,
                if tried.kept {
                    "<td class=\"good\">kept</td>".to_owned()
                } else {
                    format!("<td class=\"bad\">broken by {}</td>", tried.vms_broken)
                }
            );
        }
        html.push_str("</table></div>");
    }
}

fn row(html: &mut String, advice: &Advice, most: f64) {
    let demand = &advice.demand;
    let cell = |known: bool, mb: f64| if known { gb(mb) } else { String::new() };
    let known = demand.values > 0;
    let percentiles = known && !demand.snapshot;
    let x = |mb: f64| (mb / most * 216.0).clamp(0.0, 218.0);
    let mut picture = String::new();
    if known {
        let (from, to) = (x(demand.minimum_mb), x(demand.maximum_mb));
        let _ = write!(
            picture,
            "<svg class=\"range\" viewBox=\"0 0 220 14\" role=\"img\" aria-label=\"demand of {}\"><rect class=\"span\" x=\"{from:.1}\" y=\"3\" width=\"{:.1}\" height=\"8\"/>",
            escape(&advice.vm),
            (to - from).max(1.5)
        );
        if percentiles {
            let _ = write!(
                picture,
                "<rect class=\"p95\" x=\"{from:.1}\" y=\"3\" width=\"{:.1}\" height=\"8\"/>",
                (x(demand.p95_mb) - from).max(1.5)
            );
        }
        for bound in [advice.advised.minimum_mb, advice.advised.maximum_mb] {
            let _ = write!(
                picture,
                "<line class=\"bound\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"0\" y2=\"14\"/>",
                x(bound)
            );
        }
        picture.push_str("</svg>");
    }
    let (now, then) = (&advice.now, &advice.advised);
    let change = |now: f64, then: f64| {
        if (now - then).abs() < 0.5 {
            format!("<td>{}</td>", gb(now))
        } else {
            format!("<td class=\"changed\">{} → {}</td>", gb(now), gb(then))
        }
    };
    let bounds = if then.dynamic {
        let buffer = if now.buffer == then.buffer {
            format!("<td>{} %</td>", now.buffer)
        } else {
            format!("<td class=\"changed\">{} → {} %</td>", now.buffer, then.buffer)
        };
        format!(
            "{}{}{}{buffer}",
            change(now.minimum_mb, then.minimum_mb),
            change(now.startup_mb, then.startup_mb),
            change(now.maximum_mb, then.maximum_mb)
        )
    } else {
        format!("<td>static</td>{}<td>static</td><td></td>", change(now.startup_mb, then.startup_mb))
    };
    let why = advice.reasons.iter().map(|reason| escape(reason)).collect::<Vec<_>>().join(" ");
    let _ = write!(
        html,
        "<tr><td>{}</td><td>{picture}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{bounds}<td>{}</td></tr><tr class=\"why\"><td colspan=\"12\"><div>{why}</div></td></tr>",
        escape(&advice.vm),
        cell(percentiles, demand.minimum_mb),
        cell(percentiles, demand.p50_mb),
        cell(percentiles, demand.p95_mb),
        cell(percentiles, demand.p99_mb),
        cell(known, demand.maximum_mb),
        cell(known, advice.never_taken_mb)
    );
}
