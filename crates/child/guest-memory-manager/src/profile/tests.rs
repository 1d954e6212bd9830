use super::*;

#[test]
fn keys_and_names_are_unique_and_lead_back() {
    let mut keys: Vec<String> = profiles().iter().map(GuestProfile::key).collect();
    for profile in profiles() {
        assert_eq!(find_profile(&profile.key()).unwrap(), profile);
        assert_eq!(find_profile(&profile.to_string().to_uppercase()).unwrap(), profile, "{profile}");
    }
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn short_names_prefer_what_the_guideline_used() {
    assert_eq!(find_profile("ws2008-r2-sp1").unwrap().key(), "ws2008-r2-sp1-enterprise-x64");
    assert_eq!(find_profile("Windows Server 2003 R2 SP2").unwrap().key(), "ws2003-r2-sp2-enterprise-x64");
    let named_as_in_the_guideline = find_profile("Windows Server 2003 R2 Enterprise SP2").unwrap();
    assert_eq!(named_as_in_the_guideline.key(), "ws2003-r2-sp2-enterprise-x64");
    let named_as_in_the_guideline = find_profile("Windows Server 2008 R2 Enterprise SP1").unwrap();
    assert_eq!(named_as_in_the_guideline.key(), "ws2008-r2-sp1-enterprise-x64");
    assert_eq!(find_profile("ws2003-r2-sp2-x86").unwrap().key(), "ws2003-r2-sp2-enterprise-x86");
    assert_eq!(find_profile("windows-7-ultimate").unwrap().key(), "windows-7-ultimate-x64");
    assert_eq!(find_profile("linux").unwrap().key(), "linux-x64");
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let error = find_profile("ws2008r2sp1-entreprise-x64").unwrap_err();
    assert_eq!(error.nearest, "ws2008-r2-sp1-enterprise-x64");
    assert!(error.to_string().contains("entreprise"));
    for wrong in
        ["ws2008-r2-sp1-web-datacenter", "ws2008-r2-sp1-enterprise-x86", "windows", "windows-7-sp1-web"]
    {
        assert!(find_profile(wrong).is_err(), "{wrong}");
    }
    assert!(!find_profile("").unwrap_err().nearest.is_empty());
}

/// Table 2-1 of \[A\], written out: product, editions, x64, x86, needs updated integration services.
#[test]
fn dynamic_memory_support_is_table_2_1() {
    type Row = (&'static str, &'static [&'static str], bool, bool, bool);
    const TABLE: &[Row] = &[
        ("ws2008-r2-sp1", &["web", "standard"], true, false, false),
        ("ws2008-r2", &["enterprise", "datacenter"], true, false, true),
        ("ws2008-sp2", &["web", "standard", "enterprise", "datacenter"], true, true, true),
        ("ws2003-r2-sp2", &["web", "standard", "enterprise", "datacenter"], true, true, true),
        ("ws2003-sp2", &["web", "standard", "enterprise", "datacenter"], true, true, true),
        ("windows-7", &["enterprise", "ultimate"], true, true, true),
        ("windows-vista-sp2", &["enterprise", "ultimate"], true, true, true),
    ];
    for &(product, editions, x64, x86, updated) in TABLE {
        for edition in editions {
            for (there, architecture) in [(x64, "x64"), (x86, "x86")] {
                let found = find_profile(&format!("{product}-{edition}-{architecture}"));
                assert_eq!(found.is_ok(), there, "{product} {edition} {architecture}");
                let Ok(profile) = found else { continue };
                assert_eq!(profile.dynamic_memory(IntegrationServices::Current), Ok(()));
                assert_eq!(profile.needs_updated_services(), updated);
                let outdated = profile.dynamic_memory(IntegrationServices::Outdated);
                assert_eq!(outdated.is_err(), updated, "{profile}");
                assert_eq!(
                    profile.dynamic_memory(IntegrationServices::Missing),
                    Err(NoDynamicMemory::IntegrationServicesMissing)
                );
            }
        }
    }
    assert_eq!(find_profile("ws2008-r2-enterprise").unwrap().recommended_service_pack(), Some(1));
    assert_eq!(find_profile("windows-7-ultimate").unwrap().recommended_service_pack(), Some(1));
}

#[test]
fn other_editions_and_guests_run_at_startup_and_say_why() {
    let reason = |key| find_profile(key).unwrap().dynamic_memory(IntegrationServices::Current).unwrap_err();
    assert_eq!(reason("ws2008-r2-standard"), NoDynamicMemory::ServicePackMissing { minimum: 1 });
    assert_eq!(reason("windows-7-professional"), NoDynamicMemory::EditionNotSupported);
    assert_eq!(reason("windows-vista-sp1-enterprise"), NoDynamicMemory::ServicePackMissing { minimum: 2 });
    for key in
        ["w2000-server-sp4", "windows-xp-sp3-professional", "windows-xp-sp2", "suse-10-sp1", "suse-10-sp2"]
    {
        assert_eq!(reason(key), NoDynamicMemory::ProductNotSupported);
    }
    assert!(reason("windows-xp-sp3-professional").to_string().contains("startup RAM"));
}

/// Table 1.3 of \[D\].
#[test]
fn virtual_processors_are_those_of_the_limits_table() {
    let supported = |key| find_profile(key).unwrap().virtual_processors();
    assert_eq!(supported("ws2008-sp2-standard-x86"), [1, 2, 4]);
    assert_eq!(supported("ws2003-sp2"), [1, 2]);
    assert_eq!(supported("ws2003-r2-sp2"), [1, 2]);
    assert_eq!(supported("w2000-server-sp4"), [1]);
    assert_eq!(supported("windows-vista-sp1-enterprise"), [1, 2]);
    // Named as [D] names them: Windows Vista has Business where other clients have Professional.
    assert_eq!(supported("windows-vista-sp1-business"), [1, 2]);
    assert_eq!(supported("windows-xp-sp2-professional-x64"), [1, 2]);
    assert_eq!(supported("windows-xp-sp2-professional-x86"), [1]);
    assert_eq!(supported("windows-xp-sp3-professional"), [1, 2]);
    assert_eq!(supported("suse-10-sp2"), [1, 2]);
}

#[test]
fn linux_floor_follows_the_drivers_formula() {
    let linux = find_profile("linux").unwrap();
    for (total, floor) in [
        (64, 40),
        (128, 72),
        (256, 104),
        (512, 168),
        (1024, 232),
        (2048, 360),
        (4096, 488),
        (8192, 744),
        (16384, 1000),
        (32768, 1512),
        (65536, 2536),
    ] {
        let visible = PageCount::from_mib(total);
        assert_eq!(linux.balloon_floor(visible, PageCount::ZERO), PageCount::from_mib(floor));
    }
    let ballooned = PageCount::from_mib(3072);
    assert_eq!(linux.balloon_floor(PageCount::from_mib(4096), ballooned), PageCount::from_mib(232));
    assert_eq!(linux.hot_add_alignment(), 7);
}

#[test]
fn windows_floor_is_bounded() {
    let windows = find_profile("ws2008-r2-sp1").unwrap();
    let floor = |mib| windows.balloon_floor(PageCount::from_mib(mib), PageCount::ZERO);
    assert_eq!(floor(128), WINDOWS_FLOOR_MIN.pages());
    assert_eq!(floor(2048), PageCount::from_mib(64));
    assert_eq!(floor(65536), WINDOWS_FLOOR_MAX.pages());
    assert_eq!(windows.hot_add_alignment(), 1);
}

#[test]
fn drivers_walk_down_from_their_newest_version_or_have_one_attempt() {
    use DmVersion::{Win7, Win8, Win10};
    let proposes = |key| find_profile(key).unwrap().dm_versions();
    assert_eq!(proposes("ws2008-r2-sp1"), [Win7]);
    assert_eq!(proposes("linux"), [Win10, Win8, Win7]);
    assert_eq!(proposes("linux-dm2"), [Win10]);
    for profile in profiles() {
        assert!(profile.dm_versions().is_sorted_by(|newer, older| newer > older), "{profile}");
        assert!(!profile.dm_versions().is_empty(), "{profile}");
    }
}
