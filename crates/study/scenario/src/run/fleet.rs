//! What the runs of several hosts come to, side by side.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use terminal_text::{Look, escape, wrap};

use super::summary::{EndSummary, HostSummary, Summary};
use super::sums::round;

/// Version of the schema of `fleet.json`.
pub const SCHEMA: u32 = 1;
/// Name of a fleet's summary in its folder.
pub const FLEET_FILE: &str = "fleet.json";
/// Name of a fleet's table in its folder.
pub const TABLE_FILE: &str = "fleet.csv";

/// The runs of all hosts of a file, in the order of the file. All sizes are MB (MiB), all times seconds of virtual time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Version of this schema.
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// The balancing policy.
    pub policy: String,
    /// The seed, of which each host's own is drawn.
    pub seed: u64,
    /// All hosts together.
    pub all: Sums,
    /// The hosts.
    pub hosts: Vec<OneHost>,
}

/// One host of a fleet. Its folder has its run's own summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneHost {
    /// Its name, and that of its folder.
    pub name: String,
    /// The seed of its run.
    pub seed: u64,
    /// How its run ended.
    pub end: EndSummary,
    /// The host.
    pub host: HostSummary,
    /// Its VMs together.
    pub vms: Sums,
}

/// VMs together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// VMs.
    pub vms: u64,
    /// VMs that were started.
    pub started: u64,
    /// Starts that failed.
    pub failed_starts: u64,
    /// VMs that ended without being asked to, so often.
    pub failures: u64,
    /// Demand beyond what they had, over time, MB·s.
    pub unmet_demand_mb_s: f64,
    /// Time with more demanded than assigned.
    pub time_above_100_s: f64,
    /// Memory added.
    pub added_memory_mb: f64,
    /// Memory removed.
    pub removed_memory_mb: f64,
    /// Operations of both kinds.
    pub operations: u64,
}

impl Sums {
    fn of(summary: &Summary) -> Self {
        let mut sums = Self::default();
        for vm in &summary.vms {
            sums.add(&Self {
                vms: 1,
                started: u64::from(vm.starts > 0),
                failed_starts: u64::from(vm.failed_starts),
                failures: u64::from(vm.failures),
                unmet_demand_mb_s: vm.unmet_demand_mb_s,
                time_above_100_s: vm.time_above_100_s,
                added_memory_mb: vm.added_memory_mb,
                removed_memory_mb: vm.removed_memory_mb,
                operations: vm.memory_add_operations + vm.memory_remove_operations,
            });
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        self.vms += other.vms;
        self.started += other.started;
        self.failed_starts += other.failed_starts;
        self.failures += other.failures;
        self.unmet_demand_mb_s = round(self.unmet_demand_mb_s + other.unmet_demand_mb_s);
        self.time_above_100_s = round(self.time_above_100_s + other.time_above_100_s);
        self.added_memory_mb = round(self.added_memory_mb + other.added_memory_mb);
        self.removed_memory_mb = round(self.removed_memory_mb + other.removed_memory_mb);
        self.operations += other.operations;
    }
}

/// Hosts that are listed; of more, those whose VMs lacked most. Invented.
const LISTED: usize = 24;

impl Fleet {
    /// Puts the hosts' summaries together, in their order, each with its host's name. `seed` is that of the file, or the one given in its place.
    #[must_use]
    pub fn of(seed: u64, summaries: &[(String, Summary)]) -> Self {
        let mut all = Sums::default();
        let hosts: Vec<OneHost> = summaries
            .iter()
            .map(|(name, summary)| {
                let vms = Sums::of(summary);
                all.add(&vms);
                OneHost {
                    name: name.clone(),
                    seed: summary.seed,
                    end: summary.end.clone(),
                    host: summary.host.clone(),
                    vms,
                }
            })
            .collect();
        let first = summaries.first().map(|(_, summary)| summary);
        Self {
            schema: SCHEMA,
            scenario: first.map_or_else(String::new, |summary| summary.scenario.clone()),
            policy: first.map_or_else(String::new, |summary| summary.policy.clone()),
            seed,
            all,
            hosts,
        }
    }

    /// Whether every host got to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.hosts.iter().all(|host| host.end.complete)
    }

    /// `fleet.csv`: a line for each host.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "host,seed,memory_mb,used_mb_max,average_pressure_mean,vms,started,failed_starts,failures,unmet_demand_mb_s,\
             time_above_100_s,added_memory_mb,removed_memory_mb,operations,complete\n",
        );
        for host in &self.hosts {
            let spread = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let name = format!("\"{}\"", host.name.replace('"', "\"\""));
            let vms = &host.vms;
            let fields = [
                if host.name.contains([',', '"']) { name } else { host.name.clone() },
                host.seed.to_string(),
                host.host.memory_mb.to_string(),
                spread(host.host.used_mb.map(|used| used.maximum)),
                spread(host.host.average_pressure.map(|pressure| pressure.mean)),
                vms.vms.to_string(),
                vms.started.to_string(),
                vms.failed_starts.to_string(),
                vms.failures.to_string(),
                vms.unmet_demand_mb_s.to_string(),
                vms.time_above_100_s.to_string(),
                vms.added_memory_mb.to_string(),
                vms.removed_memory_mb.to_string(),
                vms.operations.to_string(),
                host.end.complete.to_string(),
            ];
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        text
    }

    /// What happened, for a terminal: a line for each host, and the sums. Names that others chose are escaped.
    #[must_use]
    pub fn told(&self, title: &str, look: Look) -> String {
        let mut text = wrap(&escape(title), look.columns) + "\n\n";
        let mut listed: Vec<&OneHost> = self.hosts.iter().collect();
        if listed.len() > LISTED {
            // The sort is stable: hosts that lack as much stay in their order.
            listed.sort_by(|a, b| b.vms.unmet_demand_mb_s.total_cmp(&a.vms.unmet_demand_mb_s));
            listed.truncate(LISTED);
            let all = self.hosts.len();
            text += &wrap(&format!("{LISTED} of {all} hosts, whose VMs lacked most:"), look.columns);
            text.push('\n');
        }
        let longest =
            listed.iter().map(|host| terminal_text::width(&host.name)).max().unwrap_or(0).clamp(4, 20);
        let _: std::fmt::Result = writeln!(
            text,
            "{:<longest$} {:>5} {:>9} {:>9} {:>13} {:>9} {:>8}",
            "host", "VMs", "most used", "pressure", "unmet (MB·s)", "moved", "refused"
        );
        for host in listed {
            let name: String = escape(&host.name).chars().take(longest).collect();
            let used = host.host.used_mb.map_or(0.0, |used| 100.0 * used.maximum / host.host.memory_mb);
            let pressure = host.host.average_pressure.map_or(0.0, |pressure| pressure.mean);
            let _: std::fmt::Result = writeln!(
                text,
                "{name:<longest$} {:>5} {:>7.0} % {:>7.1} % {:>13.0} {:>6.1} GB {:>8}{}",
                host.vms.vms,
                used,
                pressure,
                host.vms.unmet_demand_mb_s,
                (host.vms.added_memory_mb + host.vms.removed_memory_mb) / 1024.0,
                host.vms.failed_starts,
                if host.end.complete { "" } else { "  not complete" },
            );
        }
        let all = &self.all;
        let sentence = format!(
            "{} hosts with {} VMs, of which {} were started: {:.0} MB·s of demand unmet, {:.1} GB moved in {} operations, {} refused starts.",
            self.hosts.len(),
            all.vms,
            all.started,
            all.unmet_demand_mb_s,
            (all.added_memory_mb + all.removed_memory_mb) / 1024.0,
            all.operations,
            all.failed_starts,
        );
        text + "\n" + &wrap(&sentence, look.columns) + "\n"
    }
}
