//! A comparison as one HTML page that needs nothing else.

use std::fmt::Write as _;

use charts::page::{Curve, Drawn, Page, Panel};
use charts::{Row, Spot, dots, escape, number, plane, plane_with_front};

use super::bound::least_by_moved;
use super::catalogue::{MEASURES, Measure, MeasureId};
use super::collector::Series;
use super::regret::Mark;
use super::result::{Cell, Comparison, Judgement, LoadResult};
use super::statistics::Interval;
use super::table::{median, not_known, relative};

/// Colours that stay apart on light and dark ground, and for most who do not see all colours.
const COLOURS: [(&str, &str); 10] = [
    ("#0b62c4", "#6ab0ff"),
    ("#c2410c", "#ff9d5c"),
    ("#15803d", "#5fd38d"),
    ("#9d174d", "#ff7eb3"),
    ("#6d28d9", "#b69cff"),
    ("#a16207", "#e8c547"),
    ("#0e7490", "#4fd1e0"),
    ("#525252", "#c0c0c0"),
    ("#7c2d12", "#d99a7c"),
    ("#365314", "#b5d86a"),
];

/// The front, what is below it, and the policy that is told the future.
const STYLE: &str = "svg .mark { fill: var(--ink); stroke: var(--ground); } svg .front { fill: none; stroke: var(--faint); stroke-width: 1.6; }
svg .below { fill: var(--line); fill-opacity: .45; stroke: none; }
";

/// Height of the curves of a load under a policy, pixels.
const CURVES: u32 = 130;

/// The measures that get a figure for each load.
const DRAWN: [MeasureId; 9] = [
    MeasureId::Slowdown,
    MeasureId::Unmet,
    MeasureId::PageIns,
    MeasureId::Moved,
    MeasureId::Reaction,
    MeasureId::Oscillation,
    MeasureId::Fairness,
    MeasureId::Started,
    MeasureId::Operations,
];

impl Comparison {
    /// The page. `command` repeats the comparison.
    #[must_use]
    pub fn page(&self, command: &str) -> String {
        let mut page = Page::new("Memory balancers compared");
        page.style(&colours());
        page.style(STYLE);
        let mut html = String::new();
        self.introduction(&mut html, command);
        if self.loads.len() > 1 {
            html.push_str(
                "<h2>All loads together</h2><p>For each seed the geometric mean, over the loads, of the ratios to the first policy, on the VMs \
                 that both served: no load outweighs the others. 1 is as much as with the first policy. To both sides of a ratio a \
                 small amount is added (<code>shift</code> in compare.json), so that next to nothing is not infinitely more than nothing.</p>",
            );
            self.said_first(&mut html, &self.overall);
            html.push_str(&self.won_html());
            self.glance(&mut html, &self.overall);
            self.dot_figures(&mut html, &self.overall);
            self.measure_table(&mut html, &self.overall);
        }
        page.push(&html);
        for (place, load) in self.loads.iter().enumerate() {
            self.load(&mut page, place, load);
        }
        let mut html = String::from("<h2>What is measured</h2><dl>");
        for measure in MEASURES {
            let unit = if measure.unit.is_empty() { String::new() } else { format!(" ({})", measure.unit) };
            let _ = write!(
                html,
                "<dt>{}{}</dt><dd>{}</dd>",
                escape(measure.title),
                escape(&unit),
                escape(measure.meaning)
            );
        }
        html.push_str("</dl>");
        page.push(&html);
        String::from_utf8_lossy(&page.finish()).into_owned()
    }

    fn introduction(&self, html: &mut String, command: &str) {
        let seeds = self.seeds.len();
        let _ = write!(
            html,
            "<p>{} on {} load{}, each with the same {seeds} seed{}. Differences are to <b>{}</b>, \
             seed by seed. ",
            escape(&self.policies.join(", ")),
            self.loads.len(),
            if self.loads.len() == 1 { "" } else { "s" },
            if seeds == 1 { "" } else { "s" },
            escape(&self.policies[0]),
        );
        let _ = write!(html, "Bars are intervals. {}</p>", escape(&self.legend().join(" ")));
        for (policy, lost) in self.policies.iter().zip(&self.lost_rounds) {
            if *lost > 0 {
                let _ = write!(
                    html,
                    "<p class=\"worse\">{} panicked in {lost} rounds; in each the targets of the round before stayed.</p>",
                    escape(policy)
                );
            }
        }
        let _ = write!(html, "<p class=\"faint\">Repeat: <code>{}</code></p>", escape(command));
    }

    /// Unmet demand against memory moved: what every balancer trades.
    fn glance(&self, html: &mut String, load: &LoadResult) {
        let value =
            |policy, id| load.cell(policy, id).and_then(|cell| cell.median).map(|median| median.median);
        // A policy that starts fewer VMs serves fewer: that is another trade.
        let left_out = self.starts_fewer(load);
        let spots: Vec<Spot> = self
            .policies
            .iter()
            .enumerate()
            .filter(|(policy, _)| !left_out.contains(policy))
            .filter_map(|(policy, name)| {
                let (x, y) = (value(policy, MeasureId::Moved)?, value(policy, MeasureId::Unmet)?);
                Some(Spot { label: name.clone(), class: class(policy), x, y })
            })
            .collect();
        let figure = plane(
            "Unmet demand against memory moved: better is down and to the left",
            if load.ratios {
                ("memory moved, as a ratio", "unmet demand, as a ratio")
            } else {
                ("memory moved, MB/h", "unmet demand, MB·s")
            },
            &spots,
        );
        let _ = write!(html, "<figure style=\"max-width: 760px\">{figure}</figure>");
        if !left_out.is_empty() {
            let names: Vec<&str> = left_out.iter().map(|&policy| self.policies[policy].as_str()).collect();
            let _ = write!(
                html,
                "<p class=\"faint\">Not in this figure: {}. Fewer VMs started, so there was less to serve; read the other figures \
                 with that in mind.</p>",
                escape(&names.join(", "))
            );
        }
    }

    fn dot_figures(&self, html: &mut String, load: &LoadResult) {
        html.push_str("<div class=\"tiles\">");
        for id in DRAWN {
            let measure = id.measure();
            let rows: Vec<Row> = self
                .policies
                .iter()
                .enumerate()
                .filter_map(|(policy, name)| {
                    let cell = load.cell(policy, id)?;
                    let interval = cell.median?;
                    let mark = load.judgement(policy, measure).mark();
                    Some(Row {
                        label: name.clone(),
                        class: class(policy),
                        median: interval.median,
                        low: interval.low,
                        high: interval.high,
                        value: format!("{} {mark}", number(interval.median, load.digits(measure)))
                            .trim_end()
                            .to_owned(),
                    })
                })
                .collect();
            if !rows.is_empty() {
                let _ = write!(
                    html,
                    "<figure>{}</figure>",
                    dots(measure.title, load.unit(measure), load.ends(measure), &rows)
                );
            }
        }
        html.push_str("</div>");
    }

    fn measure_table(&self, html: &mut String, load: &LoadResult) {
        html.push_str("<details><summary>All numbers</summary><div class=\"scroll\"><table><tr><th></th>");
        for policy in &self.policies {
            let _ = write!(html, "<th>{}</th>", escape(policy));
        }
        html.push_str("</tr>");
        for measure in MEASURES {
            let cells: Vec<&Cell> =
                load.results.iter().filter_map(|results| results.get(measure.key)).collect();
            let unit = load.unit(measure);
            let unit =
                if unit.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(unit)) };
            let _ = write!(
                html,
                "<tr><td title=\"{}\">{}{unit}</td>",
                escape(measure.meaning),
                escape(measure.title)
            );
            for (policy, cell) in cells.iter().enumerate() {
                html.push_str(&table_cell(load, measure, cell, load.judgement(policy, measure)));
            }
            html.push_str("</tr>");
        }
        html.push_str("</table></div></details>");
    }

    /// Who served other VMs than the first policy.
    fn said_first(&self, html: &mut String, load: &LoadResult) {
        for line in self.other_vms(load) {
            let _ = write!(html, "<p>{}</p>", escape(&line));
        }
        for without in &load.without_key_input {
            let _ = write!(html, "<p>{}</p>", escape(&without.sentence()));
        }
    }

    fn load(&self, page: &mut Page, place: usize, load: &LoadResult) {
        let mut html = format!(
            "<h2 id=\"{0}\">{1}</h2><p class=\"faint\">{0}: {2} VMs, {3} GB, {4:.1} h of virtual time</p>",
            escape(&load.name),
            escape(&self.heading(load)),
            load.vms,
            (load.host_memory_mb / 1024.0).round(),
            load.until_s / 3600.0
        );
        self.said_first(&mut html, load);
        let all = load.series.iter().flat_map(|series| series.need_mb.iter().chain(&series.capacity_mb));
        let most = all.copied().fold(0.0, f64::max);
        let _ = write!(
            html,
            "<p class=\"faint\">All VMs together, seed {}: filled, what the VMs needed, refused or not; line, what they had; dashed, what \
             the host can give.</p><div class=\"tiles\">",
            self.seeds[0]
        );
        page.push(&html);
        for (policy, series) in self.policies.iter().zip(&load.series) {
            page.curves(Panel { time: place, most, ..curves(policy, series) });
        }
        let mut html = String::from("</div>");
        self.regret(&mut html, load);
        self.dot_figures(&mut html, load);
        self.measure_table(&mut html, load);
        page.push(&html);
    }

    /// What could still be gained: the policies, the one that is told the future, and the front that nobody is below.
    fn regret(&self, html: &mut String, load: &LoadResult) {
        let Some(regret) = &load.regret else { return };
        let spot = |label: &str, class: String, mark: &Mark| {
            Some(Spot {
                label: label.to_owned(),
                class,
                x: *mark.moved_mb_per_h.first()?,
                y: *mark.unmet_mb_s.first()?,
            })
        };
        let policies = self.policies.iter().zip(&regret.policies).enumerate();
        let comparable = policies.filter(|(_, (_, regret))| regret.over_bound.is_some());
        let mut spots: Vec<Spot> = comparable
            .filter_map(|(policy, (name, regret))| spot(name, class(policy), &regret.mark))
            .collect();
        if !self.policies.iter().any(|name| name == policy_catalogue::CLAIRVOYANT) {
            spots.extend(spot(policy_catalogue::CLAIRVOYANT, "mark".to_owned(), &regret.clairvoyant));
        }
        let least = regret.bound_mb_s.first().copied().unwrap_or_default();
        let front = least_by_moved(&regret.front, least, load.until_s / 3600.0);
        let figure = plane_with_front(
            &format!("How much could still be gained (seed {})", self.seeds[0]),
            ("memory moved, MB/h", "unmet demand, MB·s"),
            &spots,
            &front,
        );
        let _ = write!(
            html,
            "<figure style=\"max-width: 760px; margin: .8rem 0\">{figure}</figure><p class=\"faint\">"
        );
        if front.is_empty() {
            html.push_str("No front is drawn: this build has no solver, or the minimums of the VMs do not fit the host. ");
        } else {
            html.push_str(
                "No way of balancing is below the line: with so much moved no less can be unmet, even where memory moves at once. ",
            );
        }
        let _ = write!(
            html,
            "Whatever is moved, {} MB·s are unmet at least, and clairvoyant, which is told the future, leaves {}.",
            number(least, 0),
            number(regret.clairvoyant.unmet_mb_s.first().copied().unwrap_or_default(), 0)
        );
        if let Some(line) = not_known(load) {
            let _ = write!(html, " {}", escape(&line));
        }
        html.push_str("</p><div class=\"scroll\"><table><tr><th></th><th>unmet beyond clairvoyant</th><th>beyond the front at what it moves</th>\
                       <th>beyond the bound</th><th>could still be gained</th></tr>");
        for (policy, of) in self.policies.iter().zip(&regret.policies) {
            let said = |interval: Option<Interval>| {
                interval.map_or_else(
                    || "–".to_owned(),
                    |interval| {
                        format!(
                            "<span title=\"{} to {}\">{}</span> <small>MB·s</small>",
                            number(interval.low, 0),
                            number(interval.high, 0),
                            number(interval.median, 0)
                        )
                    },
                )
            };
            let _ = write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(policy),
                said(of.over_clairvoyant),
                of.over_front.map_or_else(
                    || "–".to_owned(),
                    |over| format!("{} <small>MB·s</small>", number(over, 0))
                ),
                said(of.over_bound),
                match of.could_gain_percent {
                    [None, None] => "–".to_owned(),
                    [least, most] => {
                        let said =
                            |part: Option<f64>| part.map_or_else(|| "?".to_owned(), |part| number(part, 0));
                        format!("{} to {} <small>%</small>", said(least), said(most))
                    }
                }
            );
        }
        html.push_str("</table></div>");
    }
}

fn table_cell(load: &LoadResult, measure: &Measure, cell: &Cell, judgement: Judgement) -> String {
    let class = match judgement {
        Judgement::Better => "better",
        Judgement::Worse => "worse",
        Judgement::Undecided | Judgement::OtherSteps | Judgement::ServesLess => "",
    };
    let mark = if judgement.mark().is_empty() { String::new() } else { format!(" {}", judgement.mark()) };
    let interval = cell.median.map_or_else(String::new, |interval| {
        format!(
            " title=\"{} to {}\"",
            number(interval.low, load.digits(measure)),
            number(interval.high, load.digits(measure))
        )
    });
    let difference = cell.difference.map_or_else(String::new, |difference| {
        format!(" <small>{}</small>", relative(load, measure, cell, difference.median))
    });
    format!("<td class=\"{class}\"{interval}>{}{difference}{mark}</td>", median(load, measure, cell))
}

/// The class that has a policy's colour.
fn class(policy: usize) -> String {
    format!("p{policy}")
}

/// What the VMs of a load needed, what they had, and what the host could give.
fn curves(policy: &str, series: &Series) -> Panel {
    let curve = |name: &str, drawn, values: &[f64]| Curve {
        name: name.to_owned(),
        place: 0,
        drawn,
        // Tenths are finer than any screen.
        values: values.iter().map(|value| Some((value * 10.0).round() / 10.0)).collect(),
    };
    let curves = vec![
        curve("needed", Drawn::Area, &series.need_mb),
        curve("the host can give", Drawn::Limit, &series.capacity_mb),
        curve("had", Drawn::Line, &series.assigned_mb),
    ];
    Panel { height: CURVES, legend: false, ..Panel::new(policy, "MB", series.time_s.clone(), curves) }
}

/// A class for the colour of each policy, in both schemes.
fn colours() -> String {
    let mut style = String::new();
    for (open, close, dark) in [(":root {", "}", false), (":root[data-theme=\"dark\"] {", "}", true)] {
        style.push_str(open);
        for (index, (light_colour, dark_colour)) in COLOURS.iter().enumerate() {
            let _ = write!(style, " --c{index}: {};", if dark { dark_colour } else { light_colour });
        }
        style.push_str(close);
        style.push('\n');
    }
    for policy in 0..64 {
        let colour = policy % COLOURS.len();
        let _ = writeln!(style, ".p{policy} {{ fill: var(--c{colour}); stroke: var(--c{colour}); }}");
    }
    style
}
