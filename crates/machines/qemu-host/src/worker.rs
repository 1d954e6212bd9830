//! The worker of one VM: the connection to its QEMU, its account, and the balancer's orders. What `vmwp.exe` is to a VM of Hyper-V.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use balancing_policy::{GuestStatus, PageCount, VmId};
use component_runtime::{Address, Component, Context, Doorbell, Mailbox, NextWake, SimTime, WakeCause};
use memory_balancer::{Done, Input, OperationId};
use page_range::{HostFrames, PageCounter};
use vmms_host::{BalancerMessage, WorkerMessage};

use crate::account::{Account, Outcome, Step};
use crate::device::{Limits, Now, Report};
use crate::link::{Connect, Life, Link};
use crate::message::{HostMessage, QemuMessage, WorkerId};
use crate::session::{Facts, Happening, Session};
use crate::snapshot::{Seen, SharedSeen};

/// Time between two attempts to reach a QEMU that was lost. Invented.
const RETRY: Duration = Duration::from_secs(1);
/// A connection that is lost within this time is not made again at once. Invented.
const SHORT_LIFE: Duration = Duration::from_secs(2);
/// The same where nobody has listened yet. Invented.
const RETRY_NOBODY: Duration = Duration::from_secs(2);
/// The same after a connection that was of no use. Invented.
const RETRY_USELESS: Duration = Duration::from_secs(5);
/// A report that is older when it is heard is none. Invented: guests are asked once a second.
pub(crate) const OLDEST_REPORT: Duration = Duration::from_secs(10);
/// How long a guest may have more than it is charged with, without needing it, before it is asked to give it back. Invented.
const OVERRUN_PATIENCE: Duration = Duration::from_secs(30);
/// A report is recorded if it differs by more than this share of what was recorded last, …
const NEWS_SHARE: u64 = 100;
/// … and by more than this, …
const NEWS_LEAST: PageCount = PageCount::from_mib(2);
/// … or after this time in any case. Invented.
const NEWS_AGE: Duration = Duration::from_secs(30);
/// Bytes that are read of a connection at once: more than nearly all answers to what is asked at once have together. Invented.
const READ_AT_ONCE: usize = 2048;
/// Bytes that are read of a connection in one wake; the rest in the next. Invented.
const MOST_READ: usize = 64 << 10;

/// What a worker is made with.
pub(crate) struct WorkerSpec {
    pub(crate) id: WorkerId,
    pub(crate) place: PathBuf,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) balancer: Address<BalancerMessage>,
    pub(crate) host: Address<HostMessage>,
    /// Nothing is asked of QEMU that moves memory: the account alone moves.
    pub(crate) dry_run: bool,
    /// The VMs together need more than there is: a VM may be brought below what its guest needs.
    pub(crate) shortage: Arc<AtomicBool>,
    /// How the VM is, for whoever looks.
    pub(crate) seen: SharedSeen,
    /// Time since 1970 when the run began.
    pub(crate) began: Duration,
}

/// The component.
pub(crate) struct Worker {
    spec: WorkerSpec,
    bell: Doorbell,
    orders: Mailbox<WorkerMessage>,
    inbox: Mailbox<QemuMessage>,
    link: Option<Box<dyn Link>>,
    /// Says whether the QEMU that was last reached still lives.
    life: Option<Life>,
    session: Option<Session>,
    retry_at: Duration,
    connected_at: Duration,
    /// A connection was lost as soon as it was made.
    told_short_life: bool,
    told_trouble: bool,

    facts: Option<Facts>,
    vm: Option<VmId>,
    account: Option<Account>,
    joined: bool,
    /// The guest was reset, and has not reported since then.
    reset_at: Option<Duration>,

    running: bool,
    migrating: bool,
    hung: bool,
    told_to_hold: Option<&'static str>,
    /// The host is short: the guest is asked every second.
    hurry: bool,
    no_report: Option<&'static str>,

    seen: Seen,
    /// The report that was last recorded: when, demand, what was available.
    recorded: Option<(Duration, PageCount, PageCount)>,
    told_overrun: PageCount,
    overrun_since: Option<Duration>,
    over: bool,
}

impl Worker {
    pub(crate) fn new(
        spec: WorkerSpec,
        bell: Doorbell,
        orders: Mailbox<WorkerMessage>,
        inbox: Mailbox<QemuMessage>,
    ) -> Self {
        Self {
            spec,
            bell,
            orders,
            inbox,
            link: None,
            life: None,
            session: None,
            retry_at: Duration::ZERO,
            connected_at: Duration::ZERO,
            told_short_life: false,
            told_trouble: false,
            facts: None,
            vm: None,
            account: None,
            joined: false,
            reset_at: None,
            running: true,
            migrating: false,
            hung: false,
            told_to_hold: None,
            hurry: false,
            no_report: None,
            seen: Seen::default(),
            recorded: None,
            told_overrun: PageCount::ZERO,
            overrun_since: None,
            over: false,
        }
    }

    fn now(&self, ctx: &Context<'_>) -> Now {
        let run: Duration = ctx.now().into();
        Now { run, unix: self.spec.began + run }
    }

    fn tell_host(&self, ctx: &mut Context<'_>, message: HostMessage) {
        ctx.send(&self.spec.host, message);
    }

    fn tell_balancer(&self, ctx: &mut Context<'_>, input: Input) {
        ctx.send(&self.spec.balancer, BalancerMessage::Input(input));
    }

    /// What keeps memory from being moved.
    fn held(&self) -> Option<&'static str> {
        let reasons = [
            (self.session.is_none(), "its QEMU cannot be reached"),
            (self.hung, "its QEMU does not answer"),
            (self.migrating, "it is being migrated"),
            (!self.running, "it is paused"),
        ];
        reasons.into_iter().find_map(|(is, why)| is.then_some(why)).or(self.told_to_hold).or(self.no_report)
    }

    fn connect(&mut self, ctx: &mut Context<'_>) {
        let now = self.now(ctx);
        match self.spec.connect.connect(&self.spec.place, self.bell.clone()) {
            Ok(link) => {
                self.life = link.life();
                self.link = Some(link);
                self.connected_at = now.run;
                self.session = Some(Session::new(now));
                self.hung = false;
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                ) =>
            {
                if self.facts.is_none() {
                    // A socket that was left behind, or one at which nobody listens yet.
                    self.retry_at = now.run + RETRY_NOBODY;
                    self.trouble(ctx, "nobody listens at this socket");
                    return;
                }
                if self.life.as_ref().is_some_and(|lives| lives()) {
                    // It has closed its monitor and has its memory.
                    self.retry_at = now.run + RETRY_NOBODY;
                    return;
                }
                self.tell_host(ctx, HostMessage::Gone { worker: self.spec.id });
                self.over = true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                self.trouble(ctx, "this user may not write to the socket: give its group the right to, and the daemon that group");
                self.retry_at = now.run + RETRY;
            }
            Err(error) => {
                self.trouble(ctx, &error.to_string());
                self.retry_at = now.run + RETRY;
            }
        }
    }

    /// There is no VM to be told of yet; told once.
    fn trouble(&mut self, ctx: &mut Context<'_>, why: &str) {
        if self.facts.is_none() && !std::mem::replace(&mut self.told_trouble, true) {
            tracing::warn!(event = "qemu_not_reached", place = %self.spec.place.display(), why = why);
            self.tell_host(ctx, HostMessage::Trouble { worker: self.spec.id, why: why.to_owned() });
        }
    }

    fn lost(&mut self, ctx: &mut Context<'_>, why: &str) {
        if self.session.take().is_none() {
            return;
        }
        self.link = None;
        let now = self.now(ctx).run;
        if self.connected_at + SHORT_LIFE > now {
            // Whoever takes connections and closes them is not asked in a circle. It was told once.
            self.retry_at = now + RETRY;
            if !std::mem::replace(&mut self.told_short_life, true) {
                tracing::warn!(event = "qemu_lost", why = why);
            }
        } else {
            tracing::warn!(event = "qemu_lost", why = why);
            self.told_short_life = false;
            // At once: a QEMU that is gone takes no connection.
            self.retry_at = now;
        }
        self.held_or_not(ctx, true);
    }

    /// Reads what has come. `true`: there is more.
    fn read(&mut self, ctx: &mut Context<'_>) -> bool {
        let mut buffer = [0; READ_AT_ONCE];
        let mut left = MOST_READ;
        loop {
            let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return false };
            match link.read(&mut buffer) {
                Ok(0) => {
                    self.lost(ctx, "the connection was closed");
                    return false;
                }
                Ok(read) => {
                    session.received(buffer.get(..read).unwrap_or_default());
                    self.happenings(ctx);
                    if read < buffer.len() {
                        // Nothing was left. What comes now rings again.
                        return false;
                    }
                    left = left.saturating_sub(read);
                    if left == 0 {
                        return true;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lost(ctx, &error.to_string());
                    return false;
                }
            }
        }
    }

    fn happenings(&mut self, ctx: &mut Context<'_>) {
        let now = self.now(ctx);
        while let Some(happening) = self.session.as_mut().and_then(|session| session.next_happening(now)) {
            self.happened(ctx, happening);
        }
        self.send(ctx);
    }

    fn send(&mut self, ctx: &mut Context<'_>) {
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return };
        let bytes = session.take_outgoing();
        if !bytes.is_empty()
            && let Err(error) = link.write_all(&bytes)
        {
            self.lost(ctx, &error.to_string());
        }
    }

    fn happened(&mut self, ctx: &mut Context<'_>, happening: Happening) {
        let now = self.now(ctx);
        match happening {
            Happening::Ready(facts) => self.ready(ctx, facts),
            Happening::Actual(bytes) => {
                let actual = PageCount::from_bytes(bytes);
                if self.seen.actual != actual {
                    tracing::debug!(event = "balloon_change", actual = actual.get());
                }
                self.seen.actual = actual;
                if !self.spec.dry_run {
                    self.with_account(ctx, |account, out| account.heard(now.run, actual, out));
                }
                self.look_at_overrun(ctx);
                self.tell_seen();
            }
            Happening::Report(report) => self.reported(ctx, &report),
            Happening::NoReport(why) => {
                tracing::warn!(event = "no_report", why = why);
                self.no_report = Some(why);
                self.held_or_not(ctx, false);
            }
            Happening::Accepted => {
                self.with_account(ctx, |account, out| account.answered(now.run, true, out));
            }
            Happening::Refused(refusal) => {
                tracing::warn!(event = "balloon_refused", why = %refusal);
                self.with_account(ctx, |account, out| account.answered(now.run, false, out));
            }
            Happening::State { running, word } => {
                if std::mem::replace(&mut self.running, running) != running {
                    tracing::info!(event = "vm_state", state = word.as_str(), running = running);
                }
                self.held_or_not(ctx, false);
            }
            Happening::Migrating(migrating) => {
                if std::mem::replace(&mut self.migrating, migrating) != migrating {
                    tracing::info!(event = "vm_migrates", migrating = migrating);
                }
                self.held_or_not(ctx, false);
            }
            Happening::Reset => {
                tracing::info!(event = "guest_reset");
                self.reset_at = Some(now.run);
                self.seen.report = None;
                if !self.spec.dry_run {
                    self.with_account(ctx, |account, out| account.interrupt(now.run, false, out));
                }
                self.leave(ctx);
                self.look_at_overrun(ctx);
            }
            Happening::Hung => {
                tracing::warn!(event = "qemu_hung");
                self.hung = true;
                self.held_or_not(ctx, true);
            }
            Happening::Answers => {
                tracing::info!(event = "qemu_answers");
                self.hung = false;
                self.held_or_not(ctx, false);
            }
            Happening::Useless(why) if self.vm.is_some() => {
                // The VM has its memory, whatever is said of it: only the connection is given up.
                self.lost(ctx, &why.to_string());
                self.retry_at = now.run + RETRY_USELESS;
            }
            Happening::Useless(why) => {
                tracing::warn!(event = "qemu_useless", why = %why);
                self.tell_host(ctx, HostMessage::Useless { worker: self.spec.id, why });
                self.over = true;
            }
        }
    }

    fn ready(&mut self, ctx: &mut Context<'_>, facts: Facts) {
        self.seen.actual = PageCount::from_bytes(facts.actual);
        if let Some(before) = &self.facts
            && (before.name.as_ref(), before.limits.most) != (facts.name.as_ref(), facts.limits.most)
        {
            // Another VM behind the same socket: that of before is gone.
            self.tell_host(ctx, HostMessage::Gone { worker: self.spec.id });
            self.over = true;
            return;
        }
        tracing::info!(
            event = "qemu_found",
            version = facts.version.as_str(),
            device = facts.device.name(),
            actual = self.seen.actual.get(),
            maximum = PageCount::from_bytes(facts.limits.most).get()
        );
        self.facts = Some(facts.clone());
        self.tell_seen();
        if self.vm.is_none() {
            self.tell_host(ctx, HostMessage::Found { worker: self.spec.id, facts });
        }
        self.held_or_not(ctx, false);
    }

    fn reported(&mut self, ctx: &mut Context<'_>, report: &Report) {
        let now = self.now(ctx);
        if report.age > OLDEST_REPORT
            || self.reset_at.is_some_and(|at| now.run.saturating_sub(at) <= report.age)
        {
            return;
        }
        if self.reset_at.take().is_some() {
            self.look_at_overrun(ctx);
        }
        let demand = PageCount::from_bytes(report.demand);
        // What a guest could use of what it would have by now, if this is a dry run.
        let available = match (&self.account, self.spec.dry_run) {
            (Some(account), true) => account.pages().saturating_sub(demand),
            _ => PageCount::from_bytes(report.available),
        };
        let status = GuestStatus::default().with(|status| {
            status.demand = demand;
            status.commit = demand;
            status.available = available;
            status.free = PageCount::from_bytes(report.free).min(available);
            status.page_file_writes =
                PageCounter::at(report.swapped_out.unwrap_or(0) / page_range::PAGE_SIZE);
        });
        if self.is_news(now.run, demand, available) {
            self.recorded = Some((now.run, demand, available));
            tracing::debug!(
                event = "status_report",
                committed = demand.get(),
                available = available.get(),
                demand = demand.get(),
                age_ms = u64::try_from(report.age.as_millis()).unwrap_or(u64::MAX)
            );
        }
        self.no_report = None;
        self.seen.report = Some((now.run, status));
        self.seen.asked_every = self.session.as_ref().map_or(Duration::ZERO, Session::interval);
        self.tell_seen();
        let Some(vm) = self.vm.filter(|_| self.held().is_none()) else { return };
        if !std::mem::replace(&mut self.joined, true) {
            let Some(Limits { granule, hot_add, .. }) = self.limits() else { return };
            tracing::info!(event = "dm_ready");
            self.tell_balancer(
                ctx,
                Input::Joined { vm, granule: PageCount::from_bytes(granule), balloon: true, hot_add },
            );
        }
        let returnable = self.returnable();
        self.tell_balancer(ctx, Input::Status { vm, status, returnable });
    }

    /// Whether a report differs from the one that was last recorded, or that one is old: a host of many VMs that idle records little.
    fn is_news(&self, now: Duration, demand: PageCount, available: PageCount) -> bool {
        let differs = |a: PageCount, b: PageCount| {
            a.get().abs_diff(b.get()) > (b.get() / NEWS_SHARE).max(NEWS_LEAST.get())
        };
        self.recorded.is_none_or(|(at, demand_then, available_then)| {
            now.saturating_sub(at) >= NEWS_AGE
                || differs(demand, demand_then)
                || differs(available, available_then)
        })
    }

    fn limits(&self) -> Option<Limits> {
        self.session
            .as_ref()
            .and_then(Session::limits)
            .or_else(|| self.facts.as_ref().map(|facts| facts.limits))
    }

    /// What can be given back out of the balloon, page by page.
    fn returnable(&self) -> PageCount {
        match (self.limits(), &self.account) {
            (Some(limits), Some(account)) => {
                PageCount::from_bytes(limits.returnable).saturating_sub(account.pages())
            }
            _ => PageCount::ZERO,
        }
    }

    /// The guest takes no part any more, until it reports again.
    fn leave(&mut self, ctx: &mut Context<'_>) {
        if let Some(vm) = self.vm.filter(|_| std::mem::take(&mut self.joined)) {
            self.tell_balancer(ctx, Input::Left { vm });
        }
    }

    /// Something may keep memory from being moved from now on, or does not any more.
    fn held_or_not(&mut self, ctx: &mut Context<'_>, lost: bool) {
        let now = self.now(ctx);
        let held = self.held();
        if held.is_some() && !self.spec.dry_run {
            self.with_account(ctx, |account, out| account.interrupt(now.run, lost, out));
        }
        if held.is_some() {
            self.leave(ctx);
        }
        if self.seen.held.as_deref() != held {
            match held {
                Some(why) => tracing::info!(event = "vm_held", why = why),
                None => tracing::info!(event = "vm_released"),
            }
            self.seen.held = held.map(Arc::from);
            self.tell_seen();
        }
    }

    fn tell_seen(&self) {
        self.spec.seen.look().clone_from(&self.seen);
    }

    fn message(&mut self, ctx: &mut Context<'_>, message: QemuMessage) {
        match message {
            QemuMessage::Adopt { vm, frames } => {
                let (Some(limits), patience) =
                    (self.limits(), self.session.as_ref().map_or(RETRY, Session::patience))
                else {
                    return;
                };
                tracing::info!(event = "vm_started", startup_mb = frames.pages().whole_mib());
                let actual = if self.spec.dry_run { frames.pages() } else { self.seen.actual };
                self.account = Some(Account::new(frames, actual, &limits, patience));
                self.vm = Some(vm);
                self.tell_balancer(ctx, Input::VmStarted { vm });
                self.look_at_overrun(ctx);
            }
            QemuMessage::Hurry(hurry) => self.hurry = hurry,
            QemuMessage::Hold(hold) => {
                self.told_to_hold = hold;
                self.held_or_not(ctx, false);
            }
        }
    }

    fn order(&mut self, ctx: &mut Context<'_>, order: WorkerMessage) {
        let now = self.now(ctx);
        match order {
            WorkerMessage::Grant { operation, frames } => {
                tracing::info!(event = "grant", pages = frames.pages().get(), operation = operation.0);
                if self.account.is_none() {
                    // They go home by themselves.
                    drop(frames);
                } else if self.spec.dry_run {
                    self.grown_in_the_books(ctx, operation, frames);
                } else {
                    self.with_account(ctx, |account, out| account.grant(now.run, operation, frames, out));
                    if self.held().is_some() {
                        self.held_or_not(ctx, self.session.is_none() || self.hung);
                    }
                }
            }
            WorkerMessage::Shrink { operation, pages } => {
                tracing::info!(event = "shrink", pages = pages.get(), operation = operation.0);
                let needed = self.seen.report.map_or(PageCount::MAX, |(_, status)| status.demand);
                let keep = if self.spec.shortage.load(Ordering::Relaxed) { PageCount::ZERO } else { needed };
                if self.spec.dry_run {
                    self.shrunk_in_the_books(ctx, operation, pages, keep);
                } else {
                    self.with_account(ctx, |account, out| {
                        account.shrink(now.run, operation, pages, keep, out);
                    });
                    if self.held().is_some() {
                        self.held_or_not(ctx, self.session.is_none() || self.hung);
                    }
                }
            }
            // There is no such thing to do with a VM that somebody else runs.
            WorkerMessage::ShutDown
            | WorkerMessage::TurnOff
            | WorkerMessage::Reset
            | WorkerMessage::RescindDynamicMemory
            | WorkerMessage::OfferDynamicMemory
            | WorkerMessage::Panic => {}
        }
    }

    fn grown_in_the_books(&mut self, ctx: &mut Context<'_>, operation: OperationId, frames: HostFrames) {
        let Some(account) = &mut self.account else { return };
        let mapped = frames.pages();
        let returned = frames.empty_like();
        let mut out = Vec::new();
        account.grant(Duration::ZERO, operation, frames, &mut out);
        account.answered(Duration::ZERO, true, &mut out);
        let goal = account.pages();
        account.heard(Duration::ZERO, goal, &mut out);
        self.finished(ctx, operation, Done::Grown { mapped, returned, barrier: false }, Outcome::Complete);
    }

    fn shrunk_in_the_books(
        &mut self,
        ctx: &mut Context<'_>,
        operation: OperationId,
        pages: PageCount,
        keep: PageCount,
    ) {
        let Some(account) = &mut self.account else { return };
        let mut out = Vec::new();
        account.shrink(Duration::ZERO, operation, pages, keep, &mut out);
        let goal = out.iter().find_map(|step| if let Step::Ask(goal) = step { Some(*goal) } else { None });
        account.answered(Duration::ZERO, true, &mut out);
        if let Some(goal) = goal {
            account.heard(Duration::ZERO, goal, &mut out);
        }
        self.carry_out(ctx, out);
    }

    fn with_account(&mut self, ctx: &mut Context<'_>, act: impl FnOnce(&mut Account, &mut Vec<Step>)) {
        let Some(account) = &mut self.account else { return };
        let mut out = Vec::new();
        act(account, &mut out);
        self.carry_out(ctx, out);
    }

    fn carry_out(&mut self, ctx: &mut Context<'_>, steps: Vec<Step>) {
        let now = self.now(ctx);
        let Some(vm) = self.vm else { return };
        for step in steps {
            match step {
                Step::Ask(_) if self.spec.dry_run => {}
                Step::Ask(pages) => {
                    let sent =
                        self.session.as_mut().is_some_and(|session| session.request(now, pages.bytes()));
                    if sent {
                        tracing::info!(event = "balloon_target", pages = pages.get());
                    } else if let Some(account) = &mut self.account {
                        account.not_now();
                    }
                }
                Step::Returned(frames) => {
                    tracing::info!(
                        event = "pages_unmapped",
                        pages = frames.pages().get(),
                        kind = "ballooned",
                        ok = true
                    );
                    self.tell_balancer(ctx, Input::Returned { vm, frames });
                }
                Step::Finished { operation, done, outcome } => self.finished(ctx, operation, done, outcome),
                Step::Responsive(responsive) => {
                    if responsive {
                        tracing::info!(event = "guest_responsive");
                    } else {
                        tracing::warn!(event = "guest_unresponsive", waiting_for = "its balloon driver");
                    }
                    self.tell_balancer(ctx, Input::Responsive { vm, responsive });
                }
            }
        }
        let moving = self.account.as_ref().is_some_and(Account::is_moving);
        if let Some(session) = &mut self.session {
            session.set_moving(now, moving);
        }
        self.send(ctx);
    }

    fn finished(&mut self, ctx: &mut Context<'_>, operation: OperationId, done: Done, outcome: Outcome) {
        let Some(vm) = self.vm else { return };
        if let Done::Grown { mapped, .. } = &done
            && !mapped.is_zero()
        {
            let kind =
                if self.limits().is_some_and(|limits| limits.hot_add) { "hot_add" } else { "unballoon" };
            tracing::info!(event = "pages_mapped", pages = mapped.get(), kind = kind, ok = true);
        }
        let (kind, done_pages) = match &done {
            Done::Grown { mapped, .. } => ("grow", Some(mapped.get())),
            Done::Shrunk { .. } => ("shrink", None),
        };
        tracing::info!(
            event = "operation_finished",
            kind = kind,
            done = done_pages,
            outcome = outcome.word()
        );
        let returnable = self.returnable();
        self.tell_balancer(ctx, Input::OperationFinished { vm, operation, done, returnable });
    }

    /// What the guest has beyond its account is the host's burden, which management has to know.
    fn look_at_overrun(&mut self, ctx: &mut Context<'_>) {
        let now = self.now(ctx).run;
        let overrun = match &self.account {
            // QEMU goes on telling what the guest had before it was reset. Until its driver is up again the guest can have everything.
            Some(account) if !self.spec.dry_run && self.reset_at.is_some() => {
                // What was plugged or hot-added leaves with the guest.
                let most =
                    self.limits().map_or(PageCount::ZERO, |limits| PageCount::from_bytes(limits.returnable));
                most.saturating_sub(account.pages()).max(account.overrun())
            }
            Some(account) if !self.spec.dry_run => account.overrun(),
            _ => PageCount::ZERO,
        };
        if std::mem::replace(&mut self.told_overrun, overrun) != overrun {
            tracing::info!(event = "overrun", pages = overrun.get());
            self.tell_host(ctx, HostMessage::Overrun { worker: self.spec.id, pages: overrun });
        }
        if overrun.is_zero() {
            self.overrun_since = None;
            return;
        }
        let since = *self.overrun_since.get_or_insert(now);
        let needs = self.seen.report.map_or(PageCount::MAX, |(_, status)| status.demand);
        let has = self.account.as_ref().map_or(PageCount::ZERO, Account::pages);
        if now.saturating_sub(since) >= OVERRUN_PATIENCE && needs < has && self.held().is_none() {
            self.overrun_since = Some(now);
            self.with_account(ctx, Account::bring_back);
        }
    }
}

impl Component for Worker {
    fn wake(&mut self, _now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        // Most wakes are of a timer or a socket: what is looked at for nothing costs a thousand VMs as much as what is looked at.
        if cause.message || cause.started || cause.again {
            while let Some(message) = ctx.recv(&mut self.inbox) {
                self.message(ctx, message);
            }
            while let Some(order) = ctx.recv(&mut self.orders) {
                self.order(ctx, order);
            }
        }
        let now = self.now(ctx);
        if self.session.is_none() && now.run >= self.retry_at && !self.over {
            self.connect(ctx);
        }
        // Whatever has come has rung.
        let more = (cause.doorbell || cause.again) && self.read(ctx);
        if let Some(session) = &mut self.session {
            session.set_hurry(now, self.hurry);
            session.timer(now);
            self.happenings(ctx);
        }
        if !self.spec.dry_run {
            self.with_account(ctx, |account, out| account.timer(now.run, out));
        }
        if self.over {
            return NextWake::Stopped;
        }
        if more {
            return NextWake::Again;
        }
        let session = match &self.session {
            Some(session) => session.next_timeout(),
            None => Some(self.retry_at),
        };
        let account = self.account.as_ref().and_then(Account::next_timeout);
        let at = [session, account].into_iter().flatten().min();
        at.map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}
