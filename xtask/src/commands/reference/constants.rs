//! The page of the constants: every number of the models, from the tables that the code uses.

use std::fmt::Write as _;

use component_runtime::RunConfig;
use model_constants::{Constant, Label};

use super::cell;

/// The page.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Constants of the models\n\nEvery number of the models, from the tables that the code itself uses. *Documented*: a source states it. *Inferred*: solved from\n\
         numbers that a source states. *Calibrated*: chosen so that runs show what a source observed; other values, or others\n\
         together, would do so too. *Invented*: chosen by this project within what the sources say. [A] is the\n\
         [verification guideline](../sources.md). What the models leave out is told on the page [Fidelity](../fidelity.md).\n\n\
         Numbers of the wire formats are no constants of a model: see [The wire format](../wire-format.md). Limits of host editions are in\n\
         [Scenario files](scenario-files.md), properties of guests in [Guests](guests.md).\n\n",
    );
    let sections = sections();
    let count = |label: Label| {
        sections.iter().flat_map(|(_, table)| table).filter(|constant| constant.label == label).count()
    };
    let mut line = |text: String| {
        // Writing to a String does not fail.
        let _: std::fmt::Result = writeln!(page, "{text}");
    };
    line(format!(
        "There are {}: {} documented, {} inferred, {} calibrated, {} invented.",
        sections.iter().map(|(_, table)| table.len()).sum::<usize>(),
        count(Label::Documented),
        count(Label::Inferred),
        count(Label::Calibrated),
        count(Label::Invented)
    ));
    for (heading, table) in sections {
        line(format!("\n## {heading}\n\n| constant | value | | from where |\n|---|---|---|---|"));
        for constant in table {
            line(format!(
                "| {} | {} {} | {} | {} |",
                cell(constant.name),
                constant.value,
                cell(constant.unit),
                constant.label,
                cell(&from_where(&constant))
            ));
        }
    }
    page
}

pub(super) fn sections() -> Vec<(String, Vec<Constant>)> {
    let mut sections: Vec<(String, Vec<Constant>)> = [
        ("Guest memory manager, guests and loads", guest_memory_manager::constants()),
        ("Measured Linux guest", guest_memory_manager::measured_constants()),
        ("DM VSC", dm_vsc::constants()),
        ("DM VSP", dm_vsp::constants()),
        ("Host: VMMS, workers, parent OS", vmms_host::constants()),
        ("Memory balancer, with the policy `hyperv`", memory_balancer::constants()),
        ("Integration services", integration_vsp::constants()),
        ("StorVSC", storage_vsc::constants()),
        ("StorVSP", storage_vsp::constants()),
        ("Modelled storage device", storage_device::constants()),
        ("Storage sizing", storage_sizing::constants()),
    ]
    .map(|(heading, table)| (heading.to_owned(), table.to_vec()))
    .to_vec();
    sections.push(("Runtime".to_owned(), runtime()));
    for (policy, table) in policy_catalogue::constants() {
        sections.push((format!("Policy `{policy}`"), table.to_vec()));
    }
    sections
}

/// Where a constant comes from; and if it was chosen with checks in view, with which, and what they leave free.
fn from_where(constant: &Constant) -> String {
    if constant.chosen_with.is_empty() {
        return constant.source.to_owned();
    }
    let checks: Vec<String> = constant.chosen_with.iter().map(|check| format!("`{check}`")).collect();
    format!("{}. Chosen with {}. Free: {}", constant.source, checks.join(", "), constant.free)
}

/// The runtime is no model, but what it adds to virtual time is chosen as well.
fn runtime() -> Vec<Constant> {
    let config = RunConfig::default();
    let invented = |name, value, unit, source| Constant {
        name,
        value,
        unit,
        label: Label::Invented,
        source,
        chosen_with: &[],
        free: "",
    };
    vec![
        invented(
            "latency",
            config.latency.as_secs_f64(),
            "s",
            "of a message or a doorbell: every cause precedes its effect",
        ),
        invented(
            "requeue_delay",
            config.requeue_delay.as_secs_f64(),
            "s",
            "until a component goes on that had more to do than its budget",
        ),
        invented("budget", config.budget.into(), "inputs", "in one wake: nobody keeps the others waiting"),
    ]
}
