//! What the administrator sets per VM: Table 2-2 of the verification guideline, and `Set-VMMemory`.

use core::ops::RangeInclusive;

use page_range::PageCount;

/// Memory settings of one VM.
///
/// Static memory is a VM with startup = minimum = maximum and [`dynamic`](Self::dynamic) unset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemorySettings {
    /// Whether Dynamic Memory is on. Without it the amount never changes.
    pub dynamic: bool,
    /// Startup RAM: assigned when the VM starts.
    pub startup: PageCount,
    /// Never less than this. In Windows Server 2008 R2 SP1 the same as startup; a setting of its own since 2012.
    pub minimum: PageCount,
    /// Maximum RAM: never more than this. May exceed the host's memory, being only a limit.
    pub maximum: PageCount,
    /// Memory buffer in percent of demand: what the VM should have on top of what it needs.
    pub buffer: u32,
    /// Memory weight (priority) 0–10000: the claim against other VMs when memory is short.
    pub weight: u32,
}

impl MemorySettings {
    /// Buffer of a VM whose settings do not name one, in percent (documented).
    pub const DEFAULT_BUFFER: u32 = 20;
    /// Weight of a VM whose settings do not name one (documented; "middle").
    pub const DEFAULT_WEIGHT: u32 = 5000;
    /// What a buffer may be, in percent (documented).
    pub const BUFFER_RANGE: RangeInclusive<u32> = 5..=2000;
    /// What a weight may be (documented).
    pub const WEIGHT_RANGE: RangeInclusive<u32> = 0..=10_000;
    /// Weight per step of PowerShell's `-Priority`, which runs 0–100 (documented).
    pub const WEIGHT_PER_PRIORITY: u32 = 100;

    /// A VM without Dynamic Memory.
    #[must_use]
    pub const fn fixed(memory: PageCount) -> Self {
        Self {
            dynamic: false,
            startup: memory,
            minimum: memory,
            maximum: memory,
            buffer: Self::DEFAULT_BUFFER,
            weight: Self::DEFAULT_WEIGHT,
        }
    }

    /// A VM with Dynamic Memory as in Windows Server 2008 R2 SP1, where the startup RAM is the minimum.
    #[must_use]
    pub const fn dynamic(startup: PageCount, maximum: PageCount) -> Self {
        Self { dynamic: true, maximum, ..Self::fixed(startup) }
    }

    /// The same with another minimum.
    #[must_use]
    pub const fn with_minimum(self, minimum: PageCount) -> Self {
        Self { minimum, ..self }
    }

    /// The same with another maximum.
    #[must_use]
    pub const fn with_maximum(self, maximum: PageCount) -> Self {
        Self { maximum, ..self }
    }

    /// The same with another buffer, in percent.
    #[must_use]
    pub const fn with_buffer(self, buffer: u32) -> Self {
        Self { buffer, ..self }
    }

    /// The same with another weight, 0–10000.
    #[must_use]
    pub const fn with_weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// Whether Hyper-V would accept these settings.
    ///
    /// # Errors
    /// The first setting that is wrong, its value, and what is allowed.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let outside = |setting, value: u32, allowed: RangeInclusive<u32>| SettingsError::OutOfRange {
            setting,
            value,
            lowest: *allowed.start(),
            highest: *allowed.end(),
        };
        if !Self::BUFFER_RANGE.contains(&self.buffer) {
            return Err(outside(Setting::Buffer, self.buffer, Self::BUFFER_RANGE));
        }
        if !Self::WEIGHT_RANGE.contains(&self.weight) {
            return Err(outside(Setting::Weight, self.weight, Self::WEIGHT_RANGE));
        }
        if self.minimum.is_zero() {
            return Err(SettingsError::NoMemory);
        }
        if self.minimum > self.startup {
            return Err(SettingsError::MinimumAboveStartup { minimum: self.minimum, startup: self.startup });
        }
        if self.startup > self.maximum {
            return Err(SettingsError::MaximumBelowStartup { maximum: self.maximum, startup: self.startup });
        }
        if !self.dynamic && (self.minimum != self.startup || self.maximum != self.startup) {
            return Err(SettingsError::StaticWithRange {
                minimum: self.minimum,
                startup: self.startup,
                maximum: self.maximum,
            });
        }
        Ok(())
    }

    /// Buffer as a fraction: 0.2 for 20 %.
    #[must_use]
    pub fn buffer_fraction(&self) -> f64 {
        f64::from(self.buffer) / 100.0
    }
}

/// A setting with a range of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// Memory buffer, in percent.
    Buffer,
    /// Memory weight.
    Weight,
}

impl core::fmt::Display for Setting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Buffer => "memory buffer (%)",
            Self::Weight => "memory weight",
        })
    }
}

/// Why settings are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Outside its range.
    #[error("{setting} is {value}: it must be {lowest} to {highest}")]
    OutOfRange {
        /// Which setting.
        setting: Setting,
        /// Its value.
        value: u32,
        /// The lowest that is allowed.
        lowest: u32,
        /// The highest that is allowed.
        highest: u32,
    },
    /// A VM needs memory.
    #[error("minimum RAM is 0: it must be above 0")]
    NoMemory,
    /// Minimum above startup.
    #[error("minimum RAM is {minimum}, above startup RAM {startup}: it must not be above")]
    MinimumAboveStartup {
        /// Minimum RAM.
        minimum: PageCount,
        /// Startup RAM.
        startup: PageCount,
    },
    /// Maximum below startup.
    #[error("maximum RAM is {maximum}, below startup RAM {startup}: it must not be below")]
    MaximumBelowStartup {
        /// Maximum RAM.
        maximum: PageCount,
        /// Startup RAM.
        startup: PageCount,
    },
    /// Static memory with a range.
    #[error(
        "memory is static, but minimum RAM {minimum}, startup RAM {startup} and maximum RAM {maximum} differ: they must be equal"
    )]
    StaticWithRange {
        /// Minimum RAM.
        minimum: PageCount,
        /// Startup RAM.
        startup: PageCount,
        /// Maximum RAM.
        maximum: PageCount,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: MemorySettings =
        MemorySettings::dynamic(PageCount::from_mib(512), PageCount::from_mib(4096));

    #[test]
    fn what_hyper_v_accepts() {
        assert_eq!(SETTINGS.validate(), Ok(()));
        assert_eq!(MemorySettings::fixed(PageCount::from_mib(4096)).validate(), Ok(()));
        for buffer in [5, 20, 2000] {
            assert_eq!(SETTINGS.with_buffer(buffer).validate(), Ok(()));
        }
        for weight in [0, 5000, 10_000] {
            assert_eq!(SETTINGS.with_weight(weight).validate(), Ok(()));
        }
        assert_eq!(SETTINGS.with_minimum(PageCount::from_mib(256)).validate(), Ok(()));
    }

    #[test]
    fn what_it_refuses_and_how_it_says_so() {
        let said = |settings: MemorySettings| settings.validate().unwrap_err().to_string();
        assert_eq!(said(SETTINGS.with_buffer(4)), "memory buffer (%) is 4: it must be 5 to 2000");
        assert_eq!(said(SETTINGS.with_weight(10_001)), "memory weight is 10001: it must be 0 to 10000");
        assert_eq!(
            said(SETTINGS.with_minimum(PageCount::from_mib(513))),
            "minimum RAM is 513 MB, above startup RAM 512 MB: it must not be above"
        );
        assert_eq!(
            said(MemorySettings { maximum: PageCount::from_mib(511), ..SETTINGS }),
            "maximum RAM is 511 MB, below startup RAM 512 MB: it must not be below"
        );
        assert!(said(MemorySettings { dynamic: false, ..SETTINGS }).starts_with("memory is static, but"));
        assert!(said(SETTINGS.with_minimum(PageCount::ZERO)).starts_with("minimum RAM is 0"));
    }
}
