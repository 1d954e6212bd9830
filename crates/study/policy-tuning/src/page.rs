//! What a search has found, as one HTML page that needs nothing else.

use std::fmt::Write as _;

use charts::page::Page;
use charts::{Spot, escape, plane};
use policy_comparison::Look;

use super::outcome::{Chosen, Outcome, Trial};

const STYLE: &str = "svg .tried { fill: var(--faint); } svg .front { fill: var(--accent); } svg .chosen { fill: var(--chosen); }
svg .published { fill: var(--ink); } svg .less { fill: none; stroke: var(--faint); }
";

impl Outcome {
    /// The page. `command` repeats the search.
    #[must_use]
    pub fn page(&self, command: &str) -> String {
        let mut page = Page::new(&format!("Parameters of {}", self.policy));
        page.style(STYLE);
        for line in self.words().lines() {
            page.paragraph("", line);
        }
        page.paragraph(
            "",
            &format!(
                "Varied: {}. The search has seen {} with the seeds {}; held out were {} with the seeds {}.",
                self.varied.join(", "),
                self.training.loads.join(", "),
                ranges(&self.training.seeds),
                self.held_out.loads.join(", "),
                ranges(&self.held_out.seeds)
            ),
        );
        page.push("<h2>What was tried</h2>");
        page.paragraph(
            "faint",
            "In percent of the published parameters, on the training loads. Whoever is nearer to the lower left corner than another is better \
             in both; sets that no other beats are the front. Hollow: a VM is served less often than with the published parameters, so the set is no candidate.",
        );
        page.push(&format!("<figure>{}</figure>", self.figure()));
        page.push(&self.table());
        page.push("<h2>On loads that were held out</h2>");
        page.preformatted(&self.judged.table(Look { columns: 160, ..Look::default() }));
        page.push("<h2>To use it</h2>");
        page.preformatted(&self.policy_table());
        page.push(&format!("<p>Repeat: <code>{}</code></p>", escape(command)));
        String::from_utf8_lossy(&page.finish()).into_owned()
    }

    fn class(&self, place: usize, trial: &Trial) -> &'static str {
        if self.chosen == Chosen::Trial(place) {
            "chosen"
        } else if trial.training.served_less > 0 {
            "less"
        } else if self.front.contains(&place) {
            "front"
        } else {
            "tried"
        }
    }

    fn figure(&self) -> String {
        let published =
            Spot { label: "published".to_owned(), class: "published".to_owned(), x: 100.0, y: 100.0 };
        let trial = |(place, trial): (usize, &Trial)| {
            let class = self.class(place, trial);
            let named = class == "chosen" || class == "front";
            Spot {
                label: if named { trial.name.clone() } else { String::new() },
                class: class.to_owned(),
                x: 100.0 * trial.training.moved,
                y: 100.0 * trial.training.unmet_demand,
            }
        };
        // Those that matter lie on top.
        let mut spots: Vec<Spot> = self.trials.iter().enumerate().map(trial).collect();
        spots.sort_by_key(|spot| {
            ["less", "tried", "front", "chosen"].iter().position(|class| *class == spot.class)
        });
        spots.push(published);
        plane("Unmet demand and memory moved", ("memory moved, %", "unmet demand, %"), &spots)
    }

    fn table(&self) -> String {
        let mut html = String::from(
            "<div class=\"scroll\"><table class=\"numbers\"><thead><tr><th></th><th>unmet demand, %</th><th>memory moved, %</th><th>served less</th><th>parameters</th></tr></thead><tbody>",
        );
        let mut order: Vec<usize> = (0..self.trials.len()).collect();
        let product =
            |place: &usize| self.trials[*place].training.unmet_demand * self.trials[*place].training.moved;
        order.sort_by(|a, b| {
            (!self.front.contains(a)).cmp(&!self.front.contains(b)).then(product(a).total_cmp(&product(b)))
        });
        for place in order {
            let Trial { name, parameters, training } = &self.trials[place];
            let parameters: Vec<String> =
                parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let row = if self.chosen == Chosen::Trial(place) { " class=\"chosen\"" } else { "" };
            let front = if self.front.contains(&place) { " (front)" } else { "" };
            // Writing to a String does not fail.
            let _: std::fmt::Result = write!(
                html,
                "<tr{row}><td>{}{front}</td><td>{:.1}</td><td>{:.1}</td><td>{}</td><td>{}</td></tr>",
                escape(name),
                100.0 * training.unmet_demand,
                100.0 * training.moved,
                training.served_less,
                escape(&parameters.join(", "))
            );
        }
        html.push_str("</tbody></table></div>");
        html
    }
}

/// Seeds as a reader writes them: `1 to 6, 9`.
fn ranges(seeds: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for seed in seeds {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *seed => *last = *seed,
            _ => runs.push((*seed, *seed)),
        }
    }
    let text =
        |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from} to {to}") };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_told_in_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1 to 3, 7, 9 to 10");
        assert_eq!(ranges(&[4]), "4");
    }
}
