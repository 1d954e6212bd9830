use proptest::prelude::*;

use super::*;
use crate::{Layout, Memory, Percent, Rate, Sample, VmSample, pdh::Writer};

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
    // 21:42:32.824 in Western Europe's summer is 19:42:32.824 UTC.
    let epoch = "2026-09-22T19:42:32.824Z".parse().unwrap();
    assert_eq!(log.times_since(epoch), [0, 1_000, 1_176].map(Duration::from_millis));
}

#[test]
fn instances_are_listed_once_in_order() {
    let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM2", "VM1"]).unwrap();
    let file = Writer::new(Vec::new(), &layout).unwrap().finish().unwrap();
    let log = CounterLog::read(&file[..]).unwrap();
    assert!(log.is_empty());
    assert_eq!(log.instances("hyper-v dynamic memory vm"), ["VM2", "VM1"]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let header = "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\Memory\\Available MBytes\"\r\n";
    assert_eq!(
        error(""),
        "line 1: not a PDH-CSV 4.0 file: it must begin with \"(PDH-CSV 4.0) (time zone)(minutes)\""
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
        "line 2: \"22/09/2026 21:42:32.824\" is not a date and time such as 09/22/2026 21:42:32.824"
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
        prop_assert_eq!(log.times_since(Epoch::DEFAULT), times);
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
