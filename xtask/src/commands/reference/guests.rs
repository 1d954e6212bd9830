//! The page of the guests that a scenario file can name, from their profiles.

use std::fmt::Write as _;

use guest_memory_manager::{GuestProfile, IntegrationServices, profiles};

use super::cell;

/// The page.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Guests\n\nWhat a scenario file's `guest` can be: a key, or the full name. A key without its end is enough where only one guest has it.\n\n\
         *Dynamic Memory* says whether the guest can use it with current integration services; *needs an update* that those it comes\n\
         with are too old. A guest that cannot use it runs at its startup RAM. *Proposes* are the\n\
         versions of Dynamic Memory that the guest's driver proposes, in this order; a host that speaks none of them (`dynamic_memory_versions`)\n\
         refuses it, and the guest keeps its startup RAM. *Idle* is what the guest has committed when nothing runs in it.\n\n\
         *Hot-add in* is the granule that the guest's driver names: for Windows 2 MB (invented), for Linux 128 MB (real kernels\n\
         since 2024 name their memory block, which is larger in guests of 64 GB and more). Of Linux there are two drivers: `linux-x64` as in kernels\n\
         up to 6.12, which walks down to older versions of Dynamic Memory, and `linux-dm2-x64` as in one later source that was read, which proposes\n\
         2.0 only; with which release that began is not known here. `linux-measured-x64` is the guest that real ones are held against\n\
         ([Validation](../validation.md)): its numbers are measured, and its kernel's memory is no part of what it reports as committed.\n\n\
         | key | guest | Dynamic Memory | proposes | processors | idle | hot-add in |\n|---|---|---|---|---|---|---|\n",
    );
    for profile in profiles() {
        let dynamic = match profile.dynamic_memory(IntegrationServices::Current) {
            Ok(()) if profile.needs_updated_services() => "yes; needs an update".to_owned(),
            Ok(()) => "yes".to_owned(),
            Err(why) => {
                let why = why.to_string();
                format!("no: {}", why.split(';').next().unwrap_or(&why))
            }
        };
        let processors: Vec<String> = profile.virtual_processors().iter().map(ToString::to_string).collect();
        // Writing to a String does not fail.
        let _: std::fmt::Result = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} MB | {} MB |",
            profile.key(),
            cell(&profile.to_string()),
            cell(&dynamic),
            proposals(profile),
            processors.join(", "),
            profile.idle_commit().whole_mib(),
            profile.hot_add_granule().whole_mib()
        );
    }
    page
}

/// The versions that a guest's driver proposes, if it has one.
fn proposals(profile: &GuestProfile) -> String {
    if profile.dynamic_memory(IntegrationServices::Current).is_err() {
        return "–".to_owned();
    }
    let versions: Vec<String> = profile.dm_versions().iter().map(ToString::to_string).collect();
    versions.join(", ")
}
