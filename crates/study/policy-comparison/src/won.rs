//! On how many loads a policy does better than the first one.

use std::fmt::Write as _;

use charts::escape;

use super::catalogue::MeasureId;
use super::result::{Compared, Comparison, LoadResult};

/// By how much of the least unmet demand another is as good as the least. Invented.
const NEAR: f64 = 0.02;

/// On how many loads a policy does better than the first one, by the medians of the differences seed by seed, on the VMs that both served. A load on
/// which it served a VM less often is none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Won {
    /// Loads on which it leaves less demand unmet.
    pub unmet: usize,
    /// Loads on which it moves less memory.
    pub moved: usize,
    /// Loads on which it does both.
    pub both: usize,
    /// Loads on which all policies served the same VMs, and this one leaves no more than 2 % more unmet than the one that leaves least. What no policy
    /// could meet because VMs had not begun to run is left out.
    pub near_least: usize,
}

/// A table of the loads that policies won: the header, then the rows.
pub(super) type WonRows = Vec<Vec<String>>;

impl Comparison {
    /// The loads on which all policies served the same VMs.
    fn served_alike(&self) -> impl Iterator<Item = &LoadResult> {
        self.loads.iter().filter(|load| load.compared.iter().all(Compared::same_vms))
    }

    /// On how many loads a policy, by its place, does better than the first one.
    #[must_use]
    pub fn won(&self, policy: usize) -> Won {
        let less = |load: &LoadResult, id| {
            let difference = load.cell(policy, id).and_then(|cell| cell.difference);
            difference.is_some_and(|difference| difference.median < 0.0)
        };
        let mut won = Won::default();
        let no_less_served = |load: &&LoadResult| {
            load.compared.get(policy).is_some_and(|compared| compared.fewer.iter().all(|vms| *vms == 0))
        };
        for load in self.loads.iter().filter(no_less_served) {
            let (unmet, moved) = (less(load, MeasureId::Unmet), less(load, MeasureId::Moved));
            won.unmet += usize::from(unmet);
            won.moved += usize::from(moved);
            won.both += usize::from(unmet && moved);
        }
        won.near_least = self.served_alike().filter(|load| self.is_near_least(load, policy)).count();
        won
    }

    fn is_near_least(&self, load: &LoadResult, policy: usize) -> bool {
        let median = |policy, id| Some(load.cell(policy, id)?.median?.median);
        let least_of = |id| {
            (0..self.policies.len()).filter_map(|policy| median(policy, id)).fold(f64::INFINITY, f64::min)
        };
        let (least, waiting) = (least_of(MeasureId::Unmet), least_of(MeasureId::UnmetWaiting));
        median(policy, MeasureId::Unmet).is_some_and(|own| own - waiting <= (1.0 + NEAR) * (least - waiting))
    }

    /// Whether any policy differs from the first one on any load in what is counted.
    fn differ(&self) -> bool {
        let differs = |load: &LoadResult, policy: usize| {
            [MeasureId::Unmet, MeasureId::Moved].into_iter().any(|id| {
                let difference = load.cell(policy, id).and_then(|cell| cell.difference);
                difference.is_some_and(|difference| difference.median != 0.0)
            })
        };
        self.loads.iter().any(|load| (1..self.policies.len()).any(|policy| differs(load, policy)))
    }

    /// How many loads each policy won, if there are several and there is a difference.
    pub(super) fn won_rows(&self) -> Option<WonRows> {
        if self.loads.len() < 2 || !self.differ() {
            return None;
        }
        let won: Vec<Won> = (0..self.policies.len()).map(|policy| self.won(policy)).collect();
        let row = |title: String, of: fn(&Won) -> usize, of_first: bool| {
            let cell = |(policy, won): (usize, &Won)| {
                if policy == 0 && !of_first { String::new() } else { of(won).to_string() }
            };
            [title].into_iter().chain(won.iter().enumerate().map(cell)).collect()
        };
        let (all, alike) = (self.loads.len(), self.served_alike().count());
        let header = [format!("on how many of {all} loads")].into_iter().chain(self.policies.iter().cloned());
        Some(vec![
            header.collect(),
            row("less unmet demand".to_owned(), |won| won.unmet, false),
            row("less memory moved".to_owned(), |won| won.moved, false),
            row("less of both".to_owned(), |won| won.both, false),
            row(format!("within 2 % of least unmet, of {alike}"), |won| won.near_least, true),
        ])
    }

    /// The same for the page.
    pub(super) fn won_html(&self) -> String {
        let Some(rows) = self.won_rows() else { return String::new() };
        let mut html = String::from("<div class=\"scroll\"><table>");
        for (place, row) in rows.iter().enumerate() {
            let tag = if place == 0 { "th" } else { "td" };
            html.push_str("<tr>");
            for cell in row {
                let _ = write!(html, "<{tag}>{}</{tag}>", escape(cell));
            }
            html.push_str("</tr>");
        }
        html.push_str("</table></div>");
        html
    }
}
