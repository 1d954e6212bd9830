//! What the parent OS does over a range of reserves, on hosts of several sizes, with the points of Table 4-1 of \[A\].

use charts::{BLACK, BLUE, Curve, Figure, GREY, Mark, ORANGE, Panel, Phase, Stroke};

use crate::sweep::{Host, Seen, Sweep};

/// The reserves of Table 4-1, MB: what this model takes when `MemoryReserve` is unset, and what the source set.
const TABLE: [f64; 2] = [1344.0, 2048.0];

/// The curves can be told apart without colour, too. The source's host is the one in the middle.
fn stroke(place: usize) -> Stroke {
    match place {
        0 => Stroke::dashed(ORANGE, 1.4, "2 2"),
        1 => Stroke::dashed(ORANGE, 1.4, "7 3"),
        2 => Stroke::solid(BLUE, 2.6),
        3 => Stroke::dashed(BLACK, 1.2, "7 3"),
        4 => Stroke::dashed(BLACK, 1.2, "2 2"),
        _ => Stroke::solid(GREY, 1.0),
    }
}

/// Draws it.
pub(super) fn figure(sweep: &Sweep) -> String {
    let reserves = || sweep.hosts.iter().flat_map(|host| &host.seen).map(|seen| seen.reserve_mb as f64);
    let (from, to) = (reserves().reduce(f64::min).unwrap_or(0.0), reserves().fold(1.0, f64::max));
    let panel = |axis: &str, of: fn(&Seen) -> f64, source: [(f64, &str); 2]| Panel {
        title: String::new(),
        axis: axis.to_owned(),
        height: 150.0,
        top: None,
        curves: sweep.hosts.iter().enumerate().map(|(place, host)| curve(place, host, of)).collect(),
        given: Vec::new(),
        marks: TABLE
            .into_iter()
            .zip(source)
            .map(|(reserve, (value, label))| Mark { at: (reserve, value), label: label.to_owned() })
            .collect(),
    };
    let phases = [from, TABLE[0], TABLE[1], to]
        .windows(2)
        .zip(1..)
        .map(|(ends, number)| Phase { from: ends[0], to: ends[1], number })
        .collect();
    Figure {
        title: title(sweep),
        note: note(sweep),
        axis: "memory reserved for the parent OS (MB)",
        from,
        to,
        phases,
        panels: vec![
            panel(
                "parent's page reads (1/s)",
                |seen| seen.page_reads_peak,
                [(64.1, "Table 4-1, unset: 64.1"), (3.4, "2048: 3.4")],
            ),
            panel(
                "Available Memory (MB)",
                |seen| seen.available_mean_mb,
                [(108.0, "Table 4-1, unset: 108"), (35.0, "2048: 35")],
            ),
            panel(
                "parent's free memory (MB)",
                |seen| seen.parent_free_mb,
                [(450.0, "Table 4-1, unset: 400 to 500"), (800.0, "2048: 750 to 850")],
            ),
        ],
    }
    .draw()
}

fn curve(place: usize, host: &Host, of: fn(&Seen) -> f64) -> Curve {
    Curve {
        label: format!("{} GB", host.memory_gb),
        stroke: stroke(place),
        points: host.seen.iter().map(|seen| (seen.reserve_mb as f64, of(seen))).collect(),
    }
}

fn title(sweep: &Sweep) -> String {
    let what = "The parent OS while the VMs want more memory than there is";
    match (sweep.hosts.first(), sweep.hosts.last()) {
        (Some(least), Some(most)) => {
            format!("{what}, on hosts of {} to {} GB", least.memory_gb, most.memory_gb)
        }
        _ => what.to_owned(),
    }
}

/// Which runs these are.
fn note(sweep: &Sweep) -> String {
    let seeds: Vec<String> = sweep.seeds.iter().map(u64::to_string).collect();
    let unset: Vec<String> = sweep.hosts.iter().map(|host| host.unset_mb.to_string()).collect();
    format!(
        "reads: largest average over 15 s; else means; unset: {} MB; seeds {}",
        unset.join(", "),
        seeds.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(reserve_mb: u64) -> Seen {
        let reserve = reserve_mb as f64;
        Seen {
            reserve_mb,
            page_reads_peak: 190.0 - reserve / 25.0,
            available_mean_mb: 300.0 - reserve / 16.0,
            parent_free_mb: reserve / 3.0,
        }
    }

    #[test]
    fn every_host_is_named_in_every_panel_and_the_table_is_marked() {
        let hosts = [(16, 864), (24, 1104), (32, 1344), (48, 1824), (64, 2304)];
        let hosts = hosts.map(|(memory_gb, unset_mb)| Host {
            memory_gb,
            unset_mb,
            seen: [0, 1344, 2048, 4096].map(seen).to_vec(),
        });
        let drawn = figure(&Sweep { seeds: vec![1, 2, 3], hosts: hosts.to_vec() });
        for host in ["16 GB", "32 GB"] {
            assert_eq!(drawn.matches(&format!(">{host}<")).count(), 3, "{host}");
        }
        for text in [
            "64.1",
            "3.4",
            "unset: 108",
            "2048: 35",
            "400 to 500",
            "unset: 864, 1104, 1344, 1824, 2304 MB; seeds 1, 2, 3",
        ] {
            assert!(drawn.contains(text), "{text}");
        }
        assert!(!drawn.contains("NaN") && !drawn.contains('…'), "title and note fit the picture");
    }

    #[test]
    fn nothing_seen_is_drawn_without_a_number_that_is_none() {
        let drawn = figure(&Sweep { seeds: Vec::new(), hosts: Vec::new() });
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
