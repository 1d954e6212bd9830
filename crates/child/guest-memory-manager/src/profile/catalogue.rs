//! The profiles themselves.
//!
//! Which guests support Dynamic Memory: Table 2-1 of \[A\] (documented). \[B\] and \[E\] name other editions in places; this catalogue follows
//! \[A\], the most detailed. Virtual processors: Table 1.3 of \[D\]
//! (documented); Windows Server 2008 R2 and Windows 7 are newer than \[D\] (inferred from their predecessors). Physical
//! limits: Microsoft, Memory Limits for Windows Releases (documented; those of 64 GB and more are beyond what a VM can have);
//! the x64 Web editions of Windows Server 2003, which that page does not list, as the x86 ones (inferred); Linux guests have
//! none that matters here.
//!
//! Guests since Windows 8 and Server 2012 (documented): Microsoft, *Supported Windows guest operating systems for Hyper-V on Windows*
//! (learn.microsoft.com, the stored text of April 2025) says how many processors each may have on hosts of 2012 and later, older guests among
//! them; those that it does not list any more (Windows 8, Vista, XP, Server 2003 and 2000) as in the table of 2008 or as their successors (inferred);
//! *Hyper-V Dynamic Memory Overview* (TechNet hh831766) names Pro and Enterprise of clients, so that Home has none (inferred), and Windows 10
//! and 11 are taken to be like 8.1 (inferred). Limits of the host's release come beside. Physical limits as above.
//!
//! Their versions of Dynamic Memory: 1.0 came with Windows 8 and Server 2012, 2.0 with Windows 10 and Server 2016 (documented: the names of
//! the versions in Linux' headers). That they walk down to older versions is inferred from Linux' driver.
//!
//! Versions of Dynamic Memory: older Windows guests have the driver of Windows Server 2008 R2 SP1, whose protocol is 0.3 (documented). Linux'
//! driver proposes 2.0, then 1.0, then 0.3 (documented: `balloon_connect_vsp` and `version_resp` of `drivers/hv/hv_balloon.c` up to
//! 6.12). A later one proposes 2.0 as its first and last attempt, and says why in a comment there: support of older Hyper-V versions
//! has been removed from Linux (documented; the release that brought it was not determined).

use model_constants::Constant;
use std::sync::LazyLock;

use page_range::PageCount;

use super::{
    Architecture::{self, X64, X86},
    DmVersion::{self, Win7, Win8, Win10},
    Edition, Family, Footprint, GuestProfile, Kernel, NoDynamicMemory, Support,
};
use crate::constants::{
    BOOT_LOGIN_LINUX, BOOT_LOGIN_NT5, BOOT_LOGIN_NT6, BOOT_LOGIN_NT62, BOOT_SERVICES_LINUX,
    BOOT_SERVICES_NT5, BOOT_SERVICES_NT6, BOOT_SERVICES_NT62, LINUX_CACHE, LINUX_COMMIT, LINUX_NONPAGED,
    NOISE_LARGE, NOISE_SMALL, NT5_CACHE, NT5_COMMIT, NT5_NONPAGED, VISTA_CACHE, VISTA_COMMIT, VISTA_NONPAGED,
    WINDOWS_7_CACHE, WINDOWS_7_COMMIT, WINDOWS_7_NONPAGED, WINDOWS_8_CACHE, WINDOWS_8_COMMIT,
    WINDOWS_8_NONPAGED, WINDOWS_10_CACHE, WINDOWS_10_COMMIT, WINDOWS_10_NONPAGED, WINDOWS_11_CACHE,
    WINDOWS_11_COMMIT, WINDOWS_11_NONPAGED, WS2003_CACHE, WS2003_COMMIT, WS2003_NONPAGED, WS2008_CACHE,
    WS2008_COMMIT, WS2008_NONPAGED, WS2008_R2_CACHE, WS2008_R2_COMMIT, WS2008_R2_NONPAGED, WS2012_CACHE,
    WS2012_COMMIT, WS2012_NONPAGED, WS2016_CACHE, WS2016_COMMIT, WS2016_NONPAGED, WS2022_CACHE,
    WS2022_COMMIT, WS2022_NONPAGED,
};
use crate::measured::{
    BOOT_LOGIN_LINUX_MEASURED, LINUX_MEASURED_CACHE, LINUX_MEASURED_COMMIT, LINUX_MEASURED_KEPT,
    LINUX_MEASURED_NOISE, LINUX_MEASURED_NONPAGED, LINUX_MEASURED_RESERVED,
};

const WS2008_R2: Footprint = Footprint {
    commit: &WS2008_R2_COMMIT,
    nonpaged: &WS2008_R2_NONPAGED,
    file_cache: &WS2008_R2_CACHE,
    noise: &NOISE_LARGE,
};
const WS2008: Footprint = Footprint {
    commit: &WS2008_COMMIT,
    nonpaged: &WS2008_NONPAGED,
    file_cache: &WS2008_CACHE,
    noise: &NOISE_LARGE,
};
const WS2003: Footprint = Footprint {
    commit: &WS2003_COMMIT,
    nonpaged: &WS2003_NONPAGED,
    file_cache: &WS2003_CACHE,
    noise: &NOISE_SMALL,
};
const WINDOWS_7: Footprint = Footprint {
    commit: &WINDOWS_7_COMMIT,
    nonpaged: &WINDOWS_7_NONPAGED,
    file_cache: &WINDOWS_7_CACHE,
    noise: &NOISE_LARGE,
};
const VISTA: Footprint = Footprint {
    commit: &VISTA_COMMIT,
    nonpaged: &VISTA_NONPAGED,
    file_cache: &VISTA_CACHE,
    noise: &NOISE_LARGE,
};
const NT5: Footprint =
    Footprint { commit: &NT5_COMMIT, nonpaged: &NT5_NONPAGED, file_cache: &NT5_CACHE, noise: &NOISE_SMALL };
const WS2012: Footprint = Footprint {
    commit: &WS2012_COMMIT,
    nonpaged: &WS2012_NONPAGED,
    file_cache: &WS2012_CACHE,
    noise: &NOISE_LARGE,
};
const WS2016: Footprint = Footprint {
    commit: &WS2016_COMMIT,
    nonpaged: &WS2016_NONPAGED,
    file_cache: &WS2016_CACHE,
    noise: &NOISE_LARGE,
};
const WS2022: Footprint = Footprint {
    commit: &WS2022_COMMIT,
    nonpaged: &WS2022_NONPAGED,
    file_cache: &WS2022_CACHE,
    noise: &NOISE_LARGE,
};
const WINDOWS_8: Footprint = Footprint {
    commit: &WINDOWS_8_COMMIT,
    nonpaged: &WINDOWS_8_NONPAGED,
    file_cache: &WINDOWS_8_CACHE,
    noise: &NOISE_LARGE,
};
const WINDOWS_10: Footprint = Footprint {
    commit: &WINDOWS_10_COMMIT,
    nonpaged: &WINDOWS_10_NONPAGED,
    file_cache: &WINDOWS_10_CACHE,
    noise: &NOISE_LARGE,
};
const WINDOWS_11: Footprint = Footprint {
    commit: &WINDOWS_11_COMMIT,
    nonpaged: &WINDOWS_11_NONPAGED,
    file_cache: &WINDOWS_11_CACHE,
    noise: &NOISE_LARGE,
};
const LINUX: Footprint = Footprint {
    commit: &LINUX_COMMIT,
    nonpaged: &LINUX_NONPAGED,
    file_cache: &LINUX_CACHE,
    noise: &NOISE_SMALL,
};

const LINUX_MEASURED: Footprint = Footprint {
    commit: &LINUX_MEASURED_COMMIT,
    nonpaged: &LINUX_MEASURED_NONPAGED,
    file_cache: &LINUX_MEASURED_CACHE,
    noise: &LINUX_MEASURED_NOISE,
};

const UP_TO_4: &[u32] = &[1, 2, 4];
const UP_TO_2: &[u32] = &[1, 2];
const ONE: &[u32] = &[1];
/// The Linux-like profile is newer than every table; it takes what a VM of the host can have.
const ANY_UP_TO_4: &[u32] = &[1, 2, 3, 4];
/// As many as any host's VM may have: kernels of distributions are built for thousands (inferred).
const LINUX_PROCESSORS: u32 = 2048;

const fn windows(
    product: &'static str,
    key: &'static str,
    service_pack: u8,
    footprint: Footprint,
    virtual_processors: (&'static [u32], u32),
    boot: (&'static Constant, &'static Constant),
) -> Family {
    Family {
        product,
        key,
        service_pack,
        kernel: Kernel::Windows,
        footprint,
        reserved: None,
        kept_available: None,
        login: boot.0,
        services: boot.1,
        virtual_processors: virtual_processors.0,
        most_processors: virtual_processors.1,
        second_generation: false,
        dm_versions: &[Win7],
    }
}

/// A guest since Windows 8 and Server 2012.
const fn later(
    product: &'static str,
    key: &'static str,
    footprint: Footprint,
    most_processors: u32,
    dm_versions: &'static [DmVersion],
) -> Family {
    Family {
        second_generation: true,
        dm_versions,
        ..windows(product, key, 0, footprint, (&[], most_processors), BOOT_62)
    }
}

const fn linux(
    product: &'static str,
    key: &'static str,
    virtual_processors: (&'static [u32], u32),
    second_generation: bool,
    dm_versions: &'static [DmVersion],
) -> Family {
    Family {
        product,
        key,
        service_pack: 0,
        kernel: Kernel::Linux,
        footprint: LINUX,
        reserved: None,
        kept_available: None,
        login: &BOOT_LOGIN_LINUX,
        services: &BOOT_SERVICES_LINUX,
        virtual_processors: virtual_processors.0,
        most_processors: virtual_processors.1,
        second_generation,
        dm_versions,
    }
}

const BOOT_62: (&Constant, &Constant) = (&BOOT_LOGIN_NT62, &BOOT_SERVICES_NT62);
const BOOT_6: (&Constant, &Constant) = (&BOOT_LOGIN_NT6, &BOOT_SERVICES_NT6);
const BOOT_5: (&Constant, &Constant) = (&BOOT_LOGIN_NT5, &BOOT_SERVICES_NT5);

static R2_SP1: Family =
    windows("Windows Server 2008 R2 SP1", "ws2008-r2-sp1", 1, WS2008_R2, (UP_TO_4, 64), BOOT_6);
static R2: Family = windows("Windows Server 2008 R2", "ws2008-r2", 0, WS2008_R2, (UP_TO_4, 64), BOOT_6);
static S2008_SP2: Family = windows("Windows Server 2008 SP2", "ws2008-sp2", 2, WS2008, (UP_TO_4, 8), BOOT_6);
static S2008_SP1: Family = windows("Windows Server 2008 SP1", "ws2008-sp1", 1, WS2008, (UP_TO_4, 8), BOOT_6);
static S2003_R2: Family =
    windows("Windows Server 2003 R2 SP2", "ws2003-r2-sp2", 2, WS2003, (UP_TO_2, 2), BOOT_5);
static S2003: Family = windows("Windows Server 2003 SP2", "ws2003-sp2", 2, WS2003, (UP_TO_2, 2), BOOT_5);
static SEVEN_SP1: Family = windows("Windows 7 SP1", "windows-7-sp1", 1, WINDOWS_7, (UP_TO_4, 4), BOOT_6);
static SEVEN: Family = windows("Windows 7", "windows-7", 0, WINDOWS_7, (UP_TO_4, 4), BOOT_6);
static VISTA_SP2: Family = windows("Windows Vista SP2", "windows-vista-sp2", 2, VISTA, (UP_TO_2, 2), BOOT_6);
static VISTA_SP1: Family = windows("Windows Vista SP1", "windows-vista-sp1", 1, VISTA, (UP_TO_2, 2), BOOT_6);
static S2000: Family = windows("Windows 2000 Server SP4", "w2000-server-sp4", 4, NT5, (ONE, 1), BOOT_5);
static XP_SP3: Family = windows("Windows XP SP3", "windows-xp-sp3", 3, NT5, (UP_TO_2, 2), BOOT_5);
static XP_SP2: Family = windows("Windows XP SP2", "windows-xp-sp2", 2, NT5, (ONE, 1), BOOT_5);
static XP64_SP2: Family = windows("Windows XP SP2", "windows-xp-sp2", 2, NT5, (UP_TO_2, 2), BOOT_5);
static S2012: Family = later("Windows Server 2012", "ws2012", WS2012, 64, &[Win8, Win7]);
static S2012_R2: Family = later("Windows Server 2012 R2", "ws2012-r2", WS2012, 64, &[Win8, Win7]);
static S2016: Family = later("Windows Server 2016", "ws2016", WS2016, 240, &[Win10, Win8, Win7]);
static S2019: Family = later("Windows Server 2019", "ws2019", WS2016, 240, &[Win10, Win8, Win7]);
static S2022: Family = later("Windows Server 2022", "ws2022", WS2022, 1024, &[Win10, Win8, Win7]);
static S2025: Family = later("Windows Server 2025", "ws2025", WS2022, 2048, &[Win10, Win8, Win7]);
static EIGHT: Family = later("Windows 8", "windows-8", WINDOWS_8, 32, &[Win8, Win7]);
static EIGHT_1: Family = later("Windows 8.1", "windows-8-1", WINDOWS_8, 32, &[Win8, Win7]);
static TEN: Family = later("Windows 10", "windows-10", WINDOWS_10, 32, &[Win10, Win8, Win7]);
static ELEVEN: Family = later("Windows 11", "windows-11", WINDOWS_11, 32, &[Win10, Win8, Win7]);
static SUSE_SP1: Family =
    linux("SUSE Linux Enterprise Server 10 SP1", "suse-10-sp1", (UP_TO_2, 2), false, &[Win7]);
static SUSE_SP2: Family =
    linux("SUSE Linux Enterprise Server 10 SP2", "suse-10-sp2", (UP_TO_2, 2), false, &[Win7]);
static LINUX_6: Family =
    linux("Linux (6.12-like)", "linux", (ANY_UP_TO_4, LINUX_PROCESSORS), true, &[Win10, Win8, Win7]);
static LINUX_LATER: Family = linux(
    "Linux (later, Dynamic Memory 2.0 only)",
    "linux-dm2",
    (ANY_UP_TO_4, LINUX_PROCESSORS),
    true,
    &[Win10],
);
static LINUX_OF_THE_RECORD: Family = Family {
    product: "Linux (Debian's cloud kernel 6.1 with nothing but an init, as measured)",
    footprint: LINUX_MEASURED,
    reserved: Some(&LINUX_MEASURED_RESERVED),
    kept_available: Some(&LINUX_MEASURED_KEPT),
    login: &BOOT_LOGIN_LINUX_MEASURED,
    ..linux("", "linux-measured", (ANY_UP_TO_4, LINUX_PROCESSORS), true, &[Win10, Win8, Win7])
};

const fn gib(n: u64) -> PageCount {
    PageCount::from_mib(n * 1024)
}

/// Editions of one family that are treated alike: edition with its physical limit on x64 and x86 (`None`: there is no
/// such edition for that architecture).
struct Row {
    family: &'static Family,
    support: Support,
    editions: &'static [(Edition, Option<PageCount>, Option<PageCount>)],
}

const UPDATED: Support = Support::Yes { updated_services: true, recommended_service_pack: None };
const UPDATED_SP1: Support = Support::Yes { updated_services: true, recommended_service_pack: Some(1) };
const BUILT_IN: Support = Support::Yes { updated_services: false, recommended_service_pack: None };
const WRONG_EDITION: Support = Support::No(NoDynamicMemory::EditionNotSupported);
const WRONG_PRODUCT: Support = Support::No(NoDynamicMemory::ProductNotSupported);

const fn needs_sp(minimum: u8) -> Support {
    Support::No(NoDynamicMemory::ServicePackMissing { minimum })
}

use Edition::{
    Advanced, Business, Datacenter, Enterprise, Home, Hpc, Only, Professional, Standard, Ultimate, Web,
};

static ROWS: &[Row] = &[
    Row {
        family: &R2_SP1,
        support: BUILT_IN,
        editions: &[
            (Web, Some(gib(32)), None),
            (Standard, Some(gib(32)), None),
            (Enterprise, Some(gib(2048)), None),
            (Datacenter, Some(gib(2048)), None),
        ],
    },
    Row {
        family: &R2,
        support: UPDATED_SP1,
        editions: &[(Enterprise, Some(gib(2048)), None), (Datacenter, Some(gib(2048)), None)],
    },
    Row {
        family: &R2,
        support: needs_sp(1),
        editions: &[(Web, Some(gib(32)), None), (Standard, Some(gib(32)), None)],
    },
    Row {
        family: &S2008_SP2,
        support: UPDATED,
        editions: &[
            (Web, Some(gib(32)), Some(gib(4))),
            (Standard, Some(gib(32)), Some(gib(4))),
            (Enterprise, Some(gib(1024)), Some(gib(64))),
            (Datacenter, Some(gib(1024)), Some(gib(64))),
        ],
    },
    Row {
        family: &S2008_SP1,
        support: needs_sp(2),
        editions: &[
            (Web, Some(gib(32)), Some(gib(4))),
            (Standard, Some(gib(32)), Some(gib(4))),
            (Enterprise, Some(gib(1024)), Some(gib(64))),
            (Datacenter, Some(gib(1024)), Some(gib(64))),
        ],
    },
    Row {
        // HPC Server 2008 is in Table 1.3 of [D] and in no list of guests with Dynamic Memory.
        family: &S2008_SP1,
        support: WRONG_EDITION,
        editions: &[(Hpc, Some(gib(128)), None)],
    },
    Row {
        family: &S2003_R2,
        support: UPDATED,
        editions: &[
            (Web, Some(gib(2)), Some(gib(2))),
            (Standard, Some(gib(32)), Some(gib(4))),
            (Enterprise, Some(gib(1024)), Some(gib(64))),
            (Datacenter, Some(gib(1024)), Some(gib(128))),
        ],
    },
    Row {
        family: &S2003,
        support: UPDATED,
        editions: &[
            (Web, Some(gib(2)), Some(gib(2))),
            (Standard, Some(gib(32)), Some(gib(4))),
            (Enterprise, Some(gib(1024)), Some(gib(64))),
            (Datacenter, Some(gib(1024)), Some(gib(128))),
        ],
    },
    Row {
        // With its Service Pack 1 the client has the driver of Windows Server 2008 R2 SP1, as that server has.
        family: &SEVEN_SP1,
        support: BUILT_IN,
        editions: &[(Enterprise, Some(gib(192)), Some(gib(4))), (Ultimate, Some(gib(192)), Some(gib(4)))],
    },
    Row {
        family: &SEVEN_SP1,
        support: WRONG_EDITION,
        editions: &[(Professional, Some(gib(192)), Some(gib(4))), (Home, Some(gib(16)), Some(gib(4)))],
    },
    Row {
        family: &SEVEN,
        support: UPDATED_SP1,
        editions: &[(Enterprise, Some(gib(192)), Some(gib(4))), (Ultimate, Some(gib(192)), Some(gib(4)))],
    },
    Row {
        family: &SEVEN,
        support: WRONG_EDITION,
        editions: &[(Professional, Some(gib(192)), Some(gib(4))), (Home, Some(gib(16)), Some(gib(4)))],
    },
    Row {
        family: &VISTA_SP2,
        support: UPDATED,
        editions: &[(Enterprise, Some(gib(128)), Some(gib(4))), (Ultimate, Some(gib(128)), Some(gib(4)))],
    },
    Row {
        family: &VISTA_SP2,
        support: WRONG_EDITION,
        editions: &[(Business, Some(gib(128)), Some(gib(4))), (Home, Some(gib(16)), Some(gib(4)))],
    },
    Row {
        family: &VISTA_SP1,
        support: needs_sp(2),
        editions: &[(Enterprise, Some(gib(128)), Some(gib(4))), (Ultimate, Some(gib(128)), Some(gib(4)))],
    },
    Row { family: &VISTA_SP1, support: WRONG_EDITION, editions: &[(Business, Some(gib(128)), Some(gib(4)))] },
    Row {
        family: &S2000,
        support: WRONG_PRODUCT,
        editions: &[(Only, None, Some(gib(4))), (Advanced, None, Some(gib(8)))],
    },
    Row { family: &XP_SP3, support: WRONG_PRODUCT, editions: &[(Professional, None, Some(gib(4)))] },
    Row { family: &XP_SP2, support: WRONG_PRODUCT, editions: &[(Professional, None, Some(gib(4)))] },
    Row { family: &XP64_SP2, support: WRONG_PRODUCT, editions: &[(Professional, Some(gib(128)), None)] },
    Row { family: &SUSE_SP1, support: WRONG_PRODUCT, editions: &[(Only, Some(gib(512)), Some(gib(64)))] },
    Row { family: &SUSE_SP2, support: WRONG_PRODUCT, editions: &[(Only, Some(gib(512)), Some(gib(64)))] },
    Row {
        family: &S2012,
        support: BUILT_IN,
        editions: &[(Standard, Some(gib(4096)), None), (Datacenter, Some(gib(4096)), None)],
    },
    Row {
        family: &S2012_R2,
        support: BUILT_IN,
        editions: &[(Standard, Some(gib(4096)), None), (Datacenter, Some(gib(4096)), None)],
    },
    Row {
        family: &S2016,
        support: BUILT_IN,
        editions: &[(Standard, Some(gib(24576)), None), (Datacenter, Some(gib(24576)), None)],
    },
    Row {
        family: &S2019,
        support: BUILT_IN,
        editions: &[(Standard, Some(gib(24576)), None), (Datacenter, Some(gib(24576)), None)],
    },
    Row {
        family: &S2022,
        support: BUILT_IN,
        editions: &[(Standard, Some(gib(49152)), None), (Datacenter, Some(gib(49152)), None)],
    },
    Row {
        family: &S2025,
        support: BUILT_IN,
        editions: &[(Standard, Some(gib(4194304)), None), (Datacenter, Some(gib(4194304)), None)],
    },
    Row {
        family: &EIGHT,
        support: BUILT_IN,
        editions: &[(Enterprise, Some(gib(512)), Some(gib(4))), (Professional, Some(gib(512)), Some(gib(4)))],
    },
    Row { family: &EIGHT, support: WRONG_EDITION, editions: &[(Home, Some(gib(128)), Some(gib(4)))] },
    Row {
        family: &EIGHT_1,
        support: BUILT_IN,
        editions: &[(Enterprise, Some(gib(512)), Some(gib(4))), (Professional, Some(gib(512)), Some(gib(4)))],
    },
    Row { family: &EIGHT_1, support: WRONG_EDITION, editions: &[(Home, Some(gib(128)), Some(gib(4)))] },
    Row {
        family: &TEN,
        support: BUILT_IN,
        editions: &[
            (Enterprise, Some(gib(6144)), Some(gib(4))),
            (Professional, Some(gib(2048)), Some(gib(4))),
        ],
    },
    Row { family: &TEN, support: WRONG_EDITION, editions: &[(Home, Some(gib(128)), Some(gib(4)))] },
    Row {
        family: &ELEVEN,
        support: BUILT_IN,
        editions: &[(Enterprise, Some(gib(6144)), None), (Professional, Some(gib(2048)), None)],
    },
    Row { family: &ELEVEN, support: WRONG_EDITION, editions: &[(Home, Some(gib(128)), None)] },
    Row { family: &LINUX_6, support: BUILT_IN, editions: &[(Only, Some(gib(4096)), None)] },
    Row { family: &LINUX_OF_THE_RECORD, support: BUILT_IN, editions: &[(Only, Some(gib(4096)), None)] },
    Row { family: &LINUX_LATER, support: BUILT_IN, editions: &[(Only, Some(gib(4096)), None)] },
];

static PROFILES: LazyLock<Vec<GuestProfile>> = LazyLock::new(|| {
    let all = ROWS.iter().flat_map(|row| {
        row.editions.iter().flat_map(|&(edition, x64, x86)| {
            let profile = |architecture: Architecture, limit: Option<PageCount>| {
                limit.map(|physical_limit| GuestProfile {
                    family: row.family,
                    edition,
                    architecture,
                    support: row.support,
                    physical_limit,
                    scale: (1.0, 1.0),
                })
            };
            [profile(X64, x64), profile(X86, x86)].into_iter().flatten()
        })
    });
    all.collect()
});

/// Every profile: first the guests of Table 2-1 of \[A\] with the editions and service packs that do not support Dynamic
/// Memory beside them, then the other guests that \[D\] lists, those since Windows 8 and Server 2012, and three Linux-like ones.
#[must_use]
pub fn profiles() -> &'static [GuestProfile] {
    &PROFILES
}
