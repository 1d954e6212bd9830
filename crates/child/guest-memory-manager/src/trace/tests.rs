use rand_pcg::Pcg64;

use super::*;

const HEADER: &str = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n";
const RAW: &str = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity \
                   provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s]\n";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn read(text: &str) -> Result<Trace, TraceError> {
    Trace::read(text.as_bytes(), "load.csv", "file", ReadOptions::default())
}

fn rows(rows: &str) -> Result<Trace, TraceError> {
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
        ("1,0,0,0,1\n", "load.csv:2, column mem_provisioned_kb: the VM has no memory"),
        (
            "1,300,8,4,1\n1,0,8,4,1\n",
            "load.csv:3, column t: time 0 s of VM \"1\" is not after the row before (300 s): sort",
        ),
        ("1,300,8,4,1\n2,0,8,4,1\n1,300,8,4,1\n", "load.csv:4, column t: time 300 s"),
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
    let error = Trace::read(&b"\xff\xfe\n"[..], "x", "x", ReadOptions::default()).unwrap_err();
    assert!(matches!(error.problem, TraceProblem::Unreadable(_)) && error.line == Some(1));
    let error = read(&format!("{RAW}1;4;1;1;1;0.0;4;1\n")).unwrap_err();
    assert_eq!((error.line, error.column), (Some(2), Some("Memory capacity provisioned [KB]")));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let lines = |text: &str| {
        let error = rows(text).unwrap_err();
        error.line.into_iter().chain(error.also.iter().filter_map(|also| also.line)).collect::<Vec<_>>()
    };
    // Line 4 is missing from the VM's rows; that is no gap beside what is wrong with it.
    assert_eq!(
        lines("1,0,8,4,1\n1,300,8,4,1\n1,600,0,4,1\n1,900,8,x,1\n1,300,8,4,1\n1,1200,8,4,1\n"),
        [4, 5, 6]
    );
    let gaps = "2,0,8,4,1\n1,0,8,4,1\n1,300,8,4,1\n1,600,8,4,1\n1,1800,8,4,1\n1,2100,8,4,1\n1,3600,8,4,1\n";
    assert_eq!(lines(gaps), [6, 8]);
    assert_eq!(lines(&"1,0,0,4,1\n".repeat(1000)).len(), MOST_PROBLEMS);
}

#[test]
fn gaps_are_filled_only_where_allowed() {
    let text = format!("{HEADER}1,0,8,40,1\n1,300,8,80,1\n1,600,8,80,1\n1,3600,8,240,1\n");
    let error = read(&text).unwrap_err();
    assert!(matches!(error.problem, TraceProblem::Gap { .. }));
    assert_eq!(error.line, Some(5));
    let allowed = ReadOptions { gaps: Gaps::Fill };
    let trace = Trace::read(text.as_bytes(), "load.csv", "", allowed).unwrap();
    assert_eq!(trace.vm("1").unwrap().used_at(seconds(2100)), PageCount(40));
    // Of two intervals the shorter one is the recorder's.
    assert_eq!(rows("1,0,8,40,1\n1,300,8,80,1\n1,1500,8,80,1\n").unwrap_err().line, Some(4));
    // Recorders that are a little late leave no gap.
    rows("1,0,8,40,1\n1,300,8,80,1\n1,700,8,80,1\n1,1000,8,8,1\n").unwrap();
}

#[test]
fn files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Trace::read_file(&folder.path().join("none.csv"), ReadOptions::default()).unwrap_err();
    assert!(missing.to_string().contains("none.csv: cannot be read"), "{missing}");
    assert!(matches!(
        Trace::read_folder(folder.path(), ReadOptions::default()).unwrap_err().problem,
        TraceProblem::Empty
    ));
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
