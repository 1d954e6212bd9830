//! Mechanisms switched off one at a time: a check that cannot fail shows nothing.

use page_range::PageCount;
use vmms_host::parent_os::ParentOsConfig;

use crate::run::Plan;

/// A mechanism that can be switched off.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// Its name.
    pub name: &'static str,
    /// What is switched off.
    pub what: &'static str,
    /// Switches it off.
    pub(crate) apply: fn(&mut Plan),
    /// What must fail then: scenario and check.
    pub must_fail: &'static [(&'static str, &'static str)],
}

/// All of them.
pub static MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "hold",
        what: "memory below the band is reclaimed at once",
        apply: |plan| parameter(plan, "hold", toml::Value::Float(0.0)),
        must_fail: &[("single-vm-ws2008r2", "hold"), ("single-vm-ws2003r2", "hold")],
    },
    Mutation {
        name: "weight",
        what: "all VMs count as being of the default priority",
        apply: |plan| parameter(plan, "weights", toml::Value::Boolean(false)),
        must_fail: &[
            ("oracle-high-priority-strict", "assigned_difference"),
            ("oracle-high-priority-contended", "holds_more"),
        ],
    },
    Mutation {
        name: "reserve",
        what: "nothing is reserved for the parent OS",
        apply: |plan| plan.host.memory_reserve = Some(PageCount::ZERO),
        must_fail: &[
            ("multi-vm", "undisturbed_growth"),
            ("exhaustion", "parent_free"),
            ("exhaustion-reserve-2048", "undisturbed_growth"),
            ("exhaustion-reserve-2048", "parent_free"),
            ("exhaustion-reserve-2048", "page_reads_peak"),
        ],
    },
    Mutation {
        name: "trimming",
        what: "the parent OS is never trimmed, and so never pages",
        apply: |plan| plan.host.parent_os = ParentOsConfig { trimming: false, ..plan.host.parent_os.clone() },
        must_fail: &[
            ("exhaustion", "parent_free"),
            ("exhaustion", "available_mean"),
            ("exhaustion", "page_reads_peak"),
            ("exhaustion-reserve-2048", "parent_free"),
            ("exhaustion-reserve-2048", "page_reads_peak"),
        ],
    },
    Mutation {
        name: "stall",
        what: "a paging parent OS does not slow the host's own work (c = 0)",
        apply: |plan| plan.host.parent_os.slowdown_per_read = 0.0,
        must_fail: &[("exhaustion", "available_mean")],
    },
    Mutation {
        name: "stock",
        what: "no lead-time stock is kept",
        apply: |plan| parameter(plan, "stock_factor", toml::Value::Float(0.0)),
        must_fail: &[("exhaustion", "available_mean"), ("exhaustion-reserve-2048", "available_mean")],
    },
];

fn parameter(plan: &mut Plan, name: &str, value: toml::Value) {
    plan.policy_parameters.insert(name.to_owned(), value);
}
