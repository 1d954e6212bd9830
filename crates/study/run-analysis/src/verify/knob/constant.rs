//! Constants of the models that were chosen with a check in view.

use model_constants::Constant;
use page_range::PageCount;
use scenario::run::Plan;

use super::definition::{Group, Knob, Turn, times};
use crate::verify::parameter::parameter;

/// All constants of the models of host and guest that name a check.
pub(super) fn knobs() -> impl Iterator<Item = Knob> {
    let tables = [guest_memory_manager::constants(), vmms_host::constants(), memory_balancer::constants()];
    let chosen = tables.into_iter().flatten().filter(|constant| !constant.chosen_with.is_empty());
    chosen.map(|constant| Knob {
        name: constant.name,
        group: Group::Constant,
        label: Some(constant.label),
        unit: constant.unit,
        chosen_with: constant.chosen_with,
        free: constant.free,
        // A test sees to it that every one can be turned.
        turn: match turn(constant.name) {
            None => Turn::Fixed,
            Some(turn) if OF_LOAD.contains(&constant.name) => Turn::OfLoad(constant.value, turn),
            Some(turn) => Turn::Constant(constant.value, turn),
        },
    })
}

/// Constants that act only when a load changes or the host has nothing left: how the parent OS is trimmed and pages, how long operations take and
/// how large they are, what is kept for them, and how long memory is held.
const OF_LOAD: &[&str] = &[
    "parent_os.comfortable_free",
    "parent_os.working_set_knee",
    "parent_os.free_at_knee",
    "parent_os.need_scale",
    "parent_os.reads_at_knee",
    "parent_os.slowdown_per_read",
    "operation.base",
    "operation.per_mib",
    "most memory per operation",
    HOLD,
    STOCK_FACTOR,
];

const HOLD: &str = "time below the band before memory is reclaimed without contention";
const STOCK_FACTOR: &str = "lead-time stock: multiple of what is granted during the lead time";
const RESERVE_BASE: &str = "reserve when MemoryReserve is unset: base";
const RESERVE_PER_GIB: &str = "reserve when MemoryReserve is unset: per GB of the host";
const WS2008_R2_COMMIT: &str = "windows_server_2008_r2.idle_commit";
const WS2003_COMMIT: &str = "windows_server_2003.idle_commit";
const NOISE_LARGE: &str = "noise.sigma_large";
const NOISE_SMALL: &str = "noise.sigma_small";

/// How a constant of this name is turned.
fn turn(name: &str) -> Option<fn(&mut Plan, f64)> {
    let turn: fn(&mut Plan, f64) = match name {
        "parent_os.in_use_idle" => |plan, factor| plan.host.parent_os.in_use_idle_mib *= factor,
        "parent_os.comfortable_free" => |plan, factor| plan.host.parent_os.comfortable_free_mib *= factor,
        "parent_os.working_set_knee" => |plan, factor| plan.host.parent_os.working_set_knee_mib *= factor,
        "parent_os.free_at_knee" => |plan, factor| plan.host.parent_os.free_at_knee_mib *= factor,
        "parent_os.need_scale" => |plan, factor| plan.host.parent_os.need_scale_mib *= factor,
        "parent_os.reads_at_knee" => |plan, factor| plan.host.parent_os.reads_at_knee *= factor,
        "parent_os.reads_idle" => |plan, factor| plan.host.parent_os.reads_idle *= factor,
        "parent_os.slowdown_per_read" => |plan, factor| plan.host.parent_os.slowdown_per_read *= factor,
        "operation.base" => |plan, factor| {
            plan.host.operation_time.base = plan.host.operation_time.base.mul_f64(factor);
        },
        "operation.per_mib" => |plan, factor| {
            plan.host.operation_time.per_mib = plan.host.operation_time.per_mib.mul_f64(factor);
        },
        RESERVE_BASE => |plan, factor| reserve(plan, factor, 1.0),
        RESERVE_PER_GIB => |plan, factor| reserve(plan, 1.0, factor),
        "overhead per running VM" => |plan, factor| {
            plan.host.balancer.overhead_per_vm = times(plan.host.balancer.overhead_per_vm, factor);
        },
        "most memory per operation" => |plan, factor| {
            plan.host.balancer.operation_limit = times(plan.host.balancer.operation_limit, factor);
        },
        HOLD => |plan, factor| {
            let usual = value(HOLD);
            parameter(plan, "hold", toml::Value::Float(usual * factor));
        },
        STOCK_FACTOR => |plan, factor| {
            let usual = value(STOCK_FACTOR);
            parameter(plan, "stock_factor", toml::Value::Float(usual * factor));
        },
        WS2008_R2_COMMIT => |plan, factor| {
            commit(plan, WS2008_R2_COMMIT, factor);
        },
        WS2003_COMMIT => |plan, factor| {
            commit(plan, WS2003_COMMIT, factor);
        },
        NOISE_LARGE => |plan, factor| noise(plan, NOISE_LARGE, factor),
        NOISE_SMALL => |plan, factor| noise(plan, NOISE_SMALL, factor),
        _ => return None,
    };
    Some(turn)
}

/// The value of a constant of the balancer.
fn value(name: &str) -> f64 {
    let constant: Option<&Constant> =
        memory_balancer::constants().iter().find(|constant| constant.name == name);
    constant.map_or(f64::NAN, |constant| constant.value)
}

/// The reserve of a host whose `MemoryReserve` is unset.
fn reserve(plan: &mut Plan, base: f64, per_gib: f64) {
    if plan.host.memory_reserve.is_none() {
        let gib = (plan.host.memory.whole_mib() / 1024) as f64;
        let mib = base * value(RESERVE_BASE) + per_gib * gib * value(RESERVE_PER_GIB);
        plan.host.memory_reserve = Some(PageCount::from_mib(mib as u64));
    }
}

fn commit(plan: &mut Plan, constant: &str, factor: f64) {
    for vm in &mut plan.vms {
        if vm.profile.family().footprint.commit.name == constant {
            vm.profile = vm.profile.with_footprint(factor, 1.0);
        }
    }
}

fn noise(plan: &mut Plan, constant: &str, factor: f64) {
    for vm in &mut plan.vms {
        if vm.profile.family().footprint.noise.name == constant {
            vm.profile = vm.profile.with_footprint(1.0, factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_looked_up_are_there() {
        for name in [HOLD, STOCK_FACTOR, RESERVE_BASE, RESERVE_PER_GIB] {
            assert!(value(name).is_finite(), "{name}");
        }
    }
}
