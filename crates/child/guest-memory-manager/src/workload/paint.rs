//! MS Paint, the load program of \[A\]: memory grows with the canvas area.

use core::time::Duration;

use page_range::{PAGE_SIZE, PageCount};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::config::{BadWorkload, bad, positive_size, positive_time, seconds, share, variation};
use super::{Application, NextStep, Standing, Workload};
use crate::constants::{
    PAINT_ACTIVE_COPIES, PAINT_ASPECT, PAINT_BASE, PAINT_BUFFERS, PAINT_INTERVAL, PAINT_PIXEL, PAINT_STEP,
    PAINT_UNLOAD, PAINT_UNLOAD_STEPS, PAINT_VARIATION,
};
use crate::sampling;

/// How far the canvas is to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaintGoal {
    /// To this many pixels.
    Canvas {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// Until Paint has committed this much (a little less: canvases have whole pixels).
    Commit(PageCount),
    /// Until the whole guest, its operating system included and the balloon not, has committed this much.
    GuestCommit(PageCount),
}

/// How a person loads a guest with Paint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaintConfig {
    /// How far the canvas is to grow.
    pub goal: PaintGoal,
    /// Bytes per pixel.
    #[serde(default = "default_pixel")]
    pub bytes_per_pixel: u64,
    /// Copies of the canvas: the picture and its undo steps.
    #[serde(default = "default_buffers")]
    pub buffers: u64,
    /// Mean growth of one step.
    #[serde(default = "default_step")]
    pub step: PageCount,
    /// Mean time between two steps.
    #[serde(default = "default_interval", with = "seconds")]
    pub interval: Duration,
    /// Coefficient of variation of both.
    #[serde(default = "default_variation")]
    pub variation: f64,
    /// Unload by itself this long after the goal is reached; otherwise only when told.
    #[serde(default, with = "seconds::option")]
    pub hold: Option<Duration>,
    /// How long unloading takes.
    #[serde(default = "default_unload", with = "seconds")]
    pub unload_time: Duration,
    /// Share of the commit that Paint keeps touching.
    #[serde(default = "default_active")]
    pub active_share: f64,
}

fn default_pixel() -> u64 {
    PAINT_PIXEL.whole()
}
fn default_buffers() -> u64 {
    PAINT_BUFFERS.whole()
}
fn default_step() -> PageCount {
    PAINT_STEP.pages()
}
fn default_interval() -> Duration {
    PAINT_INTERVAL.duration()
}
fn default_variation() -> f64 {
    PAINT_VARIATION.value
}
fn default_unload() -> Duration {
    PAINT_UNLOAD.duration()
}
fn default_active() -> f64 {
    PAINT_ACTIVE_COPIES.value / PAINT_BUFFERS.value
}

impl PaintConfig {
    /// The usual person and program, loading up to `goal`.
    #[must_use]
    pub fn new(goal: PaintGoal) -> Self {
        Self {
            goal,
            bytes_per_pixel: default_pixel(),
            buffers: default_buffers(),
            step: default_step(),
            interval: default_interval(),
            variation: default_variation(),
            hold: None,
            unload_time: default_unload(),
            active_share: default_active(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        match self.goal {
            PaintGoal::Canvas { width, height } => {
                let most = 1 << 24;
                if !(1..=most).contains(&width) || !(1..=most).contains(&height) {
                    return Err(bad(
                        "goal",
                        format!("{width} x {height} is no canvas: 1 to {most} each are allowed"),
                    ));
                }
            }
            PaintGoal::Commit(pages) => {
                if pages < PAINT_BASE.pages() {
                    let base = PAINT_BASE.pages();
                    return Err(bad(
                        "goal",
                        format!("{pages} is less than Paint needs without a picture, {base}"),
                    ));
                }
            }
            PaintGoal::GuestCommit(pages) => positive_size("goal", pages)?,
        }
        if !(1..=16).contains(&self.bytes_per_pixel) {
            return Err(bad("bytes_per_pixel", format!("{}: 1 to 16 are allowed", self.bytes_per_pixel)));
        }
        if !(1..=64).contains(&self.buffers) {
            return Err(bad("buffers", format!("{}: 1 to 64 are allowed", self.buffers)));
        }
        positive_size("step", self.step)?;
        positive_time("interval", self.interval)?;
        variation("variation", self.variation)?;
        positive_time("unload_time", self.unload_time)?;
        share("active_share", self.active_share)
    }

    /// Bytes for one pixel of the canvas, all copies together.
    fn bytes_of_pixel(&self) -> u64 {
        self.bytes_per_pixel * self.buffers
    }

    /// Commit of Paint with a canvas.
    fn commit_of(&self, canvas: Canvas) -> PageCount {
        let bytes = canvas.pixels().saturating_mul(self.bytes_of_pixel());
        PAINT_BASE.pages().saturating_add(PageCount(bytes.div_ceil(PAGE_SIZE)))
    }

    /// The largest canvas within a commit.
    fn canvas_within(&self, commit: PageCount) -> Canvas {
        let bytes = commit.saturating_sub(PAINT_BASE.pages()).bytes();
        Canvas::of_pixels(bytes / self.bytes_of_pixel())
    }
}

/// A canvas, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Canvas {
    width: u64,
    height: u64,
}

impl Canvas {
    fn pixels(self) -> u64 {
        self.width.saturating_mul(self.height)
    }

    /// The canvas of the usual shape with at most so many pixels.
    fn of_pixels(pixels: u64) -> Self {
        let height = libm::sqrt(pixels as f64 / PAINT_ASPECT.value) as u64;
        let width = pixels.checked_div(height).unwrap_or(0);
        Self { width, height }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Growing,
    /// Reached, or refused memory: the picture stays as it is.
    Holding,
    /// Closing one picture after the other.
    Unloading {
        pictures: u64,
    },
    Closed,
}

/// A person and MS Paint.
#[derive(Debug)]
pub struct Paint {
    config: PaintConfig,
    rng: Pcg64,
    canvas: Canvas,
    doing: Doing,
    unload: bool,
    /// Growth that the person would have made while the machine did not react.
    missed: PageCount,
    /// When memory was refused: from then on the picture stays as it is.
    refused_at: Option<Duration>,
}

impl Paint {
    /// Paint with an empty canvas.
    #[must_use]
    pub fn new(config: PaintConfig, rng: Pcg64) -> Self {
        Self {
            config,
            rng,
            canvas: Canvas::default(),
            doing: Doing::Growing,
            unload: false,
            missed: PageCount::ZERO,
            refused_at: None,
        }
    }

    fn goal(&self, others_committed: PageCount) -> Canvas {
        match self.config.goal {
            PaintGoal::Canvas { width, height } => Canvas { width, height },
            PaintGoal::Commit(commit) => self.config.canvas_within(commit),
            PaintGoal::GuestCommit(commit) => {
                self.config.canvas_within(commit.saturating_sub(others_committed))
            }
        }
    }

    fn grow(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        let config = &self.config;
        let next = now + sampling::varied_time(&mut self.rng, config.interval, config.variation);
        // A machine that pages does not react: the person waits.
        if application.is_stalled() {
            self.missed = self.missed.saturating_add(config.step);
            return NextStep::At(next);
        }
        if application.report().commit.is_zero() && application.allocate(PAINT_BASE.pages()).is_err() {
            self.refused_at = Some(now);
            return self.hold(now);
        }
        let goal = self.goal(application.others_committed());
        let bytes = sampling::varied(&mut self.rng, self.config.step.bytes() as f64, self.config.variation);
        let pixels = self.canvas.pixels() + (bytes as u64 / self.config.bytes_of_pixel()).max(1);
        let reached = pixels >= goal.pixels();
        let canvas = if reached { goal } else { Canvas::of_pixels(pixels) };
        // The guest's own fluctuation may have used up what was left of its goal: the picture is not made smaller.
        if canvas.pixels() > self.canvas.pixels() {
            if application.resize(self.config.commit_of(canvas)).is_err() {
                self.refused_at = Some(now);
                return self.hold(now);
            }
            self.canvas = canvas;
            application.set_active_share(self.config.active_share);
        }
        if reached { self.hold(now) } else { NextStep::At(next) }
    }

    fn hold(&mut self, now: Duration) -> NextStep {
        self.doing = Doing::Holding;
        self.config.hold.map_or(NextStep::Finished, |hold| {
            self.unload = true;
            NextStep::At(now + hold)
        })
    }

    /// Close one of so many pictures of equal size; with the last one the program ends.
    fn close(&mut self, now: Duration, pictures: u64, application: &mut Application<'_>) -> NextStep {
        let commit = application.report().commit;
        application.release(PageCount(commit.get().div_ceil(pictures.max(1))));
        application.set_active_share(self.config.active_share);
        if pictures <= 1 {
            self.doing = Doing::Closed;
            self.canvas = Canvas::default();
            return NextStep::Finished;
        }
        self.doing = Doing::Unloading { pictures: pictures - 1 };
        NextStep::At(now + self.config.unload_time.div_f64(PAINT_UNLOAD_STEPS.value))
    }
}

impl Workload for Paint {
    fn name(&self) -> &'static str {
        "paint"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        if core::mem::take(&mut self.unload) && !matches!(self.doing, Doing::Unloading { .. } | Doing::Closed)
        {
            self.doing = Doing::Unloading { pictures: PAINT_UNLOAD_STEPS.whole() };
        }
        match self.doing {
            Doing::Growing => self.grow(now, application),
            Doing::Holding | Doing::Closed => NextStep::Finished,
            Doing::Unloading { pictures } => self.close(now, pictures, application),
        }
    }

    fn unload(&mut self, _now: Duration) {
        self.unload = true;
    }

    /// The picture as it would be had the machine always reacted and nothing been refused: steps that were not made count with
    /// their mean size, as often as the person makes them.
    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        let since = match (self.doing, self.refused_at) {
            (Doing::Growing, _) => Duration::ZERO,
            (Doing::Holding, Some(at)) => now.saturating_sub(at) + self.config.interval,
            _ => return standing.commit,
        };
        let steps = since.as_secs_f64() / self.config.interval.as_secs_f64();
        let refused = PageCount((steps * self.config.step.get() as f64) as u64);
        let most = self.config.commit_of(self.goal(standing.others_committed));
        let wanted = standing.commit.saturating_add(self.missed).saturating_add(refused);
        wanted.min(most.max(standing.commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_from_the_canvas() {
        let config = PaintConfig::new(PaintGoal::Canvas { width: 1024, height: 1024 });
        let commit = config.commit_of(Canvas { width: 1024, height: 1024 });
        // 1 Mi pixels of 4 bytes, 4 copies.
        assert_eq!(commit, PAINT_BASE.pages() + PageCount::from_mib(16));
        let canvas = config.canvas_within(PageCount::from_mib(3300));
        let lost = PageCount::from_mib(3300) - config.commit_of(canvas);
        assert!(lost < PageCount::from_mib(1), "{lost}");
        assert!(canvas.width > canvas.height);
    }

    #[test]
    fn a_canvas_of_nothing_is_empty() {
        assert_eq!(Canvas::of_pixels(0), Canvas::default());
        assert_eq!(Canvas::of_pixels(1).pixels(), 0);
    }

    #[test]
    fn bad_configurations_are_named_by_key() {
        let good = PaintConfig::new(PaintGoal::Commit(PageCount::from_mib(100)));
        assert_eq!(good.validate(), Ok(()));
        let key = |config: PaintConfig| config.validate().unwrap_err().key;
        assert_eq!(key(PaintConfig { buffers: 0, ..good.clone() }), "buffers");
        assert_eq!(key(PaintConfig { bytes_per_pixel: 0, ..good.clone() }), "bytes_per_pixel");
        assert_eq!(key(PaintConfig { step: PageCount::ZERO, ..good.clone() }), "step");
        assert_eq!(key(PaintConfig { interval: Duration::ZERO, ..good.clone() }), "interval");
        assert_eq!(key(PaintConfig { variation: f64::NAN, ..good.clone() }), "variation");
        assert_eq!(key(PaintConfig { active_share: 1.5, ..good.clone() }), "active_share");
        assert_eq!(
            key(PaintConfig { goal: PaintGoal::Canvas { width: 0, height: 1 }, ..good.clone() }),
            "goal"
        );
        assert_eq!(key(PaintConfig { goal: PaintGoal::Commit(PageCount(1)), ..good }), "goal");
    }
}
