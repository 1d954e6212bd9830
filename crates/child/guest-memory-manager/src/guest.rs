//! A whole guest: memory manager, boot, services, applications.

use core::time::Duration;

use page_range::{GuestPage, GuestRange, PageCount};
use rand_pcg::Pcg64;
use serde::Serialize;

use crate::constants::{BOOT_STEP, NOISE_CORRELATION, NOISE_CUT, NOISE_INTERVAL};
use crate::host_paging::HostPaging;
use crate::manager::{
    BalloonAllocation, CommitFailed, Counters, DiskIo, HotAddRefused, Inconsistency, MemoryManager,
    NoLockablePages, PageFileSize, ProcessId, ProcessReport,
};
use crate::profile::{GuestProfile, IntegrationServices, NoDynamicMemory};
use crate::sampling;
use crate::workload::{Application, NextStep, Standing, Workload};

/// No workload runs more often than this, whatever time it asks for.
const SHORTEST_STEP: Duration = Duration::from_millis(1);

/// What a guest is made of.
#[derive(Clone, Debug)]
pub struct GuestConfig {
    /// The operating system.
    pub profile: GuestProfile,
    /// Its integration services.
    pub services: IntegrationServices,
    /// RAM at start: the VM's startup RAM.
    pub ram: Vec<GuestRange>,
    /// The page file.
    pub page_file: PageFileSize,
}

/// How far a guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BootPhase {
    /// Loading; no driver of the VMBus yet.
    Loading,
    /// The integration services run, if there are any.
    Services,
    /// The login screen is shown: the VM counts as started (\[A\] 3.2.1).
    Login,
    /// The kernel did not fit into the memory it was given.
    Failed,
}

/// Names an application of one guest. Never used again in that guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ApplicationId(u32);

/// Something that happened in a guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum GuestEvent {
    /// The integration services run. Not reported by a guest without them.
    IntegrationServicesReady,
    /// Dynamic Memory will not work in this guest.
    NoDynamicMemory {
        /// Why.
        reason: NoDynamicMemory,
    },
    /// The login screen is shown.
    Login,
    /// The operating system cannot start in the memory it was given.
    BootFailed {
        /// What the kernel needs at least.
        needed: PageCount,
    },
    /// An application begins.
    ApplicationStarted {
        /// Which.
        application: ApplicationId,
        /// Name of its workload.
        workload: &'static str,
    },
    /// The guest refused an application memory: the commit limit is reached.
    CommitFailed {
        /// Which.
        application: ApplicationId,
        /// What it asked for.
        requested: PageCount,
        /// What was left below the commit limit.
        left: PageCount,
    },
    /// The application has done what it was to do; what it holds it keeps.
    ApplicationFinished {
        /// Which.
        application: ApplicationId,
        /// What it holds.
        commit: PageCount,
    },
}

/// Where an application stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApplicationReport {
    /// Name of its workload.
    pub workload: &'static str,
    /// Its process.
    pub process: ProcessReport,
    /// The largest commit it ever had.
    pub peak: PageCount,
    /// How often it was refused memory.
    pub commit_failures: u64,
    /// Whether it has finished.
    pub finished: bool,
}

#[derive(Debug)]
struct Running {
    id: ApplicationId,
    process: ProcessId,
    workload: Box<dyn Workload>,
    next: NextStep,
    started: bool,
    peak: PageCount,
    commit_failures: u64,
}

/// Commit of the services around its mean.
#[derive(Debug)]
struct Noise {
    rng: Pcg64,
    /// Current deviation, in standard deviations.
    level: f64,
    /// Current deviation that is part of the services' commit, in pages.
    applied: i64,
    next: Duration,
}

/// A guest that is switched on.
///
/// All times are of the same clock; [`Guest::tick`] must be called when the time comes that it returned, may be called
/// earlier, and catches up if called late. Calls that change the guest return nothing about time: ask
/// [`Guest::next_timeout`] afterwards.
#[derive(Debug)]
pub struct Guest {
    memory: MemoryManager,
    integration_services: IntegrationServices,
    phase: BootPhase,
    switched_on: Duration,
    /// What of its memory the host has put into a file, and the time that this has cost.
    host_paging: HostPaging,
    next_boot_step: Option<Duration>,
    kernel: ProcessId,
    services: ProcessId,
    noise: Noise,
    applications: Vec<Running>,
    next_application: u32,
}

impl Guest {
    /// Switch a guest on at `now`. The random numbers are for the fluctuation of its services' commit.
    #[must_use]
    pub fn new(config: &GuestConfig, now: Duration, rng: Pcg64) -> Self {
        let mut memory = MemoryManager::new(config.profile, &config.ram, config.page_file, now);
        let kernel = memory.start_process(false);
        let services = memory.start_process(false);
        Self {
            memory,
            integration_services: config.services,
            phase: BootPhase::Loading,
            switched_on: now,
            host_paging: HostPaging::default(),
            next_boot_step: Some(now),
            kernel,
            services,
            noise: Noise { rng, level: 0.0, applied: 0, next: Duration::MAX },
            applications: Vec::new(),
            next_application: 0,
        }
    }

    /// How far the boot is.
    #[must_use]
    pub const fn phase(&self) -> BootPhase {
        self.phase
    }

    /// Whether the drivers of the integration services run now, the VMBus among them.
    #[must_use]
    pub fn integration_services_run(&self) -> bool {
        matches!(self.phase, BootPhase::Services | BootPhase::Login)
            && self.integration_services != IntegrationServices::Missing
    }

    /// Whether Dynamic Memory works in this guest.
    ///
    /// # Errors
    /// Why it does not: the guest runs at its startup RAM.
    pub const fn dynamic_memory(&self) -> Result<(), NoDynamicMemory> {
        self.memory.profile().dynamic_memory(self.integration_services)
    }

    /// The memory manager, to look at.
    #[must_use]
    pub const fn memory(&self) -> &MemoryManager {
        &self.memory
    }

    /// The guest's counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.memory.counters()
    }

    /// The commit that the guest would have, its balloon not counted, had nothing been refused and no application waited: what
    /// all of it is there to do. At least what is committed and what was refused and is still wanted.
    #[must_use]
    pub fn wanted(&self) -> PageCount {
        let own = self.memory.committed().saturating_sub(self.memory.ballooned());
        let mut wanted = own.saturating_add(self.memory.refused());
        for running in self.applications.iter().filter(|running| running.started) {
            let commit = self.memory.process(running.process).unwrap_or_default().commit;
            let standing = Standing { commit, others_committed: own.saturating_sub(commit) };
            let more = running.workload.wanted(self.memory.now(), standing).saturating_sub(commit);
            wanted = wanted.saturating_add(more.saturating_sub(self.memory.refused_to(running.process)));
        }
        wanted
    }

    /// Whether an application has begun: the guest has shown its login screen, and does what it is there for.
    #[must_use]
    pub fn works(&self) -> bool {
        self.applications.iter().any(|running| running.started)
    }

    /// So much of the guest's memory is in a file of the host from now on. A guest never learns this; it is slow.
    pub fn paged_by_host(&mut self, now: Duration, pages: PageCount) {
        self.memory.advance(now);
        self.wait_for_host(now);
        self.host_paging.set(now, pages);
    }

    /// The time that the guest has lost waiting for what the host has put into a file.
    #[must_use]
    pub const fn lost_to_host(&self) -> Duration {
        self.host_paging.lost()
    }

    /// An agent in the guest has taken this much of the applications' time.
    pub(crate) fn taken_by_agent(&mut self, now: Duration, time: Duration) {
        self.memory.advance(now);
        if self.applications.iter().any(|running| running.started) {
            self.memory.lost(time);
        }
    }

    /// What the guest needs of what the host has put into a file costs it time.
    fn wait_for_host(&mut self, now: Duration) {
        if self.host_paging.is_nothing() {
            return;
        }
        let active: PageCount = self.memory.active();
        let lost = self.host_paging.advance(now, self.memory.in_use(), self.memory.has(), active);
        if self.applications.iter().any(|running| running.started) {
            self.memory.stalled(lost);
        }
    }

    /// Check every invariant of the model.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.memory.check()
    }

    /// Let the guest run until `now`: boot, services, applications, paging. What happened is appended to `events`.
    /// Returns when to call again at the latest; `None` if nothing will happen by itself.
    pub fn tick(&mut self, now: Duration, events: &mut Vec<GuestEvent>) -> Option<Duration> {
        while let Some(time) = self.next_timeout().filter(|&time| time <= now) {
            self.memory.advance(time);
            self.wait_for_host(time);
            self.step_boot(time, events);
            self.step_noise(time);
            self.step_applications(time, events);
        }
        self.memory.advance(now);
        self.next_timeout()
    }

    /// When [`Guest::tick`] must be called at the latest; `None` if nothing will happen by itself.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.phase == BootPhase::Failed {
            return None;
        }
        [self.memory.next_timeout(), self.next_step()].into_iter().flatten().min()
    }

    /// Whether [`Guest::next_timeout`] is earlier than when the memory manager's was `before`, nothing else than the memory
    /// manager having changed since.
    #[must_use]
    pub fn is_due_earlier(&self, before: Option<Duration>) -> bool {
        let earlier = |time: Duration, than: Option<Duration>| than.is_none_or(|than| time < than);
        self.memory.next_timeout().is_some_and(|due| {
            earlier(due, before) && self.phase != BootPhase::Failed && earlier(due, self.next_step())
        })
    }

    /// When something other than the memory manager has something to do.
    fn next_step(&self) -> Option<Duration> {
        let noise = (self.noise.next != Duration::MAX).then_some(self.noise.next);
        let applications = self.applications.iter().filter_map(|running| match running.next {
            NextStep::At(time) => Some(time),
            NextStep::Finished => None,
        });
        let applications = applications.min().filter(|_| self.phase == BootPhase::Login);
        [self.next_boot_step, noise, applications].into_iter().flatten().min()
    }

    /// Start a workload in a process of its own: now, or at the login screen if the guest still boots.
    pub fn start_application(&mut self, now: Duration, workload: Box<dyn Workload>) -> ApplicationId {
        self.memory.advance(now);
        let id = ApplicationId(self.next_application);
        self.next_application += 1;
        let process = self.memory.start_process(true);
        let next = NextStep::At(now.max(self.memory.now()));
        let (started, peak, commit_failures) = (false, PageCount::ZERO, 0);
        self.applications.push(Running { id, process, workload, next, started, peak, commit_failures });
        id
    }

    /// End an application and free its memory. Returns where it stood; `None` if there is no such application.
    pub fn end_application(&mut self, now: Duration, id: ApplicationId) -> Option<ApplicationReport> {
        self.memory.advance(now);
        let report = self.application(id)?;
        let at = self.applications.iter().position(|running| running.id == id)?;
        let running = self.applications.remove(at);
        self.memory.end_process(running.process);
        Some(report)
    }

    /// Tell an application to give back what it holds, in its own way: Paint closes its pictures one by one. Returns
    /// whether there is such an application.
    pub fn unload_application(&mut self, now: Duration, id: ApplicationId) -> bool {
        self.memory.advance(now);
        let now = self.memory.now();
        let Some(running) = self.applications.iter_mut().find(|running| running.id == id) else {
            return false;
        };
        running.workload.unload(now);
        running.next = NextStep::At(now);
        true
    }

    /// The applications, in the order of their start.
    pub fn applications(&self) -> impl Iterator<Item = ApplicationId> {
        self.applications.iter().map(|running| running.id)
    }

    /// Where an application stands.
    #[must_use]
    pub fn application(&self, id: ApplicationId) -> Option<ApplicationReport> {
        let running = self.applications.iter().find(|running| running.id == id)?;
        Some(ApplicationReport {
            workload: running.workload.name(),
            process: self.memory.process(running.process).unwrap_or_default(),
            peak: running.peak,
            commit_failures: running.commit_failures,
            finished: running.next == NextStep::Finished,
        })
    }

    /// See [`MemoryManager::allocate_balloon`]; the floor is that of the profile.
    pub fn allocate_balloon(&mut self, now: Duration, want: PageCount) -> BalloonAllocation {
        self.memory.advance(now);
        let floor = self.memory.balloon_floor();
        self.memory.allocate_balloon(want, floor)
    }

    /// See [`MemoryManager::free_balloon`].
    pub fn free_balloon(&mut self, now: Duration, ranges: &[GuestRange]) -> PageCount {
        self.memory.advance(now);
        self.memory.free_balloon(ranges)
    }

    /// See [`MemoryManager::hot_add`].
    ///
    /// # Errors
    /// Why none was accepted.
    pub fn hot_add(&mut self, now: Duration, range: GuestRange) -> Result<PageCount, HotAddRefused> {
        self.memory.advance(now);
        self.memory.hot_add(range)
    }

    /// See [`MemoryManager::allocate_locked`].
    ///
    /// # Errors
    /// If there are not that many.
    pub fn allocate_locked(
        &mut self,
        now: Duration,
        pages: PageCount,
    ) -> Result<Vec<GuestPage>, NoLockablePages> {
        self.memory.advance(now);
        self.memory.allocate_locked(pages)
    }

    /// See [`MemoryManager::use_disk`].
    pub fn use_disk(&mut self) {
        self.memory.use_disk();
    }

    /// See [`MemoryManager::next_disk_io`].
    pub fn next_disk_io(&mut self) -> Option<DiskIo> {
        self.memory.next_disk_io()
    }

    /// See [`MemoryManager::disk_io_done`].
    pub fn disk_io_done(&mut self, now: Duration, id: u64, is_good: bool) {
        self.memory.advance(now);
        self.memory.disk_io_done(id, is_good);
    }

    /// See [`MemoryManager::free_locked`].
    pub fn free_locked(&mut self, now: Duration, pages: &[GuestPage]) -> PageCount {
        self.memory.advance(now);
        self.memory.free_locked(pages)
    }

    /// One step of booting: the kernel's nonpaged memory first, then services until the login screen.
    fn step_boot(&mut self, now: Duration, events: &mut Vec<GuestEvent>) {
        if self.next_boot_step.is_none_or(|due| due > now) {
            return;
        }
        let profile = *self.memory.profile();
        let (nonpaged, all) = (profile.family().footprint.nonpaged.pages(), profile.idle_commit());
        let elapsed = now.saturating_sub(self.switched_on).saturating_sub(self.host_paging.lost());
        let (services, login) = (profile.boot_to_services(), profile.boot_to_login());

        let kernel = self.memory.process(self.kernel).unwrap_or_default().commit;
        if kernel.is_zero() && self.memory.allocate_nonpaged(self.kernel, nonpaged).is_err() {
            self.phase = BootPhase::Failed;
            self.next_boot_step = None;
            events.push(GuestEvent::BootFailed { needed: nonpaged });
            return;
        }
        let progress = (elapsed.as_secs_f64() / login.as_secs_f64()).min(1.0);
        let goal = PageCount((all.saturating_sub(nonpaged).get() as f64 * progress) as u64);
        self.resize_services(goal);

        if self.phase == BootPhase::Loading && elapsed >= services {
            self.phase = BootPhase::Services;
            self.memory.start_file_cache();
            if self.integration_services != IntegrationServices::Missing {
                events.push(GuestEvent::IntegrationServicesReady);
            }
            if let Err(reason) = self.dynamic_memory() {
                events.push(GuestEvent::NoDynamicMemory { reason });
            }
        }
        if elapsed >= login {
            self.phase = BootPhase::Login;
            self.next_boot_step = None;
            self.noise.next = now + NOISE_INTERVAL.duration();
            events.push(GuestEvent::Login);
        } else {
            let begun = self.switched_on + self.host_paging.lost();
            let stops = [now + BOOT_STEP.duration(), begun + services, begun + login];
            self.next_boot_step = stops.into_iter().filter(|&stop| stop > now).min();
        }
    }

    /// The services' commit moves a little around its mean.
    fn step_noise(&mut self, now: Duration) {
        if self.noise.next > now {
            return;
        }
        self.noise.next = now + NOISE_INTERVAL.duration();
        let kept = NOISE_CORRELATION.value;
        let fresh = libm::sqrt(1.0 - kept * kept) * sampling::normal(&mut self.noise.rng);
        self.noise.level = (kept * self.noise.level + fresh).clamp(-NOISE_CUT.value, NOISE_CUT.value);
        let pages = (self.noise.level * self.memory.profile().noise_sigma_pages()) as i64;
        let commit = self.memory.process(self.services).unwrap_or_default().commit;
        let goal = commit.get().saturating_add_signed(pages - self.noise.applied);
        if self.resize_services(PageCount(goal)) {
            self.noise.applied = pages;
        }
    }

    /// Bring the services' commit to `goal`. Returns whether there was memory for it.
    fn resize_services(&mut self, goal: PageCount) -> bool {
        let commit = self.memory.process(self.services).unwrap_or_default().commit;
        let more = goal.saturating_sub(commit);
        if !more.is_zero() && self.memory.allocate(self.services, more).is_err() {
            return false;
        }
        let less = commit.saturating_sub(goal);
        if !less.is_zero() {
            self.memory.release(self.services, less);
        }
        let active = goal.get() as f64 * self.memory.profile().services_active();
        self.memory.set_active(self.services, PageCount(active as u64));
        true
    }

    fn step_applications(&mut self, now: Duration, events: &mut Vec<GuestEvent>) {
        if self.phase != BootPhase::Login {
            return;
        }
        for running in &mut self.applications {
            let NextStep::At(due) = running.next else { continue };
            if due > now {
                continue;
            }
            let id = running.id;
            if !core::mem::replace(&mut running.started, true) {
                events.push(GuestEvent::ApplicationStarted {
                    application: id,
                    workload: running.workload.name(),
                });
            }
            let mut failed: Option<CommitFailed> = None;
            let mut application = Application::new(&mut self.memory, running.process, &mut failed);
            running.next = match running.workload.run(now, &mut application) {
                NextStep::At(time) => NextStep::At(time.max(now + SHORTEST_STEP)),
                NextStep::Finished => NextStep::Finished,
            };
            let commit = self.memory.process(running.process).unwrap_or_default().commit;
            running.peak = running.peak.max(commit);
            if let Some(CommitFailed { requested, left }) = failed {
                running.commit_failures += 1;
                events.push(GuestEvent::CommitFailed { application: id, requested, left });
            }
            if running.next == NextStep::Finished {
                self.memory.withdraw(running.process);
                events.push(GuestEvent::ApplicationFinished { application: id, commit });
            }
        }
    }
}

#[cfg(test)]
mod tests;
