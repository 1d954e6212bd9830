use proptest::prelude::*;

use super::*;
use crate::{Epoch, Layout, Memory, Percent, Rate, Sample, VmSample, pdh::Writer};

fn error(text: &str) -> String {
    CounterLog::read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_file_of_a_real_host_is_read() {
    let text = "\u{feff}\"(PDH-CSV 4.0) (W. Europe Daylight Time)(-120)\",\"\\\\SRV\\Memory\\Available MBytes\"\n\
                \"09/22/2026 21:42:32.824\",\" \"\n\"09/22/2026 21:42:33.824\",\"1024.5\"\n\"09/22/2026 21:42:34\",\"\"\n";
    let log = CounterLog::read(text.as_bytes()).unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(log.column(r"\\srv\memory\available mbytes").unwrap(), [None, Some(1024.5), None]);
    assert_eq!(log.column(r"\\srv\memory\page reads/sec"), None);
    assert_eq!(log.times(), [0, 1_000, 1_176].map(Duration::from_millis));
    assert!(log.remarks().is_empty());
}

/// A file of one counter in a zone, with rows at these times of day, which are its values too.
fn clock(zone: &str, times: &[&str]) -> Result<CounterLog, ReadError> {
    let rows: String =
        times.iter().map(|time| format!("\"10/26/2025 {time}\",\"{}\"\r\n", time.replace(':', ""))).collect();
    CounterLog::read(
        format!("\"(PDH-CSV 4.0) {zone}\",\"\\\\H\\Memory\\Available MBytes\"\r\n{rows}").as_bytes(),
    )
}

#[test]
fn times_are_counted_from_the_first_row_in_any_zone() {
    for zone in ["(UTC)(0)", "(Korean Standard Time)(-540)", "(Hawaiian Standard Time)(600)"] {
        let log = clock(zone, &["09:00:00", "09:00:01"]).unwrap();
        assert_eq!(log.times(), [0, 1].map(Duration::from_secs));
    }
}

#[test]
fn the_hour_that_comes_twice_is_taken_twice() {
    let log =
        clock("(W. Europe)(-120)", &["02:00:00", "02:30:00", "02:00:00", "02:30:00", "03:00:00"]).unwrap();
    assert_eq!(log.times(), [0, 30, 60, 90, 120].map(|minutes| Duration::from_secs(minutes * 60)));
    assert_eq!(log.remarks(), [Remark::RepeatedHour { line: 4 }]);
    assert!(log.remarks()[0].to_string().starts_with("line 4: the clock was set back by an hour"));
}

#[test]
fn a_row_that_is_not_after_the_one_before_is_an_error() {
    let said = |times: &[&str]| clock("(UTC)(0)", times).unwrap_err().to_string();
    assert!(
        said(&["02:00:00", "02:00:01", "02:00:01"]).starts_with(
            "line 4: 2025-10-26T02:00:01 is not after the row before (2025-10-26T02:00:01): the clock was set back, or files \
             were put together (relog -a)"
        ),
    );
    // An hour later would be no more than a second after the row before it only here:
    assert!(clock("(UTC)(0)", &["02:59:58", "02:59:59", "02:00:00"]).is_ok());
    // A gap, two hours, and a file's second row, whose usual distance nobody knows.
    for times in [["02:00:00", "02:00:01", "01:30:00"], ["02:00:00", "02:00:01", "00:00:02"]] {
        assert!(said(&times).starts_with("line 4:"));
    }
    assert!(said(&["02:00:00", "01:30:00"]).starts_with("line 3:"));
}

#[test]
fn every_encoding_and_separator_gives_the_same_figures() {
    let text = "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\HOST\\Hyper-V Dynamic Memory VM(B\u{fc}ro)\\Physical Memory\"\r\n\
                \"09/22/2026 21:42:32.824\",\"512.000000\"\r\n";
    let plain = CounterLog::read(text.as_bytes()).unwrap();
    let marked = format!("\u{feff}{text}");
    let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let tabs = text.replace("CSV", "TSV").replace("\",\"", "\"\t\"");
    for bytes in [little, big, tabs.into_bytes()] {
        assert_eq!(CounterLog::read(&bytes[..]).unwrap(), plain);
    }
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let log = CounterLog::read(&latin[..]).unwrap();
    assert_eq!((log.paths(), log.len()), (plain.paths(), 1));
    assert!(log.remarks()[0].to_string().starts_with("line 1 is not UTF-8"));
}

/// As a German spreadsheet writes a log that it has opened.
#[test]
fn semicolons_and_decimal_commas_give_the_same_figures() {
    let text = "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\Memory\\Available MBytes\",\"\\\\H\\Memory\\Committed Bytes\"\r\n\
                \"09/22/2026 21:42:32.824\",\"7\",\"1024.250000\"\r\n\"09/22/2026 21:42:33.824\",\"12\",\"1.5E-3\"\r\n";
    let expected = CounterLog::read(text.as_bytes()).unwrap();
    assert_eq!(expected.column(r"\\h\memory\committed bytes").unwrap(), [Some(1024.25), Some(0.0015)]);
    let commas = |text: &str| text.replace("4.25", "4,25").replace("1.5E", "1,5E");
    for other in [
        text.replace(',', ";"),
        commas(&text.replace(',', ";")),
        commas(&text.replace(',', ";")).replace('"', ""),
        commas(&text.replace(',', "\t").replace("CSV", "TSV")),
        commas(text),
    ] {
        assert_eq!(CounterLog::read(other.as_bytes()).unwrap(), expected, "{other}");
    }
    // One of the two signs, and not what may separate thousands.
    assert!(error(&commas(text).replace("\"12\"", "\"12.0\"")).contains("\"12.0\" is not a number"));
    let both_ways = error(&text.replace("1024.250000", "1,024"));
    assert!(
        both_ways.starts_with("line 2, column 3: \"1,024\" may have a decimal comma or one of thousands"),
        "{both_ways}"
    );
    assert!(error(&text.replace("1024.250000", "1.024,25")).contains("\"1.024,25\" is not a number"));
}

#[test]
fn what_typeperf_says_around_its_rows_is_left_out() {
    let header = "\"(PDH-CSV 4.0)\",\"\\\\H\\Memory\\Available MBytes\"";
    let header = header.replace("4.0)", "4.0) (UTC)(0)");
    let row = "\"09/22/2026 21:42:32.824\",\"5\"";
    let words = "Exiting, please wait...     \r\nThe command completed successfully.\r\n\r\n";
    let log = CounterLog::read(format!("\r\n{header}\r\n{row}\r\n{words}").as_bytes()).unwrap();
    assert_eq!((log.len(), log.remarks()), (1, &[Remark::ClosingWords { line: 4 }][..]));
    let again = error(&format!("{header}\r\n{words}{row}\r\n"));
    assert!(again.starts_with("line 2: \"Exiting, please wait..."), "{again}");
}

#[test]
fn names_of_other_languages_are_seen() {
    let localised = |object: &str| {
        let text = format!("\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\{object}\"\r\n");
        CounterLog::read(text.as_bytes()).unwrap().localised().cloned()
    };
    assert_eq!(localised(r"Memory\Available MBytes"), None);
    assert_eq!(localised(r"Hyper-V Dynamic Memory VM(Büro)\Physical Memory"), None);
    for object in [r"Arbeitsspeicher\Verfuegbare MB", r"メモリ\Available MBytes", r"Memory\Verfügbare MB"]
    {
        assert_eq!(localised(object).unwrap().to_string(), format!(r"\\H\{object}"));
    }
}

#[test]
fn instances_are_listed_once_in_order() {
    let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM2", "VM1"]).unwrap();
    let file = Writer::new(Vec::new(), &layout).unwrap().finish().unwrap();
    let log = CounterLog::read(&file[..]).unwrap();
    assert!(log.is_empty());
    assert_eq!(log.instances("hyper-v dynamic memory vm"), ["VM2", "VM1"]);
}

/// What a run that was killed leaves.
#[test]
fn a_file_that_is_cut_off_gives_its_whole_rows() {
    let whole = "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\Memory\\Available MBytes\",\"\\\\H\\Memory\\Page Reads/sec\"\r\n\
                 \"09/22/2026 21:42:32.000\",\"5\",\"6.25\"\r\n\"09/22/2026 21:42:33.000\",\"7\",\"8.5\"\r\n";
    let second = whole.len() - "\"09/22/2026 21:42:33.000\",\"7\",\"8.5\"\r\n".len();
    let mut cut_off = 0;
    for length in second + 1..whole.len() {
        let log = CounterLog::read(&whole.as_bytes()[..length]).unwrap();
        let column = log.column(r"\\H\Memory\Available MBytes").unwrap();
        assert_eq!((log.len(), column[0]), (column.len(), Some(5.0)), "{length}");
        if log.len() == 1 {
            assert_eq!(log.remarks(), [Remark::CutOff { line: 3 }], "{length}");
            cut_off += 1;
        } else {
            assert_eq!(column[1], Some(7.0), "{length}");
        }
    }
    assert!(cut_off > 25, "{cut_off}");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let header = "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\Memory\\Available MBytes\"\r\n";
    assert_eq!(
        error(""),
        "line 1: not a PDH-CSV 4.0 file: it must begin with \"(PDH-CSV 4.0) (time zone)(minutes)\", or PDH-TSV in place of \
         PDH-CSV (relog FILE -f csv -o OUT.csv makes one of any log)"
    );
    assert!(error("vm,t,mem\n").starts_with("line 1: not a PDH-CSV"));
    assert!(error("\"(PDH-CSV 4.0) (UTC)(99999999999)\"\n").starts_with("line 1: not a PDH-CSV"));
    assert_eq!(
        error("\"(PDH-CSV 4.0) (UTC)(0)\",\"free\"\r\n"),
        r#"line 1, column 2: "free" is not a counter path such as \\HOST\Memory\Available MBytes"#
    );
    let row = |row: &str| error(&format!("{header}{row}"));
    assert_eq!(
        row("\"09/22/2026 21:42:32.824\",\"5"),
        "line 2, column 2: a field's quotes do not match (is the file cut off?)"
    );
    assert_eq!(
        row("\"09/22/2026 21:42:32.824\"\r\n"),
        "line 2: 1 fields where the first line has 2 (is the file cut off?)"
    );
    assert_eq!(
        row("\"09/22/2026 21:42:32.824\",\"1\",\"2\"\r\n"),
        "line 2: 3 fields where the first line has 2 (is the file cut off?)"
    );
    assert_eq!(
        row("\"22/09/2026 21:42:32.824\",\"1\"\r\n"),
        "line 2: \"22/09/2026 21:42:32.824\" is not a date and time such as 09/22/2026 21:42:32.824, which PDH writes in every country; if \
         another program has written the log again, take it as it was (relog FILE -f csv -o OUT.csv)"
    );
    assert_eq!(row("\"09/22/2026 21:42:32.824\",\"1x\"\r\n"), "line 2, column 2: \"1x\" is not a number");
    assert_eq!(row("\"09/22/2026 21:42:32.824\",\"inf\"\r\n"), "line 2, column 2: \"inf\" is not a number");
}

/// Any VM sample: each counter may be missing.
fn any_vm() -> impl Strategy<Value = VmSample> {
    let memory = || prop::option::of((0..1_u64 << 34).prop_map(Memory::from_pages));
    (memory(), memory(), prop::option::of(0..1_000_000_u64), prop::option::of(0.0..10_000.0_f64)).prop_map(
        |(physical, available, operations, pressure)| {
            let mut sample = VmSample::default();
            sample.vm.physical_memory = physical;
            sample.vm.memory_add_operations = operations;
            sample.vm.current_pressure = pressure.and_then(Percent::from_f64);
            sample.guest.available = available;
            sample.guest.page_reads = pressure.and_then(Rate::from_f64);
            sample
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec(any_vm(), 3), 0..20), start in 0..10_000_000_u64) {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2", "a \"b"].map(|name| name.replace('"', "'"))).unwrap();
        let mut writer = Writer::new(Vec::new(), &layout).unwrap();
        let mut expected: Vec<Vec<Option<f64>>> = vec![Vec::new(); layout.paths().len()];
        let mut times = Vec::new();
        for (row, vms) in rows.into_iter().enumerate() {
            let time = Duration::from_millis(start + row as u64 * 1000);
            let sample = Sample { time, vms, ..Sample::default() };
            times.push(time);
            let mut column = 0;
            sample.for_each_value(|value| {
                // What six decimals can hold.
                expected[column].push(value.map(|value| value.to_string().parse().unwrap()));
                column += 1;
            });
            writer.write(&sample).unwrap();
        }
        let log = CounterLog::read(&writer.finish().unwrap()[..]).unwrap();
        let first = times.first().copied().unwrap_or_default();
        let expected_times: Vec<_> = times.iter().map(|time| *time - first).collect();
        prop_assert_eq!(log.times(), expected_times);
        let paths: Vec<_> = log.paths().iter().map(ToString::to_string).collect();
        prop_assert_eq!(paths, layout.paths());
        for (index, column) in expected.into_iter().enumerate() {
            prop_assert_eq!(log.values(index).collect::<Vec<_>>(), column);
        }
    }

    #[test]
    fn no_input_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _error_or_log = CounterLog::read(&bytes[..]);
    }

    #[test]
    fn no_row_is_a_panic(row in "[\" ,0-9/:.x\u{e9}]{0,60}") {
        let _error_or_log = CounterLog::read(format!("\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\M\\c\"\r\n{row}").as_bytes());
    }
}
