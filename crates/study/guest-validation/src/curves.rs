//! What host and driver said once a second, and the file that keeps it.

use std::fmt::Write as _;

/// A quantity that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// What the driver reports as committed: programs, balloon, balloon floor.
    Committed,
    /// What the driver reports as available.
    Available,
    /// What the host takes for the guest's demand.
    Demand,
    /// What the guest is assigned.
    Assigned,
    /// What the guest has read of its files since the load began: those that it has disks.
    FileReads,
    /// What it has read from its swap since then.
    PageIns,
    /// What it has written to its swap since then.
    PageOuts,
}

impl Curve {
    /// All of them, in the order of the file's columns.
    pub const ALL: [Self; 7] = [
        Self::Committed,
        Self::Available,
        Self::Demand,
        Self::Assigned,
        Self::FileReads,
        Self::PageIns,
        Self::PageOuts,
    ];
    /// Those of a load whose guests have no disks: the first so many.
    pub(crate) const WITHOUT_DISKS: usize = 4;

    /// Whether it adds up from the load's beginning on.
    #[must_use]
    pub const fn adds_up(self) -> bool {
        matches!(self, Self::FileReads | Self::PageIns | Self::PageOuts)
    }

    /// Its name, as in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Available => "available",
            Self::Demand => "demand",
            Self::Assigned => "assigned",
            Self::FileReads => "file_reads",
            Self::PageIns => "page_ins",
            Self::PageOuts => "page_outs",
        }
    }
}

/// The curves of one guest, MiB, once a second from the load's beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VmCurves {
    /// In the order of [`Curve::ALL`].
    values: [Vec<f64>; Curve::ALL.len()],
    /// How long each hot-add took, from the request to the answer, seconds.
    pub hot_adds: Vec<f64>,
}

impl VmCurves {
    /// One of them; empty if the load's guests have no disks, and it is of disks.
    #[must_use]
    pub fn get(&self, curve: Curve) -> &[f64] {
        &self.values[curve as usize]
    }

    /// Those that there are.
    pub fn there(&self) -> impl Iterator<Item = Curve> + use<> {
        let without = self.get(Curve::FileReads).is_empty();
        Curve::ALL.into_iter().take(if without { Curve::WITHOUT_DISKS } else { Curve::ALL.len() })
    }

    /// Another second: values of all curves, or of those that need no disks.
    pub(crate) fn push(&mut self, values: &[f64]) {
        for (curve, &value) in self.values.iter_mut().zip(values) {
            curve.push(value);
        }
    }
}

/// The curves of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// What they are of: kernel, machine, date; name and value.
    pub about: Vec<(String, String)>,
    /// The guests, in the order of the load.
    pub vms: Vec<VmCurves>,
}

/// What is wrong with a file of curves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct CurvesError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub problem: String,
}

/// Rows at most: a load is minutes long.
const MOST_ROWS: usize = 3600;
/// Guests at most.
const MOST_VMS: usize = 16;
/// Begins a line about all of it.
const ABOUT: &str = "# ";
const HOT_ADDS: &str = "hot_adds_s";

impl Curves {
    /// How many seconds there are.
    #[must_use]
    pub fn seconds(&self) -> usize {
        self.vms.iter().map(|vm| vm.get(Curve::Assigned).len()).min().unwrap_or(0)
    }

    /// As a file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.about {
            text.push_str(&format!("{ABOUT}{name}: {}\n", value.replace('\n', " ")));
        }
        for (place, vm) in self.vms.iter().enumerate() {
            let times: Vec<String> = vm.hot_adds.iter().map(|time| format!("{time:.3}")).collect();
            text.push_str(&format!("{ABOUT}vm{} {HOT_ADDS}: {}\n", place + 1, times.join(" ")));
        }
        text.push_str("second");
        for (place, vm) in self.vms.iter().enumerate() {
            for curve in vm.there() {
                text.push_str(&format!(",vm{}_{}_mb", place + 1, curve.name()));
            }
        }
        text.push('\n');
        for second in 0..self.seconds() {
            text.push_str(&second.to_string());
            for value in self.vms.iter().flat_map(|vm| vm.values.iter().filter_map(|of| of.get(second))) {
                // Writing to a String does not fail.
                let _: std::fmt::Result = write!(text, ",{value:.1}");
            }
            text.push('\n');
        }
        text
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// The first line that is not as it should be.
    pub fn from_text(text: &str) -> Result<Self, CurvesError> {
        let mut curves = Self::default();
        let mut hot_adds: Vec<Vec<f64>> = Vec::new();
        let mut head: Option<Vec<usize>> = None;
        for (index, line) in text.lines().enumerate() {
            let bad = |problem: String| CurvesError { line: index + 1, problem };
            if let Some(about) = line.strip_prefix(ABOUT) {
                let (name, value) = about
                    .split_once(':')
                    .ok_or_else(|| bad(format!("{line:?}: expected `# name: value`")))?;
                let value = value.trim();
                if name.ends_with(HOT_ADDS) {
                    let times = value.split_whitespace().map(|word| number(word).map_err(bad));
                    hot_adds.push(times.collect::<Result<_, _>>()?);
                } else {
                    curves.about.push((name.to_owned(), value.to_owned()));
                }
            } else if let Some(columns) = &head {
                curves.row(line, columns).map_err(bad)?;
            } else {
                let columns = columns_of(line).map_err(bad)?;
                curves.vms = vec![VmCurves::default(); columns.len()];
                head = Some(columns);
            }
        }
        for (vm, times) in curves.vms.iter_mut().zip(hot_adds) {
            vm.hot_adds = times;
        }
        if curves.seconds() == 0 {
            let line = text.lines().count().max(1);
            return Err(CurvesError { line, problem: "there is no row of curves".to_owned() });
        }
        Ok(curves)
    }

    fn row(&mut self, line: &str, columns_of_vms: &[usize]) -> Result<(), String> {
        let words: Vec<&str> = line.split(',').collect();
        let due = self.seconds();
        let columns: usize = columns_of_vms.iter().sum();
        if words.len() != columns + 1 {
            return Err(format!("it has {} fields, and the head has {}", words.len(), columns + 1));
        }
        if words[0] != due.to_string() || due >= MOST_ROWS {
            return Err(format!("second {:?}: expected {due}, and at most {MOST_ROWS} seconds", words[0]));
        }
        let values: Vec<f64> = words[1..].iter().map(|word| number(word)).collect::<Result<_, _>>()?;
        let mut rest = values.as_slice();
        for (vm, &columns) in self.vms.iter_mut().zip(columns_of_vms) {
            let (own, others) = rest.split_at(columns.min(rest.len()));
            vm.push(own);
            rest = others;
        }
        Ok(())
    }
}

/// How many columns of values a head has for each guest.
fn columns_of(line: &str) -> Result<Vec<usize>, String> {
    let mut rest = line.strip_prefix("second").unwrap_or_default();
    let mut columns = Vec::new();
    while !rest.is_empty() && columns.len() < MOST_VMS {
        let place = columns.len() + 1;
        let names = |count: usize| -> String {
            Curve::ALL[..count].iter().map(|curve| format!(",vm{place}_{}_mb", curve.name())).collect()
        };
        let counts = [Curve::ALL.len(), Curve::WITHOUT_DISKS];
        let Some(count) = counts.into_iter().find(|&count| rest.starts_with(&names(count))) else { break };
        rest = &rest[names(count).len()..];
        columns.push(count);
    }
    if columns.is_empty() || !rest.is_empty() {
        let expected: Vec<String> =
            Curve::ALL.iter().map(|curve| format!("vm1_{}_mb", curve.name())).collect();
        return Err(format!(
            "this is no head of curves: expected `second,{}`, for 1 to {MOST_VMS} guests, the last {} of each with disks only",
            expected.join(","),
            Curve::ALL.len() - Curve::WITHOUT_DISKS
        ));
    }
    Ok(columns)
}

fn number(word: &str) -> Result<f64, String> {
    let number: Option<f64> = word.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("{word:?} is no amount: a number from 0 is expected"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn curves() -> Curves {
        let mut vm = VmCurves { hot_adds: vec![0.25, 0.125], ..VmCurves::default() };
        vm.push(&[160.5, 440.0, 160.5, 512.0]);
        vm.push(&[260.5, 340.0, 260.5, 640.0]);
        let mut with_disks = VmCurves::default();
        with_disks.push(&[160.5, 440.0, 160.5, 512.0, 0.0, 0.0, 0.0]);
        with_disks.push(&[260.5, 340.0, 260.5, 640.0, 10.0, 2.5, 4.0]);
        let about = vec![("kernel".to_owned(), "6.1.0".to_owned())];
        Curves { about, vms: vec![vm, with_disks] }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let text = curves().to_text();
        assert_eq!(Curves::from_text(&text), Ok(curves()));
        assert!(text.contains("\n1,260.5,340.0,260.5,640.0,260.5,"), "{text}");
        assert!(text.contains(",vm1_assigned_mb,vm2_committed_mb") && text.contains(",640.0,10.0,2.5,4.0\n"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let text = curves().to_text();
        for (from, to, line, word) in [
            ("kernel: 6.1.0", "kernel", 1, "name: value"),
            ("vm1_available_mb", "vm1_free_mb", 4, "no head"),
            ("0.250", "soon", 2, "no amount"),
            ("\n1,", "\n2,", 6, "expected 1"),
            ("260.5,640.0,10.0", "260.5,10.0", 6, "11 fields"),
            ("340.0", "-1", 6, "no amount"),
        ] {
            let error = Curves::from_text(&text.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(Curves::from_text("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_can_do_harm(noise: String, at in 0usize..400) {
            let _ = Curves::from_text(&noise);
            let mut text = curves().to_text();
            let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.insert_str(at, &noise);
            let _ = Curves::from_text(&text);
        }
    }
}
