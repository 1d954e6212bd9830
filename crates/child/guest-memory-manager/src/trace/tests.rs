use rand_pcg::Pcg64;

use super::*;

const HEADER: &str = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n";
const RAW: &str = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity \
                   provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s]\n";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn read(text: &str) -> Result<Trace, TraceErrors> {
    Trace::read(text.as_bytes(), "load.csv", "file", ReadOptions::default())
}

fn rows(rows: &str) -> Result<Trace, TraceErrors> {
    read(&format!("{HEADER}{rows}"))
}

#[test]
fn the_columns_are_read() {
    let trace = rows("2,0,8388608,861229,11.2\n10,0,4,4,0\n2,300,8388608,777343,12.73\n\n").unwrap();
    let names: Vec<&str> = trace.vms().map(|(name, _)| name).collect();
    assert_eq!(names, ["2", "10"]);
    let vm = trace.vm("2").unwrap();
    assert_eq!(vm.provisioned(), PageCount::from_mib(8192));
    let second = Sample {
        time: seconds(300),
        provisioned: PageCount::from_mib(8192),
        used: PageCount(194_335),
        cpu: 12.73,
    };
    assert_eq!(vm.samples()[1], second);
    assert_eq!((trace.length(), trace.len()), (seconds(300), 2));
    assert_eq!(trace.vm("10").unwrap().used_at(seconds(99)), PageCount(1));
}

#[test]
fn the_raw_format_is_read_in_seconds_of_the_epoch_and_in_milliseconds() {
    let seconds_of_epoch = format!(
        "{RAW}1376314846;4;11703.9;10912.0;93.2;6.7108864E7;6129274.4;1.3\n1376315146;\t4;\t11703.9;\t1;\t9.5;\t6.7108864E7;\t4096;\t0\n"
    );
    let trace = read(&seconds_of_epoch).unwrap();
    let vm = trace.vm("file").unwrap();
    assert_eq!(vm.provisioned(), PageCount::from_mib(65536));
    assert_eq!((vm.samples()[0].time, vm.length()), (Duration::ZERO, seconds(300)));
    assert_eq!(vm.samples()[1].used, PageCount(1024));
    let milliseconds = format!("{RAW}1376314846000;4;1;1;1;4;4;1\n1376315146000;4;1;1;1;4;4;0\n");
    assert_eq!(read(&milliseconds).unwrap().length(), seconds(300));
    let relative = format!("{RAW}0;4;1;1;1;4;4;1\n300000;4;1;1;1;4;4;0\n");
    assert_eq!(read(&relative).unwrap().length(), seconds(300));
}

#[test]
fn between_rows_is_a_straight_line() {
    let trace = rows("a,0,4000,400,1\na,100,4000,800,1\n").unwrap();
    let vm = trace.vm("a").unwrap();
    let used = [0, 50, 99, 100, 1000].map(|time| vm.used_at(seconds(time)).get());
    assert_eq!(used, [100, 150, 199, 200, 200]);
}

/// Every error names the file, the line, the column, the value and the mend.
#[test]
fn each_error_says_where_and_what_to_do() {
    let cases = [
        ("1,0,8,4\n", "load.csv:2: the row has 4 columns, 5 are needed"),
        ("1,0,8,4,1,1\n", "load.csv:2: the row has 6 columns"),
        (",0,8,4,1\n", "load.csv:2, column vm: the VM has no name"),
        ("1,0,8,4,1\n1,x,8,4,1\n", "load.csv:3, column t: \"x\" is not a time"),
        ("1,-1,8,4,1\n", "load.csv:2, column t: \"-1\" is not a time"),
        ("1,1e300,8,4,1\n", "load.csv:2, column t: \"1e300\""),
        ("1,0,NaN,4,1\n", "load.csv:2, column mem_provisioned_kb: \"NaN\" is not a size"),
        ("1,0,8,,1\n", "load.csv:2, column mem_used_kb: \"\" is not a size"),
        ("1,0,8,inf,1\n", "load.csv:2, column mem_used_kb: \"inf\""),
        ("1,0,8,4,12%\n", "load.csv:2, column cpu_pct: \"12%\" is not a percentage"),
        ("1,0,0,0,1\n", "load.csv:2: VM \"1\" is off here (0 KB provisioned)"),
        (
            "1,300,8,4,1\n1,0,8,4,1\n",
            "load.csv:3, column t: time 0 s of VM \"1\" is before that of the row before (300 s): sort",
        ),
        ("1,300,8,4,1\n2,0,8,4,1\n1,300,8,4,1\n", "load.csv:4, column t: time 300 s of VM \"1\" comes twice"),
        ("1,0,8,4,\"1\n", "load.csv:2: a field's quotes do not match"),
        (
            "1,0,8,4,1\n1,2013-07-01 00:03:24,8,4,1\n",
            "load.csv:3, column t: \"2013-07-01 00:03:24\" is not a time",
        ),
        ("1,2013-07-01 00:03:24,8,4,1\n1,300,8,4,1\n", "load.csv:3, column t: \"300\" is not a time"),
        ("1,2013-07-01,8,4,1\n", "load.csv:2, column t: \"2013-07-01\" is not a time"),
        (
            "2,0,8,4,1\n1,0,8,4,1\n1,300,8,4,1\n1,900,8,4,1\n1,1200,8,4,1\n",
            "load.csv:5, column t: VM \"1\" has no row between 300 s and 900 s, where there is one every 300 s: add the rows, \
             or allow gaps",
        ),
        ("", "load.csv: there are no rows"),
    ];
    for (text, message) in cases {
        let error = rows(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text:?} gave {error:?}");
    }
    assert!(read("").unwrap_err().to_string().contains("no rows"));
    let error = read("vm;t;mem\n1;2;3\n").unwrap_err().to_string();
    assert!(error.starts_with("load.csv:1: \"vm;t;mem\" is not the header of a trace"), "{error}");
    let error = read(&format!("{RAW}1;4;1;1;1;x;4;1\n")).unwrap_err();
    assert_eq!(error.shown[0].column, Some("Memory capacity provisioned [KB]"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let lines = |text: &str| {
        let error = rows(text).unwrap_err();
        error.shown.iter().filter_map(|error| error.line).collect::<Vec<_>>()
    };
    // Line 4 is missing from the VM's rows; that is no gap beside what is wrong with it.
    assert_eq!(
        lines("1,0,8,4,1\n1,300,8,4,1\n1,600,0,4,1\n1,900,8,x,1\n1,300,8,4,1\n1,1200,8,4,1\n"),
        [4, 5, 6]
    );
    let gaps = "2,0,8,4,1\n1,0,8,4,1\n1,300,8,4,1\n1,600,8,4,1\n1,1800,8,4,1\n1,2100,8,4,1\n1,3600,8,4,1\n";
    assert_eq!(lines(gaps), [6, 8]);
    let many = rows(&"1,0,8,x,1\n".repeat(1000)).unwrap_err();
    assert_eq!((many.shown.len(), many.hidden()), (MOST_PROBLEMS, 980));
    assert!(many.to_string().ends_with("\nin all of the file: 1000 broken rows in 1 file"), "{many}");
}

#[test]
fn gaps_are_filled_only_where_allowed() {
    let text = format!("{HEADER}1,0,8,40,1\n1,300,8,80,1\n1,600,8,80,1\n1,3600,8,240,1\n");
    let error = read(&text).unwrap_err();
    assert!(matches!(error.shown[0].problem, TraceProblem::Gap { .. }));
    assert_eq!(error.shown[0].line, Some(5));
    let allowed = ReadOptions { gaps: Gaps::Fill };
    let trace = Trace::read(text.as_bytes(), "load.csv", "", allowed).unwrap();
    assert_eq!(trace.vm("1").unwrap().used_at(seconds(2100)), PageCount(40));
    // Of two intervals the shorter one is the recorder's.
    assert_eq!(rows("1,0,8,40,1\n1,300,8,80,1\n1,1500,8,80,1\n").unwrap_err().shown[0].line, Some(4));
    // Recorders that are a little late leave no gap.
    rows("1,0,8,40,1\n1,300,8,80,1\n1,700,8,80,1\n1,1000,8,8,1\n").unwrap();
}

#[test]
fn files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Trace::read_file(&folder.path().join("none.csv"), ReadOptions::default()).unwrap_err();
    assert!(missing.to_string().contains("none.csv: cannot be read"), "{missing}");
    let nothing = Trace::read_folder(folder.path(), ReadOptions::default()).unwrap_err();
    assert!(matches!(nothing.shown[0].problem, TraceProblem::NoFiles));
    for (name, start) in [("2.csv", 600), ("10.csv", 0)] {
        let text = format!("{RAW}{};4;1;1;1;4;4;1\n", 1_376_314_000 + start);
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("readme.txt"), "not a trace").unwrap();
    let trace = Trace::read_folder(folder.path(), ReadOptions::default()).unwrap();
    let starts: Vec<(&str, Duration)> = trace.vms().map(|(name, vm)| (name, vm.samples()[0].time)).collect();
    assert_eq!(starts, [("2", seconds(600)), ("10", Duration::ZERO)]);
    let one = Trace::read_file(&folder.path().join("2.csv"), ReadOptions::default()).unwrap();
    assert_eq!(one.vm("2").unwrap().samples()[0].time, Duration::ZERO);
}

/// A file of the archive, of one VM: time, and the memory it had and used in KB.
fn archive(rows: &[(u64, u64, u64)]) -> String {
    let rows = rows.iter().map(|(time, had, used)| {
        format!("{};\t2;\t5200.0;\t104.0;\t2.0;\t{had}.0;\t{used}.0;\t0.0\n", 1_372_629_804 + time)
    });
    format!("{RAW}{}", rows.collect::<String>())
}

fn samples(trace: &Trace, vm: &str) -> Vec<(u64, u64)> {
    let samples = trace.vm(vm).unwrap().samples();
    samples.iter().map(|sample| (sample.time.as_secs(), sample.used.get())).collect()
}

#[test]
fn a_published_month_is_told_of_at_once_and_can_be_filled() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[(u64, u64, u64)]| {
        std::fs::write(folder.path().join(name), archive(rows)).unwrap();
    };
    write("1.csv", &[(0, 4096, 40), (300, 4096, 44), (600, 4096, 48)]);
    write("2.csv", &[(0, 4096, 40), (300, 4096, 44), (300, 4096, 400), (600, 4096, 48)]);
    write("3.csv", &[(0, 0, 0), (300, 0, 0), (600, 4096, 40), (900, 4096, 44)]);
    write("4.csv", &[(0, 4096, 40), (300, 4096, 44), (3000, 4096, 48)]);
    write("5.csv", &[(0, 0, 0), (300, 0, 0), (600, 0, 0)]);
    let error = Trace::read_folder(folder.path(), ReadOptions::default()).unwrap_err();
    let shown: Vec<_> =
        error.shown.iter().map(|error| (error.file.rsplit('/').next().unwrap(), error.line)).collect();
    let expected = [("2.csv", 4), ("3.csv", 2), ("3.csv", 3), ("4.csv", 4), ("5.csv", 2), ("5.csv", 3)];
    assert_eq!(shown, expected.map(|(file, line)| (file, Some(line))));
    assert!(error.shown.iter().all(|error| error.problem.can_be_filled()));
    assert_eq!(
        error.in_all(),
        "in all of the 5 files: 1 gap in 1 file, 5 rows of a VM that is off in 2 files, 1 time that comes twice in 1 file"
    );
    assert_eq!(error.hidden(), 1);

    let filled = Trace::read_folder(folder.path(), ReadOptions { gaps: Gaps::Fill }).unwrap();
    assert_eq!(filled.vms().map(|(name, _)| name).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert_eq!(samples(&filled, "2"), [(0, 10), (300, 11), (600, 12)]);
    assert_eq!(samples(&filled, "3"), [(600, 10), (900, 11)]);
    let done =
        TraceRemarks { gaps: (1, seconds(2700)), twice: 1, off: 5, never_on: 1, ..TraceRemarks::default() };
    assert_eq!(*filled.remarks(), done);
    assert_eq!(
        done.sentences(),
        [
            "1 gap was filled by a straight line (2700 s)",
            "1 row was left out: it has the time of the row before",
            "5 rows were left out: with 0 KB provisioned (the VM is off)",
            "1 VM was left out: it has no row in which it is on"
        ]
    );
    let off = Trace::read(archive(&[(0, 0, 0)]).as_bytes(), "5.csv", "5", ReadOptions { gaps: Gaps::Fill });
    assert_eq!(off.unwrap_err().to_string(), "5.csv: no VM of the trace is ever on");
}

#[test]
fn many_files_are_told_of_in_few_lines() {
    let folder = tempfile::tempdir().unwrap();
    for vm in 1..=60 {
        let gaps: Vec<_> =
            (0..9).map(|row| (if row < 5 { row * 300 } else { row * 3000 }, 4096, 40)).collect();
        std::fs::write(folder.path().join(format!("{vm}.csv")), archive(&gaps)).unwrap();
    }
    std::fs::write(folder.path().join("readme.csv"), "what this is\n").unwrap();
    let error = Trace::read_folder(folder.path(), ReadOptions::default()).unwrap_err();
    assert_eq!(error.shown.len(), MOST_PROBLEMS);
    assert!(
        error.to_string().contains("readme.csv:1: \"what this is\" is not the header of a trace"),
        "{error}"
    );
    assert!(
        error.in_all().ends_with("61 files: 1 file that is no trace in 1 file, 240 gaps in 60 files"),
        "{error}"
    );
}

#[test]
fn months_are_joined_by_vm() {
    let folder = tempfile::tempdir().unwrap();
    // As text, 2013-10 comes before 2013-7.
    for (month, start) in [("2013-10", 1200), ("2013-7", 0), ("2013-8", 600)] {
        std::fs::create_dir(folder.path().join(month)).unwrap();
        for vm in ["1", "2"] {
            let text = archive(&[(start, 4096, 40 + start), (start + 300, 4096, 40)]);
            std::fs::write(folder.path().join(month).join(format!("{vm}.csv")), text).unwrap();
        }
    }
    let trace = Trace::read_folder(folder.path(), ReadOptions::default()).unwrap();
    let joined = [(0, 10), (300, 10), (600, 160), (900, 10), (1200, 310), (1500, 10)];
    assert_eq!((samples(&trace, "1"), samples(&trace, "2")), (joined.to_vec(), joined.to_vec()));
    assert_eq!(trace.remarks().sentences(), ["2 VMs were joined from several files"]);
    // A month twice is told, and not played twice.
    std::fs::create_dir(folder.path().join("copy")).unwrap();
    std::fs::copy(folder.path().join("2013-8/1.csv"), folder.path().join("copy/1.csv")).unwrap();
    let twice = Trace::read_folder(folder.path(), ReadOptions::default()).unwrap_err();
    assert!(twice.to_string().contains("of VM \"1\" is before that of the row before"), "{twice}");
}

#[test]
fn materna_is_read_with_its_quotes_commas_and_dates() {
    let header = "\"Timestamp\";\"CPU cores\";\"CPU capacity provisioned [MHZ]\";\"CPU usage [MHZ]\";\"CPU usage [%]\";\"Memory capacity \
                  provisioned [KB]\";\"Memory usage [KB]\";\"Memory usage [%]\";\"Disk size [GB]\"\n";
    let text = format!(
        "{header}\"31.12.2015 23:58:20\";\"2\";\"0\";\"57\";\"1,37\";\"4194304\";\"524288,5\";\"12,5\";\"40\"\n\
         \"01.01.2016 00:03:20\";\"2\";\"0\";\"57\";\"1,37\";\"4194304\";\"400\";\"0\";\"40\"\n"
    );
    let trace = Trace::read(text.as_bytes(), "01.csv", "01", ReadOptions::default()).unwrap();
    let vm = trace.vm("01").unwrap();
    assert_eq!((vm.samples()[0].cpu, vm.provisioned()), (1.37, PageCount::from_mib(4096)));
    assert_eq!(samples(&trace, "01"), [(0, 131_072), (300, 100)]);
}

#[test]
fn times_may_be_dates() {
    let times = |first: &str, second: &str| {
        let trace = rows(&format!("1,{first},8,4,1\n1,{second},8,4,1\n")).unwrap();
        trace.length().as_secs_f64()
    };
    assert_eq!(times("2013-07-31 23:58:24", "2013-08-01 00:03:24"), 300.0);
    assert_eq!(times("2013-07-31T23:58:24Z", "2013-08-01T02:03:24.5+02:00"), 300.5);
    assert_eq!(times("31.07.2013 23:58:24", "01.08.2013 00:03:24"), 300.0);
    // Seconds, with or without decimals, from any beginning.
    assert_eq!(times("1375311504", "1375311804.25"), 300.25);
}

#[test]
fn columns_are_found_by_their_names_and_encodings_told_apart() {
    let text = "cpu_pct;mem_used_kb;mem_provisioned_kb;site;t;vm\r\n1,5;4;8;\"a;b\";0;B\u{fc}ro\r\n";
    let plain = read(text).unwrap();
    assert_eq!(plain.vm("B\u{fc}ro").unwrap().samples()[0].cpu, 1.5);
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(Trace::read(&utf16[..], "", "", ReadOptions::default()).unwrap(), plain);
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let guessed = Trace::read(&latin[..], "load.csv", "", ReadOptions::default()).unwrap();
    assert!(guessed.vm("B\u{fc}ro").is_some());
    assert!(guessed.remarks().sentences()[0].starts_with("load.csv: line 2 is not UTF-8"));
}

#[test]
fn devices_and_pipes_are_refused() {
    let error = Trace::read_file(std::path::Path::new("/dev/zero"), ReadOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("/dev/zero: cannot be read: it is a character device"), "{error}");
}

#[test]
fn a_window_is_cut_out_and_moved_to_zero() {
    let text = "1,0,8,4,1\n1,3600,8,8,1\n1,7200,8,12,1\n2,0,8,4,1\n";
    let window: TraceWindow = "1h..2h".parse().unwrap();
    let trace = rows(text).unwrap().window(window);
    assert_eq!(trace.len(), 1);
    let samples = trace.vm("1").unwrap().samples();
    assert_eq!((samples.len(), samples[0].time, samples[0].used), (1, Duration::ZERO, PageCount(2)));
}

#[test]
fn a_part_has_what_is_on_the_line_at_its_ends() {
    // 1: samples on both sides, and none inside. 2: it begins inside. 3: it has ended before. 4: samples at both ends.
    let text =
        "1,0,8,0,1\n1,7200,8,800,1\n2,2400,8,40,1\n2,7200,8,40,1\n3,0,8,4,1\n4,1800,8,8,1\n4,3600,8,16,1\n";
    let window = TraceWindow::new(seconds(1800), seconds(3600)).unwrap();
    let part = rows(text).unwrap().part(window);
    let of = |vm: &str| {
        let samples = part.vm(vm).map(|vm| vm.samples().to_vec()).unwrap_or_default();
        samples.iter().map(|sample| (sample.time.as_secs(), sample.used.get())).collect::<Vec<_>>()
    };
    assert_eq!(of("1"), [(0, 50), (1800, 100)]);
    assert_eq!(of("2"), [(600, 10), (1800, 10)]);
    assert_eq!(of("3"), []);
    assert_eq!(of("4"), [(0, 2), (1800, 4)]);
    assert_eq!(part.length(), seconds(1800));
}

#[test]
fn windows_are_written_as_times() {
    for (text, from, to) in [
        ("0h..24h", 0, 86_400),
        ("90s .. 2m", 90, 120),
        ("0.5h..1d", 1800, 86_400),
        ("0s..86400s", 0, 86_400),
    ] {
        let window: TraceWindow = text.parse().unwrap();
        assert_eq!((window.from(), window.to()), (seconds(from), seconds(to)), "{text}");
        assert_eq!(window.to_string().parse::<TraceWindow>().unwrap(), window);
    }
    assert_eq!(TraceWindow::default().to_string(), "0h..24h");
    for text in
        ["", "0h", "0..24", "24h..0h", "1h..1h", "-1h..2h", "xh..2h", "..", "0h..é", "0h..nanh", "0h..1e40h"]
    {
        let error = text.parse::<TraceWindow>().unwrap_err().to_string();
        assert!(error.contains("0h..24h"), "{text}: {error}");
    }
}

#[test]
fn recordings_must_be_in_order() {
    let sample =
        |time| Sample { time: seconds(time), provisioned: PageCount(1), used: PageCount(1), cpu: 0.0 };
    assert!(VmTrace::new(vec![]).is_none());
    assert!(VmTrace::new(vec![sample(1), sample(1)]).is_none());
    assert!(VmTrace::new(vec![sample(1), sample(2)]).is_some());
}

#[test]
fn a_generated_trace_has_days_and_bursts_and_can_be_read_back() {
    let config = GeneratorConfig { vms: 60, length: seconds(4 * 86_400), ..GeneratorConfig::default() };
    let trace = generate(&config, &mut Pcg64::new(5, 6));
    assert_eq!(trace, generate(&config, &mut Pcg64::new(5, 6)));
    assert_ne!(trace, generate(&config, &mut Pcg64::new(6, 6)));

    let mut text = Vec::new();
    trace.write(&mut text).unwrap();
    assert_eq!(Trace::read(text.as_slice(), "x", "", ReadOptions::default()).unwrap(), trace);

    let total_at = |hour: u64| -> f64 {
        let days = (0..4).map(|day| seconds(day * 86_400 + hour * 3600));
        days.map(|time| trace.vms().map(|(_, vm)| vm.used_at(time).mib()).sum::<f64>()).sum()
    };
    assert!(total_at(13) > 1.2 * total_at(1), "{} {}", total_at(13), total_at(1));
    let provisioned: f64 = trace.vms().map(|(_, vm)| vm.provisioned().mib()).sum();
    let maxima: f64 = trace
        .vms()
        .filter_map(|(_, vm)| vm.samples().iter().map(|sample| sample.used.mib()).reduce(f64::max))
        .sum();
    let mean: f64 = trace
        .vms()
        .map(|(_, vm)| {
            vm.samples().iter().map(|sample| sample.used.mib()).sum::<f64>() / vm.samples().len() as f64
        })
        .sum();
    // As in real ones: much more is provisioned than used, and peaks are several times the mean.
    assert!(mean < 0.3 * provisioned && maxima > 2.0 * mean, "{provisioned} {mean} {maxima}");
    for (_, vm) in trace.vms() {
        assert!(
            vm.samples().iter().all(|sample| sample.used <= sample.provisioned && !sample.used.is_zero())
        );
    }
}
