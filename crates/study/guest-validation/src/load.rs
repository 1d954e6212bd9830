//! The loads: what the programs of each guest keep, second by second.

/// What a load is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The profile was chosen with it in view.
    Calibration,
    /// Nothing was chosen with it.
    Judgement,
}

/// Files that the programs of a guest read, from the first to the last and from the first again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLoad {
    /// The second from which on.
    pub from: u64,
    /// The second until which.
    pub until: u64,
    /// How much in a second, MiB.
    pub per_second: u64,
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
    /// What it can swap on, MiB; 0: it has no swap.
    pub swap: u64,
    /// When its programs look at what they keep, and at how much of it, from what they wrote first on: seconds and MiB.
    pub looks: &'static [(u64, u64)],
    /// Files on its disk, MiB; 0: it has no such disk.
    pub files: u64,
    /// When its programs read them.
    pub reads: &'static [FileLoad],
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

const fn vm(startup: u64, minimum: u64, maximum: u64, keeps: &'static [(u64, u64)]) -> VmLoad {
    VmLoad { startup, minimum, maximum, keeps, swap: 0, looks: &[], files: 0, reads: &[] }
}

const fn alone(keeps: &'static [(u64, u64)]) -> VmLoad {
    vm(512, 256, 1280, keeps)
}

const fn of_two(keeps: &'static [(u64, u64)]) -> VmLoad {
    vm(512, 256, 1024, keeps)
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
    Load {
        name: "files",
        what: "One guest of 512 MB reads 240 MB of files round and round, and then keeps so much that not all of them have room beside it.",
        purpose: Purpose::Calibration,
        host: 1024,
        vms: &[VmLoad {
            files: 240,
            reads: &[FileLoad { from: 5, until: 115, per_second: 8 }],
            ..vm(512, 512, 512, &[(60, 0), (80, 240), (95, 240), (96, 40)])
        }],
        length: 120,
    },
    Load {
        name: "files-more",
        what: "One guest of 384 MB reads 160 MB of files round and round, and twice keeps so much that not all of them have room beside it.",
        purpose: Purpose::Calibration,
        host: 1024,
        vms: &[VmLoad {
            files: 160,
            reads: &[FileLoad { from: 5, until: 115, per_second: 6 }],
            ..vm(
                384,
                384,
                384,
                &[(35, 0), (50, 200), (65, 200), (66, 50), (80, 50), (95, 230), (105, 230), (106, 0)],
            )
        }],
        length: 120,
    },
    Load {
        name: "files-late",
        what: "One guest of 448 MB reads 200 MB of files round and round, and twice keeps so much that not all of them have room beside it, each \
               time when it has come to another place of them.",
        purpose: Purpose::Judgement,
        host: 1024,
        vms: &[VmLoad {
            files: 200,
            reads: &[FileLoad { from: 5, until: 115, per_second: 8 }],
            ..vm(
                448,
                448,
                448,
                &[(30, 0), (45, 240), (70, 240), (71, 80), (85, 80), (97, 260), (104, 260), (105, 20)],
            )
        }],
        length: 120,
    },
    Load {
        name: "swap",
        what: "One guest of 256 MB keeps more than it has room for, and looks at what it wrote first.",
        purpose: Purpose::Calibration,
        host: 1024,
        vms: &[VmLoad {
            swap: 512,
            looks: &[(65, 16)],
            ..vm(256, 256, 256, &[(5, 0), (25, 160), (55, 250), (95, 250), (96, 60)])
        }],
        length: 110,
    },
    Load {
        name: "swap-more",
        what: "One guest of 256 MB keeps more than it has room for, later even more, and looks at more of what it wrote first.",
        purpose: Purpose::Judgement,
        host: 1024,
        vms: &[VmLoad {
            swap: 512,
            looks: &[(90, 32)],
            ..vm(256, 256, 256, &[(5, 0), (20, 150), (45, 230), (60, 230), (80, 270)])
        }],
        length: 130,
    },
    Load {
        name: "swap-large",
        what: "One guest of 384 MB keeps more than it has room for, gives half of it back and takes it again, and looks twice at what it wrote \
               first.",
        purpose: Purpose::Calibration,
        host: 1024,
        vms: &[VmLoad {
            swap: 512,
            looks: &[(65, 24), (105, 40)],
            ..vm(384, 384, 384, &[(5, 0), (25, 270), (50, 360), (75, 360), (76, 190), (92, 340), (120, 340)])
        }],
        length: 125,
    },
];

/// The load of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Load> {
    LOADS.iter().find(|load| load.name == name)
}

impl VmLoad {
    /// Whether it has disks.
    #[must_use]
    pub const fn has_disks(&self) -> bool {
        self.swap > 0 || self.files > 0
    }

    /// How much of its files is read in the second that begins here, MiB.
    #[must_use]
    pub fn reads_at(&self, second: u64) -> u64 {
        let reads = self.reads.iter().filter(|reads| (reads.from..reads.until).contains(&second));
        reads.map(|reads| reads.per_second).sum()
    }

    /// How much of what is kept is looked at in this second, MiB.
    #[must_use]
    pub fn looks_at(&self, second: u64) -> u64 {
        self.looks.iter().filter(|(at, _)| *at == second).map(|(_, much)| much).sum()
    }

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
        for vm in LOADS.iter().flat_map(|load| load.vms) {
            // What is looked at is kept by then, what is read is there to be read, and what is kept has room.
            assert!(vm.looks.iter().all(|&(at, much)| vm.swap > 0 && vm.at(at) >= much));
            assert!(vm.reads.iter().all(|reads| reads.from < reads.until && vm.files > 0));
            let most = vm.keeps.iter().map(|&(_, kept)| kept).max().unwrap_or(0);
            assert!(most + 64 < vm.maximum + vm.swap);
        }
        let files = find("files").unwrap().vms[0];
        assert_eq!((files.reads_at(4), files.reads_at(5), files.reads_at(115)), (0, 8, 0));
        let swap = find("swap").unwrap().vms[0];
        assert_eq!((swap.looks_at(65), swap.looks_at(66), swap.has_disks()), (16, 0, true));
        assert!(LOADS.iter().any(|load| load.purpose == Purpose::Calibration));
        assert_eq!(find("steps").unwrap().vms[0].at(21), 120);
        assert_eq!(find("steps").unwrap().vms[0].at(1000), 150);
        assert_eq!((find("ramp").unwrap().vms[0].at(0), find("nothing")), (0, None));
    }
}
