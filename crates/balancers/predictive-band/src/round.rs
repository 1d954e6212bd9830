//! One round: what everyone claims, who is given, who gives.

use core::time::Duration;

use balancing_policy::{HostView, PageCount, Phase, Proposal, Reason, VmView};

use crate::constants as c;
use crate::share::{COMFORT, NEED, SAFE};
use crate::{Claim, PredictiveBand, State, Surplus};

/// What the host's memory comes to. Amounts are pages.
#[derive(Clone, Copy, Debug)]
struct Situation {
    now: Duration,
    /// The least that is moved.
    step: f64,
    /// What running VMs can have beside what is kept for starts.
    capacity: f64,
    /// What of the capacity no VM has; below 0 if memory is to be taken for a start.
    free: f64,
    starts: f64,
    /// Whether starts wait for which no VM may be pressed.
    hopeless: bool,
    /// To be kept free.
    stock: f64,
    /// The level at which all fits beside the stock.
    fitting: f64,
    /// The level to which VMs are given memory.
    goal: f64,
}

impl Situation {
    fn rule(&self) -> &'static str {
        if self.fitting <= COMFORT {
            "enough"
        } else if self.fitting <= SAFE {
            "tight"
        } else {
            "shortage"
        }
    }
}

/// What a VM is to have: pages.
#[derive(Clone, Copy, Debug)]
struct Wish {
    /// The VM is given memory when it has less than this.
    below: f64,
    /// Of what it is given, so much is taken from others if it must be …
    must: f64,
    /// … and so much only if it is free.
    may: f64,
}

fn mib(pages: f64) -> f64 {
    pages / PageCount::from_mib(1).get() as f64
}

fn pages(amount: f64) -> PageCount {
    PageCount(amount.max(0.0) as u64)
}

impl PredictiveBand {
    pub(crate) fn decide(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.collect(host, vms);
        let now = self.assess(host, vms);
        self.fitting = now.fitting;
        let lacking = self.give(&now, vms, proposal);
        let given = self.take(&now, lacking, vms, proposal);
        if now.fitting <= SAFE {
            self.take_surplus(&now, vms, proposal);
        }
        self.keep_within(now.free + given, vms, proposal);
        if !host.reservations.is_empty() && !now.hopeless {
            proposal.leave_for_starts(pages(now.starts));
        }
        proposal.summarize(
            Reason::new(now.rule())
                .with("capacity_mib", mib(now.capacity))
                .with("free_mib", mib(now.free))
                .with("stock_mib", mib(now.stock))
                .with("for_parent_mib", mib(self.for_parent))
                .with("lacking_mib", mib(lacking))
                .with("level", now.fitting),
        );
    }

    /// Bring forecasts up to date, and write down what everyone has and claims.
    fn collect(&mut self, host: &HostView<'_>, vms: &[VmView]) {
        let (config, forecasting) = (self.config, self.forecasting());
        let lead = host.lead_time.min(config.lead).as_secs_f64();
        let mut states = core::mem::take(&mut self.states);
        self.claims.clear();
        self.has.clear();
        self.rising = 0.0;
        for (vm, state) in vms.iter().zip(states.align(vms)) {
            let has = vm.reachable(vm.expected()).get() as f64;
            self.has.push(has);
            let share = self.share(vm.settings.weight);
            state.forecast.update(vm, &forecasting);
            if vm.report().is_none() || !vm.can_move() {
                state.growing = false;
                state.band = None;
                state.surplus = Surplus { hold: state.surplus.hold, ..Surplus::default() };
                let claim = Claim { need: has, margin: 0.0, comfort: 0.0, share, lowest: has, highest: has };
                self.claims.push(claim);
                continue;
            }
            let beyond = has - state.forecast.demand();
            let chunk = config.chunk.get() as f64;
            let refuses = state.refusal.follow(vm, host.now, beyond, chunk, c::REFUSAL.duration());
            let rise = state.forecast.rise(lead);
            self.rising += rise;
            let buffer = vm.settings.buffer_fraction() * state.forecast.demand();
            let margin = state.forecast.margin(&forecasting, buffer);
            self.claims.push(Claim {
                need: state.forecast.demand() + rise,
                margin,
                comfort: margin.max(buffer * config.comfort),
                share,
                lowest: if refuses { has } else { vm.lowest.get() as f64 },
                highest: vm.highest.get() as f64,
            });
        }
        self.states = states;
    }

    fn assess(&mut self, host: &HostView<'_>, vms: &[VmView]) -> Situation {
        let held: f64 = self.has.iter().sum();
        // A page less, so that no sum of rounded amounts is ever more than there is.
        let capacity = (host.capacity.get() as f64 - 1.0).max(0.0);
        let (mut starts, mut hopeless) = (0.0, false);
        for start in host.reservations {
            let with = starts + start.needed.get() as f64;
            if self.left_for(self.start_level(start.weight)) + with <= capacity {
                starts = with;
            } else {
                hopeless = true;
                starts += start.own.get() as f64;
            }
        }
        let capacity = (capacity - starts).max(0.0);
        let spare = (capacity - self.claims.total(SAFE)).max(0.0);
        self.think_of_parent(host, spare);
        let stock = (self.config.stock.get() as f64 + self.rising + self.for_parent).min(spare);
        let stock = stock.max(self.for_next_start(host, vms, capacity));
        let fitting = self.claims.fitting(capacity - stock, self.fitting);
        let goal = if fitting <= COMFORT {
            COMFORT
        } else if fitting <= SAFE {
            SAFE - self.config.evenness * (SAFE - fitting)
        } else {
            fitting
        };
        Situation {
            now: host.now,
            step: host.minimum_move.get() as f64,
            capacity,
            free: capacity - held,
            starts,
            hopeless,
            stock,
            fitting,
            goal,
        }
    }

    /// What is kept free for VMs that have not asked yet. A start is refused at once if its memory is not there, and who is refused
    /// may never ask again. Where several VMs were started in a short time another is expected, and as many more as come in the time in
    /// which memory can be taken from others.
    fn for_next_start(&self, host: &HostView<'_>, vms: &[VmView], capacity: f64) -> f64 {
        let row = c::STARTS.duration();
        let overhead = host.overhead.get() as f64 / vms.len().max(1) as f64;
        let started = vms
            .iter()
            .map(|vm| (vm.started_at, vm.settings.startup.get() as f64 + overhead, vm.settings.weight));
        let waiting =
            host.reservations.iter().map(|start| (start.since, start.needed.get() as f64, start.weight));
        let (mut count, mut largest, mut all, mut weight) = (0.0, 0.0_f64, 0.0, 0);
        for (_, needed, of) in started.chain(waiting).filter(|&(at, ..)| host.now.saturating_sub(at) < row) {
            count += 1.0;
            largest = largest.max(needed);
            all += needed;
            weight = weight.max(of);
        }
        if count < c::STARTS_IN_A_ROW.value {
            return 0.0;
        }
        let wanted = largest + all * host.lead_time.as_secs_f64() / row.as_secs_f64();
        wanted.min(capacity - self.left_for(self.next_start_level(weight))).max(0.0)
    }

    /// What would be left to all if what they have beyond this level were taken, but those who are below their margins
    /// brought up to them.
    fn left_for(&self, level: f64) -> f64 {
        let left = |(index, has): (usize, &f64)| {
            self.claims.at(index, level).min(has.max(self.claims.at(index, SAFE)))
        };
        self.has.iter().enumerate().map(left).sum()
    }

    /// A paging parent makes everything slower: keep more free for it, of what is beyond margins.
    fn think_of_parent(&mut self, host: &HostView<'_>, spare: f64) {
        let passed = self.last_round.map_or(0.0, |last| host.now.saturating_sub(last).as_secs_f64());
        self.last_round = Some(host.now);
        let passed = passed.min(self.config.interval.as_secs_f64());
        let slowdown = host.parent.slowdown;
        let change = if slowdown > c::PARENT_SLOW.value {
            c::PARENT_RISE.pages().get() as f64
        } else if slowdown < c::PARENT_QUICK.value {
            -(c::PARENT_FALL.pages().get() as f64)
        } else {
            0.0
        };
        let most = spare * self.config.parent_share;
        self.for_parent = (self.for_parent + change * passed).max(0.0).min(most);
    }

    fn wish(&self, now: &Situation, index: usize) -> Wish {
        let (has, safe) = (self.has[index], self.claims.at(index, SAFE));
        let goal = self.claims.at(index, now.goal);
        if now.fitting <= COMFORT {
            let comfort = goal - self.claims.at(index, NEED).min(goal);
            let below = (goal - comfort * (1.0 - self.config.trigger)).max(safe).min(goal);
            let must = (safe - has).max(0.0);
            Wish { below, must, may: (goal - has - must).max(0.0) }
        } else if now.fitting <= SAFE {
            Wish { below: safe, must: goal - has, may: 0.0 }
        } else {
            let zone = (self.config.dead_zone * has).min(self.config.most_dead_zone.get() as f64);
            let goal = goal - c::SHORT_OF_SHARE.value * zone;
            Wish { below: self.claims.at(index, now.goal) - zone.max(now.step), must: goal - has, may: 0.0 }
        }
    }

    /// Targets of those that are given memory. Returns what is lacking for that and for the stock.
    fn give(&mut self, now: &Situation, vms: &[VmView], proposal: &mut Proposal) -> f64 {
        let mut states = core::mem::take(&mut self.states);
        let (mut must, mut may) = (0.0, 0.0);
        for (index, (vm, state)) in vms.iter().zip(states.align(vms)).enumerate() {
            let (has, wish) = (self.has[index], self.wish(now, index));
            let wanted = wish.must + wish.may;
            state.growing |= has < wish.below - 1.0;
            // The last step to the maximum is made however small it is.
            let last_step = has + wanted >= vm.settings.maximum.get() as f64;
            if wanted <= 0.0 || (wanted < now.step && !last_step) {
                state.growing = false;
            }
            if state.growing {
                must += wish.must;
                may += wish.may;
            }
            state.band = (vm.report().is_some() && vm.can_move())
                .then(|| (wish.below, self.claims.at(index, COMFORT)));
        }
        let spare = (now.free - must).max(0.0);
        let part = if may > spare { spare / may } else { 1.0 };
        for (index, vm) in vms.iter().enumerate() {
            let has = self.has[index];
            let Some(state) = states.at(index).filter(|_| vm.report().is_some() && vm.can_move()) else {
                let kept = pages(has);
                let reason = Reason::new(why_not(vm)).with("kept_mib", kept.mib());
                proposal.set(index, vm.reachable(kept), reason);
                continue;
            };
            let wish = self.wish(now, index);
            let (rule, target) = if state.growing {
                ("give", has + wish.must.max(0.0) + part * wish.may)
            } else {
                ("keep", has)
            };
            proposal.set(index, vm.reachable(pages(target)), self.reason(rule, index, state, now));
        }
        self.states = states;
        must + now.stock - now.free
    }

    fn reason(&self, rule: &'static str, index: usize, state: &State, now: &Situation) -> Reason {
        let need = self.claims.at(index, NEED);
        Reason::new(rule)
            .with("demand_mib", mib(state.forecast.demand()))
            .with("expected_mib", mib(self.has[index]))
            .with("need_mib", mib(need))
            .with("margin_mib", mib(self.claims.at(index, SAFE) - need))
            .with("goal_mib", mib(self.claims.at(index, now.goal)))
            .with("level", now.fitting)
    }

    /// Take what is lacking from those who miss it least. Returns what they give.
    fn take(&mut self, now: &Situation, lacking: f64, vms: &[VmView], proposal: &mut Proposal) -> f64 {
        if lacking < now.step {
            return 0.0;
        }
        let lowest = now.goal.max(SAFE);
        let level = self.claims.giving(&self.has, lacking, self.giving).min(lowest);
        self.giving = level;
        self.donors.clear();
        for (index, &has) in self.has.iter().enumerate() {
            let growing = self.states.at(index).is_some_and(|state| state.growing);
            if !growing && vms[index].can_move() && has - self.claims.at(index, lowest) >= now.step {
                let surplus = (has - self.claims.at(index, level)).max(0.0);
                self.donors.push((u64::MAX - surplus as u64, index));
            }
        }
        self.donors.sort_unstable();
        let (mut left, mut given) = (lacking, 0.0);
        for &(_, index) in &self.donors {
            if left < 1.0 {
                break;
            }
            let has = self.has[index];
            let surplus = has - self.claims.at(index, level);
            let most = has - self.claims.at(index, lowest);
            // Many small gifts would be many operations, and less than a move would not be moved.
            let gives = surplus.max(self.config.chunk.get() as f64).min(left.max(now.step)).min(most);
            let keeps = pages(has - gives);
            left -= gives;
            given += gives;
            let reason = Reason::new("donor")
                .with("expected_mib", mib(has))
                .with("gives_mib", mib(gives))
                .with("comfort_mib", mib(self.claims.at(index, COMFORT)))
                .with("least_mib", mib(self.claims.at(index, lowest)))
                .with("lacking_mib", mib(lacking))
                .with("level", level);
            proposal.set(index, vms[index].reachable(keeps), reason);
        }
        given
    }

    /// Take surplus that its VM has not needed for long enough.
    fn take_surplus(&mut self, now: &Situation, vms: &[VmView], proposal: &mut Proposal) {
        let mut states = core::mem::take(&mut self.states);
        // Among equals nobody can lack what somebody of less weight still holds.
        let equals = vms.windows(2).all(|pair| {
            self.weight(pair[0].settings.weight).total_cmp(&self.weight(pair[1].settings.weight)).is_eq()
        });
        let least =
            if equals { self.config.hold.max(self.config.hold_among_equals) } else { self.config.hold };
        for (index, (vm, state)) in vms.iter().zip(states.align(vms)).enumerate() {
            if vm.report().is_none() || !vm.can_move() {
                continue;
            }
            let (has, comfort) = (self.has[index], self.claims.at(index, COMFORT));
            state.surplus.hold = state.surplus.hold.max(self.config.hold);
            let hold = state.surplus.hold.max(least);
            let growing = state.growing;
            state.surplus.follow(now, self.config.longest_hold, hold, has, comfort, growing);
            if state.surplus.taking {
                let target = proposal.target(index).pages.min(pages(comfort));
                let waited = state.surplus.since.map_or(hold, |since| now.now.saturating_sub(since));
                let reason = Reason::new("surplus")
                    .with("demand_mib", mib(state.forecast.demand()))
                    .with("expected_mib", mib(has))
                    .with("comfort_mib", mib(comfort))
                    .with("waited_seconds", waited.as_secs_f64())
                    .with("hold_seconds", hold.as_secs_f64());
                proposal.set(index, vm.reachable(target), reason);
            }
        }
        self.states = states;
    }

    /// No VM is given memory that is not there.
    fn keep_within(&self, room: f64, vms: &[VmView], proposal: &mut Proposal) {
        let growth = |target: PageCount, has: f64| (target.get() as f64 - has).max(0.0);
        let sum: f64 =
            proposal.targets().iter().zip(&self.has).map(|(target, &has)| growth(target.pages, has)).sum();
        let room = room.max(0.0);
        if sum <= room {
            return;
        }
        for (index, &has) in self.has.iter().enumerate() {
            let target = *proposal.target(index);
            let more = growth(target.pages, has);
            if more > 0.0 {
                proposal.set(index, vms[index].reachable(pages(has + more * room / sum)), target.reason);
            }
        }
    }
}

impl Surplus {
    fn follow(
        &mut self,
        now: &Situation,
        longest: Duration,
        hold: Duration,
        has: f64,
        comfort: f64,
        growing: bool,
    ) {
        if has > comfort * (1.0 + c::SURPLUS.value) + 2.0 * now.step {
            let since = *self.since.get_or_insert(now.now);
            self.taking |= now.now.saturating_sub(since) >= hold;
        } else {
            self.since = None;
        }
        self.taking &= !growing && has >= comfort + now.step;
        if self.taking {
            self.taken = Some((now.now, comfort));
        } else if growing
            && let Some((at, left)) = self.taken
            && has > left * 1.1 + 4.0 * now.step
        {
            // What was taken is wanted back. If soon, it should have been left longer.
            let soon = now.now.saturating_sub(at).as_secs_f64() < hold.as_secs_f64() * c::REGRET.value;
            self.hold = if soon { (self.hold * 2).min(longest) } else { self.hold / 2 };
            self.taken = None;
        }
    }
}

fn why_not(vm: &VmView) -> &'static str {
    if !vm.settings.dynamic {
        "static"
    } else if vm.phase == Phase::Starting {
        "starting"
    } else if !vm.responsive {
        "set-aside"
    } else if vm.report().is_none() {
        "no-report"
    } else {
        "cannot-move"
    }
}
