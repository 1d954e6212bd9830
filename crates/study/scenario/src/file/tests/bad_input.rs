//! Every kind of bad input, with the message that a user gets.

use proptest::prelude::*;

use super::*;

mod hosts;
mod keys;
mod loads;
mod timeline;
mod vms;

/// Reads a text that must be refused, and compares what is said with what is expected, word for word.
fn refused(text: &str, expected: &str) {
    let policies = ["hyperv", "esx", "static"].map(str::to_owned).to_vec();
    let options = LoadOptions { policies, ..LoadOptions::default() };
    let said = match parse("bad.toml", text, &options) {
        Ok(_) => panic!("this is accepted:\n{text}"),
        Err(bad) => bad.to_string(),
    };
    assert_eq!(said.trim_end(), expected.trim(), "\n--- said:\n{said}\n--- expected:\n{expected}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let options = LoadOptions::default();
    let said = |path: &Path| load(path, &options).unwrap_err().to_string();
    let missing = said(Path::new("no/such/file.toml"));
    assert!(missing.starts_with("error: the scenario file cannot be read: "), "{missing}");
    assert!(missing.contains("\n--> no/such/file.toml"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"title = \"caf\xe9\"").unwrap();
    assert!(said(&path).starts_with("error: the scenario file cannot be read: byte 12 is not UTF-8 text\n"));
}

#[test]
fn a_scenario_that_there_is_not() {
    let said = find("multi-vms", &LoadOptions::default()).unwrap_err().to_string();
    assert!(said.starts_with("error: there is no scenario \"multi-vms\"\n"), "{said}");
    assert!(said.contains("= allowed: exhaustion, exhaustion-reserve-2048, max-vms-dynamic, "), "{said}");
    assert!(said.contains("= help: did you mean `multi-vm`?"), "{said}");
}

#[test]
fn a_broken_trace_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("broken.csv");
    std::fs::write(&trace, "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n1,0,2097152,lots,1\n").unwrap();
    let text = "until = \"10m\"\nhost = { memory = \"32GB\" }\n[trace]\nfile = \"broken.csv\"\n\
                [[vm]]\nname = \"VM1\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n";
    let bad = parse(folder.path().join("s.toml"), text, &LoadOptions::default()).unwrap_err();
    let [diagnostic] = &bad.diagnostics[..] else { panic!("{bad}") };
    assert!(diagnostic.message.contains("broken.csv:2, column mem_used_kb: \"lots\" is not"), "{bad}");
    assert_eq!(diagnostic.place.as_ref().map(|place| place.line), Some(4));
    assert_eq!(diagnostic.key.as_deref(), Some("file"));
}

#[test]
fn a_broken_trace_is_said_once_for_each_line_and_nothing_follows_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("loads.csv");
    let header = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n";
    let text = include_str!("../../../../../../scenarios/loads/trace.toml");
    let said = |rows: &str, fill_gaps: bool| {
        std::fs::write(&trace, format!("{header}{rows}")).unwrap();
        let options = LoadOptions { trace: Some(trace.clone()), fill_gaps, ..LoadOptions::default() };
        parse("trace.toml", text, &options).map(drop)
    };
    let bad = said("1,0,0,4,1\n1,300,2097152,lots,1\n", false).unwrap_err();
    let places: Vec<_> = bad.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(places[0].contains("loads.csv:2:") && places[1].contains("loads.csv:3,"), "{places:?}");
    let gap = "1,0,2097152,4,1\n1,300,2097152,4,1\n1,600,2097152,4,1\n1,3600,2097152,4,1\n";
    let bad = said(gap, false).unwrap_err().to_string();
    assert!(bad.contains("loads.csv:5,") && bad.contains("--fill-gaps"), "{bad}");
    said(gap, true).unwrap();
}

/// GWA-T-12 as published: a folder of folders, times that come twice, VMs that are off, gaps.
#[test]
fn a_published_fleet_is_refused_at_once_and_played_with_its_gaps_filled() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |rows: &[(u64, &str)]| {
        let row = |(time, had): &(u64, &str)| {
            format!("{};\t1;\t2600.0;\t26.0;\t1.0;\t{had};\t700000.0\n", 1_372_629_804 + time)
        };
        let header = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity \
                      provisioned [KB];\tMemory usage [KB]\n";
        format!("{header}{}", rows.iter().map(row).collect::<String>())
    };
    let had = "2097152.0";
    for (month, start) in [("2013-7", 0), ("2013-8", 2_700_000)] {
        std::fs::create_dir(folder.path().join(month)).unwrap();
        let text = rows(&[0, 300, 300, 600].map(|time| (start + time, had)));
        std::fs::write(folder.path().join(month).join("1.csv"), text).unwrap();
    }
    let off = rows(&[(0, "0.0"), (300, "0.0"), (600, had), (900, had)]);
    std::fs::write(folder.path().join("2013-7/2.csv"), off).unwrap();

    let text = include_str!("../../../../../../scenarios/loads/trace.toml");
    let read = |fill_gaps| {
        let trace = Some(folder.path().to_owned());
        parse("trace.toml", text, &LoadOptions { trace, fill_gaps, ..LoadOptions::default() })
    };
    let bad = read(false).unwrap_err();
    let said = bad.to_string();
    assert_eq!(bad.diagnostics.len(), 5, "{said}");
    for part in
        ["2013-7/1.csv:4,", "2013-8/1.csv:2,", "2013-8/1.csv:4,", "2013-7/2.csv:2:", "2013-7/2.csv:3:"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.matches("--fill-gaps allows it").count(), 1, "{said}");
    let scenario = read(true).unwrap();
    assert_eq!(scenario.vms.len(), 2);
    assert_eq!(
        scenario.trace.unwrap().remarks().sentences(),
        [
            "1 VM was joined from several files",
            "1 gap was filled by a straight line (2699400 s)",
            "2 rows were left out: they have the times of the rows before",
            "2 rows were left out: with 0 KB provisioned (the VM is off)"
        ]
    );
}

#[test]
fn recorded_loads_that_nothing_plays() {
    let text = "until = \"10m\"\nhost = { memory = \"32GB\" }\n\
                [[vm]]\nname = \"VM1\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n";
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("loads.csv");
    std::fs::write(&trace, "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n1,0,2097152,1048576,1\n").unwrap();
    let window = Some("0h..24h".parse().unwrap());
    for (trace, trace_window, named) in
        [(Some(trace), window, "--trace "), (None, window, "--trace-window 0h..24h")]
    {
        let options = LoadOptions { trace, trace_window, ..LoadOptions::default() };
        let said = parse("s.toml", text, &options).unwrap_err().to_string();
        assert!(said.starts_with(&format!("error: {named}")), "{said}");
        assert!(
            said.contains("would change nothing: this scenario plays no recorded loads\n--> s.toml\n"),
            "{said}"
        );
    }
    let plays =
        format!("{text}workload = {{ kind = \"trace\", vm = \"1\" }}\n[trace]\nfile = \"loads.csv\"\n");
    let options = LoadOptions { trace_window: window, ..LoadOptions::default() };
    parse(folder.path().join("s.toml"), plays, &options).unwrap();
}

proptest! {
    /// Whatever is done to a good file, it is read or refused; and what is refused is refused for a reason that names a place.
    #[test]
    fn no_damage_is_a_panic(at in any::<prop::sample::Index>(), length in 0..40_usize, insert in "[\"\\[\\]{}=.,a-zA-Z0-9 \n-]{0,12}") {
        let good = include_str!("every_key.toml");
        let mut characters: Vec<char> = good.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        characters.splice(start..end, insert.chars());
        let text: String = characters.into_iter().collect();
        if let Err(bad) = parse("damaged.toml", text, &LoadOptions::default()) {
            prop_assert!(!bad.diagnostics.is_empty());
            for diagnostic in &bad.diagnostics {
                prop_assert!(diagnostic.place.is_some(), "{}", diagnostic);
            }
        }
    }
}
