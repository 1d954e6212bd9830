//! Constants of the models that were chosen with a check in view.

use model_constants::Constant;
use page_range::PageCount;
use scenario::run::Plan;

use super::{Group, Knob, Turn};
use crate::verify::mutate::parameter;

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
        turn: turn(constant.name).map_or(Turn::Fixed, |turn| Turn::Constant(constant.value, turn)),
    })
}

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
        "reserve when MemoryReserve is unset: base" => |plan, factor| reserve(plan, factor, 1.0),
        "reserve when MemoryReserve is unset: per GB of the host" => {
            |plan, factor| reserve(plan, 1.0, factor)
        }
        "overhead per running VM" => |plan, factor| {
            plan.host.balancer.overhead_per_vm = times(plan.host.balancer.overhead_per_vm, factor);
        },
        "most memory per operation" => |plan, factor| {
            plan.host.balancer.operation_limit = times(plan.host.balancer.operation_limit, factor);
        },
        "time below the band before memory is reclaimed without contention" => |plan, factor| {
            let usual = value("time below the band before memory is reclaimed without contention");
            parameter(plan, "hold", toml::Value::Float(usual * factor));
        },
        "lead-time stock: multiple of what is granted during the lead time" => |plan, factor| {
            let usual = value("lead-time stock: multiple of what is granted during the lead time");
            parameter(plan, "stock_factor", toml::Value::Float(usual * factor));
        },
        "windows_server_2008_r2.idle_commit" => |plan, factor| {
            commit(plan, "windows_server_2008_r2.idle_commit", factor);
        },
        "windows_server_2003.idle_commit" => |plan, factor| {
            commit(plan, "windows_server_2003.idle_commit", factor);
        },
        "noise.sigma_large" => |plan, factor| noise(plan, "noise.sigma_large", factor),
        "noise.sigma_small" => |plan, factor| noise(plan, "noise.sigma_small", factor),
        _ => return None,
    };
    Some(turn)
}

pub(super) fn times(pages: PageCount, factor: f64) -> PageCount {
    PageCount((pages.get() as f64 * factor + 0.5) as u64)
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
        let mib = base * value("reserve when MemoryReserve is unset: base")
            + per_gib * gib * value("reserve when MemoryReserve is unset: per GB of the host");
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
        for name in [
            "time below the band before memory is reclaimed without contention",
            "lead-time stock: multiple of what is granted during the lead time",
            "reserve when MemoryReserve is unset: base",
            "reserve when MemoryReserve is unset: per GB of the host",
        ] {
            assert!(value(name).is_finite(), "{name}");
        }
    }
}
