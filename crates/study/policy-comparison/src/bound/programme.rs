//! The bound as a linear programme.
//!
//! Memory a of VM i in slot k, what it lacks u ≥ need − a, u ≥ 0, and what is moved m ≥ |a(k) − a(k−1)|, with Σ a ≤ capacity and
//! a within the VM's bounds: minimise Σ u · slot + price · Σ m. By price, the solutions are points of the front, and by duality
//! unmet ≥ (the least) − price · moved holds for every way of balancing.

use good_lp::{Expression, Solution, SolverModel, Variable, constraint, default_solver, variable, variables};

use super::{Fluid, FluidVm, FrontPoint};

/// What a megabyte moved is worth, in MB·s. Invented: from hardly anything to more than a whole run of lack.
const PRICES: [f64; 7] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

/// A slot in which a VM is asked for all the time, but for rounding.
const WHOLE: f64 = 0.999;

impl Fluid {
    /// The front between what is unmet and what is moved on a host that has so much for VMs and their overhead, most moved first.
    pub(crate) fn front(&self, memory: f64) -> Vec<FrontPoint> {
        PRICES.iter().filter_map(|&price| self.point(memory, price)).collect()
    }

    /// The best at one price; `None` if not even the minimums fit.
    fn point(&self, memory: f64, price: f64) -> Option<FrontPoint> {
        let mut all = variables!();
        let slots = self.vms.iter().map(|vm| vm.slots.len()).max().unwrap_or(0);
        let mut used = vec![Expression::with_capacity(self.vms.len()); slots];
        // What VMs have that never need more than their minimum, and overhead.
        let mut fixed = vec![0.0; slots];
        let (mut unmet, mut moved) = (Expression::default(), Expression::default());
        let mut constraints = Vec::new();
        for vm in &self.vms {
            for (fixed, (_, asked)) in fixed.iter_mut().zip(&vm.slots) {
                *fixed += self.overhead * asked;
            }
            if vm.slots.iter().all(|(need, asked)| *need <= vm.minimum * asked) {
                for (fixed, (_, asked)) in fixed.iter_mut().zip(&vm.slots) {
                    *fixed += vm.minimum * asked;
                }
                continue;
            }
            let mut before = Before::Startup;
            for (slot, &(need, asked)) in vm.slots.iter().enumerate() {
                if asked <= 0.0 {
                    before = Before::Startup;
                    continue;
                }
                let has = all.add(variable().min(vm.minimum * asked).max(vm.maximum * asked));
                used[slot] += has;
                if need > vm.minimum * asked {
                    let lacks = all.add(variable().min(0.0));
                    constraints.push(constraint!(lacks + has >= need));
                    unmet += self.slot * lacks;
                }
                if asked >= WHOLE {
                    let change = all.add(variable().min(0.0));
                    before.limit(vm, has, change, &mut constraints);
                    moved += change;
                    before = Before::Slot(has);
                }
            }
        }
        let goal = unmet.clone() + price * moved.clone();
        let mut model = all.minimise(goal).using(default_solver);
        for constraint in constraints {
            model.add_constraint(constraint);
        }
        for (used, fixed) in used.into_iter().zip(fixed) {
            if fixed > memory {
                return None;
            }
            model.add_constraint(constraint!(used <= memory - fixed));
        }
        let solution = model.solve().ok()?;
        let hours = self.slot * slots as f64 / 3600.0;
        // Beyond these digits is the solver's tolerance.
        let rounded = |value: f64| (value.max(0.0) * 10.0).round() / 10.0;
        let point = FrontPoint {
            moved_mb_per_h: rounded(solution.eval(&moved) / hours),
            unmet_mb_s: rounded(solution.eval(&unmet)),
            price_s: price,
        };
        Some(point)
    }
}

/// What a slot's memory is held against.
enum Before {
    /// The VM begins with its startup RAM.
    Startup,
    /// What it had in the slot before.
    Slot(Variable),
}

impl Before {
    fn limit(
        &self,
        vm: &FluidVm,
        has: Variable,
        change: Variable,
        constraints: &mut Vec<good_lp::Constraint>,
    ) {
        match self {
            Self::Startup => {
                constraints.push(constraint!(change >= has - vm.startup));
                constraints.push(constraint!(change >= vm.startup - has));
            }
            Self::Slot(before) => {
                constraints.push(constraint!(change >= has - *before));
                constraints.push(constraint!(change >= *before - has));
            }
        }
    }
}
