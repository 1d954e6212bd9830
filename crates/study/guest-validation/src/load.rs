//! The loads: what the programs of each guest keep, second by second.

/// What a load is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The profile was chosen with it in view.
    Calibration,
    /// Nothing was chosen with it.
    Judgement,
}

/// One guest of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VmLoad {
    /// Startup RAM, MiB.
    pub startup: u64,
    /// Minimum RAM, MiB.
    pub minimum: u64,
    /// Maximum RAM, MiB.
    pub maximum: u64,
    /// What its programs keep: seconds and MiB, joined by straight lines, the last kept to the end. Guests are given no more than they can be
    /// given memory for in time.
    pub keeps: &'static [(u64, u64)],
}

/// A load of one or more guests on a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// How it is called.
    pub name: &'static str,
    /// What happens, as a sentence.
    pub what: &'static str,
    /// What it is for.
    pub purpose: Purpose,
    /// Memory of the host, MiB.
    pub host: u64,
    /// Its guests.
    pub vms: &'static [VmLoad],
    /// How long it is, seconds.
    pub length: u64,
}

const fn alone(keeps: &'static [(u64, u64)]) -> VmLoad {
    VmLoad { startup: 512, minimum: 256, maximum: 1280, keeps }
}

const fn of_two(keeps: &'static [(u64, u64)]) -> VmLoad {
    VmLoad { startup: 512, minimum: 256, maximum: 1024, keeps }
}

/// All loads. At most 20 MiB are taken in a second: an emulated processor on a busy computer can fill that, and 40 it could not.
pub const LOADS: &[Load] = &[
    Load {
        name: "steps",
        what: "One guest takes more in three steps, and gives back most of it.",
        purpose: Purpose::Calibration,
        host: 2048,
        vms: &[alone(&[(5, 0), (10, 100), (20, 100), (30, 300), (42, 300), (52, 500), (65, 500), (66, 150)])],
        length: 80,
    },
    Load {
        name: "ramp",
        what: "One guest grows slowly to what its host can give, keeps it, and gives all of it back.",
        purpose: Purpose::Judgement,
        host: 2048,
        vms: &[alone(&[(5, 0), (50, 675), (60, 675), (61, 0)])],
        length: 75,
    },
    Load {
        name: "waves",
        what: "One guest takes and gives back again and again.",
        purpose: Purpose::Judgement,
        host: 2048,
        vms: &[alone(&[
            (5, 40),
            (21, 360),
            (27, 360),
            (30, 40),
            (38, 40),
            (58, 440),
            (63, 440),
            (66, 80),
            (72, 80),
            (80, 240),
        ])],
        length: 90,
    },
    Load {
        name: "contention",
        what: "Two guests on a host that has not enough for both: the second takes what the first has to spare, and gives it back.",
        purpose: Purpose::Judgement,
        host: 1456,
        vms: &[of_two(&[(5, 0), (26, 420)]), of_two(&[(35, 0), (56, 420), (72, 420), (73, 0)])],
        length: 95,
    },
];

/// The load of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Load> {
    LOADS.iter().find(|load| load.name == name)
}

impl VmLoad {
    /// What is kept at a second, MiB.
    #[must_use]
    pub fn at(&self, second: u64) -> u64 {
        let after = self.keeps.partition_point(|&(at, _)| at <= second);
        match (after.checked_sub(1).and_then(|before| self.keeps.get(before)), self.keeps.get(after)) {
            (Some(&(from, low)), Some(&(to, high))) => {
                // Loads are MiB of one guest over minutes: nothing here is near the end of any number.
                let change = (high as i64 - low as i64) * (second - from) as i64 / (to - from) as i64;
                low.saturating_add_signed(change)
            }
            (Some(&(_, kept)), None) => kept,
            (None, Some(&(_, first))) => first,
            (None, None) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_in_order_and_no_faster_than_a_guest_can_fill() {
        for load in LOADS {
            assert_eq!(find(load.name), Some(load));
            for vm in load.vms {
                assert!(vm.keeps.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", load.name);
                for second in 0..load.length {
                    assert!(vm.at(second + 1) <= vm.at(second) + 20, "{} at {second} s", load.name);
                }
            }
        }
        assert!(LOADS.iter().any(|load| load.purpose == Purpose::Calibration));
        assert_eq!(find("steps").unwrap().vms[0].at(21), 120);
        assert_eq!(find("steps").unwrap().vms[0].at(1000), 150);
        assert_eq!((find("ramp").unwrap().vms[0].at(0), find("nothing")), (0, None));
    }
}
