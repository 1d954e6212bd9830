//! Configuration of workloads, and making them from it.

use core::time::Duration;
use std::sync::Arc;

use page_range::PageCount;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{
    Bursts, BurstsConfig, Idle, Leak, LeakConfig, Paint, PaintConfig, Playback, PlaybackConfig, Program,
    ProgramConfig, Ramp, RampConfig, Sawtooth, SawtoothConfig, Server, ServerConfig, Step, StepConfig,
    Workload,
};
use crate::trace::Trace;

/// A workload that cannot be made as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct BadWorkload {
    /// The key of the configuration that is wrong.
    pub key: &'static str,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

/// Which workload, and how. Sizes are in pages, times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkloadConfig {
    /// Does nothing.
    Idle,
    /// MS Paint: a canvas that a person enlarges.
    Paint(PaintConfig),
    /// A size, and from some time on another size.
    Step(StepConfig),
    /// From one size evenly to another.
    Ramp(RampConfig),
    /// Up and down for ever.
    Sawtooth(SawtoothConfig),
    /// Allocates and never gives back.
    Leak(LeakConfig),
    /// Takes all it can get.
    Server(ServerConfig),
    /// Short needs of random size at random times.
    Bursts(BurstsConfig),
    /// Follows a recorded VM.
    Trace(PlaybackConfig),
    /// Does what is written down, second by second: keeps, reads files, looks at what it has.
    Program(ProgramConfig),
}

impl WorkloadConfig {
    /// Check the configuration as far as that is possible without a trace.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn validate(&self) -> Result<(), BadWorkload> {
        match self {
            Self::Idle => Ok(()),
            Self::Paint(config) => config.validate(),
            Self::Step(config) => share("active_share", config.active_share),
            Self::Ramp(config) => config.validate(),
            Self::Sawtooth(config) => config.validate(),
            Self::Leak(config) => config.validate(),
            Self::Server(config) => config.validate(),
            Self::Bursts(config) => config.validate(),
            Self::Trace(config) => config.validate(),
            Self::Program(config) => config.validate(),
        }
    }

    /// Make the workload. A trace is needed for [`WorkloadConfig::Trace`] only.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn build(&self, rng: Pcg64, trace: Option<&Trace>) -> Result<Box<dyn Workload>, BadWorkload> {
        self.validate()?;
        Ok(match self {
            Self::Idle => Box::new(Idle::default()),
            Self::Paint(config) => Box::new(Paint::new(config.clone(), rng)),
            Self::Step(config) => Box::new(Step::new(config.clone())),
            Self::Ramp(config) => Box::new(Ramp::new(config.clone())),
            Self::Sawtooth(config) => Box::new(Sawtooth::new(config.clone())),
            Self::Leak(config) => Box::new(Leak::new(config.clone())),
            Self::Server(config) => Box::new(Server::new(config.clone())),
            Self::Bursts(config) => Box::new(Bursts::new(config.clone(), rng)),
            Self::Trace(config) => {
                let Some(trace) = trace else {
                    return Err(bad("trace", "a workload of this kind needs a trace file".to_owned()));
                };
                let Some(vm) = trace.vm(&config.vm) else {
                    let known: Vec<&str> = trace.vms().map(|(name, _)| name).take(8).collect();
                    let problem = format!(
                        "the trace has no VM {:?}; it has {}, for example",
                        config.vm,
                        known.join(", ")
                    );
                    return Err(bad("vm", problem));
                };
                Box::new(Playback::new(config.clone(), Arc::clone(vm)))
            }
            Self::Program(config) => Box::new(Program::new(config.clone())),
        })
    }
}

pub(super) const fn bad(key: &'static str, problem: String) -> BadWorkload {
    BadWorkload { key, problem }
}

pub(super) fn positive_time(key: &'static str, time: Duration) -> Result<(), BadWorkload> {
    if time.is_zero() { Err(bad(key, "must be longer than 0 s".to_owned())) } else { Ok(()) }
}

pub(super) fn positive_size(key: &'static str, pages: PageCount) -> Result<(), BadWorkload> {
    if pages.is_zero() { Err(bad(key, "must be more than 0 MB".to_owned())) } else { Ok(()) }
}

pub(super) fn share(key: &'static str, value: f64) -> Result<(), BadWorkload> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(bad(key, format!("{value} is not a share: from 0 to 1 is allowed")))
    }
}

pub(super) fn variation(key: &'static str, value: f64) -> Result<(), BadWorkload> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(bad(key, format!("{value} is not a coefficient of variation: from 0 to 1 is allowed")))
    }
}

/// Times in configuration are seconds, with fractions.
pub mod seconds {
    use core::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Write a time as seconds.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    /// Read a time as seconds.
    ///
    /// # Errors
    /// If it is no number, negative, or too large.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|error| D::Error::custom(format_args!("{seconds} seconds: {error}")))
    }

    /// The same for a time that may be left out.
    pub mod option {
        use super::{Deserialize, Deserializer, Duration, Error, Serializer};

        /// Write a time as seconds, or nothing.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => serializer.serialize_some(&time.as_secs_f64()),
                None => serializer.serialize_none(),
            }
        }

        /// Read a time as seconds, or nothing.
        ///
        /// # Errors
        /// If it is no number, negative, or too large.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            let Some(seconds) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
            Duration::try_from_secs_f64(seconds)
                .map(Some)
                .map_err(|error| D::Error::custom(format_args!("{seconds} seconds: {error}")))
        }
    }
}
