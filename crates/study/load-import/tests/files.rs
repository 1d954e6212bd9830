//! Files in the formats that are published, made by hand.

use std::fmt::Write as _;
use std::time::Duration;

use load_import::{Demand, ImportError, Input, Kind, Load, Options, read_inputs};

fn read(files: &[(&str, &str)]) -> Result<Load, ImportError> {
    read_with(files, &Options::default())
}

fn read_with(files: &[(&str, &str)], options: &Options) -> Result<Load, ImportError> {
    let inputs: Vec<Input> = files.iter().map(|(name, text)| Input::of_text(name, text)).collect();
    read_inputs(&inputs, options)
}

fn good(files: &[(&str, &str)]) -> Load {
    read(files).unwrap_or_else(|error| panic!("{error}"))
}

fn mib(load: &Load, vm: &str) -> [u64; 3] {
    let vm = load.vms.iter().find(|found| found.name == vm).unwrap_or_else(|| panic!("no {vm}: {load:?}"));
    [vm.settings.startup, vm.settings.minimum, vm.settings.maximum].map(page_range::PageCount::whole_mib)
}

fn demand(load: &Load, vm: &str) -> Vec<(u64, u64)> {
    let vm = load.vms.iter().find(|found| found.name == vm).unwrap_or_else(|| panic!("no {vm}"));
    match &vm.demand {
        Demand::Recorded(samples) => {
            samples.iter().map(|(time, pages)| (time.as_secs(), pages.whole_mib())).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// What a load comes to is a scenario that can be read.
fn scenario(load: &Load) -> (String, scenario::file::Scenario) {
    let folder = tempfile::tempdir().unwrap();
    let written = load.scenario("load.csv");
    if let Some(trace) = &written.trace {
        trace.write(std::fs::File::create(folder.path().join("load.csv")).unwrap()).unwrap();
    }
    let file = folder.path().join("load.toml");
    std::fs::write(&file, &written.toml).unwrap();
    let read = scenario::file::load(&file, &scenario::file::LoadOptions::default());
    (written.toml.clone(), read.unwrap_or_else(|error| panic!("{error}\n{}", written.toml)))
}

/// Windows PowerShell 5.1: Get-VM | Select-Object … | Export-Csv.
const POWERSHELL_5: &str = "#TYPE Selected.Microsoft.HyperV.PowerShell.VirtualMachine\r\n\
    \"Name\",\"State\",\"CPUUsage\",\"MemoryAssigned\",\"MemoryDemand\",\"MemoryStatus\",\"MemoryStartup\",\"MemoryMinimum\",\"MemoryMaximum\",\"DynamicMemoryEnabled\",\"ProcessorCount\",\"ComputerName\",\"Notes\"\r\n\
    \"SQL01\",\"Running\",\"3\",\"17179869184\",\"15032385536\",\"\",\"17179869184\",\"536870912\",\"1099511627776\",\"False\",\"8\",\"HV01\",\"two\r\nlines, and a \"\"quote\"\"\"\r\n\
    \"WEB01\",\"Running\",\"1\",\"2147483648\",\"1610612736\",\"OK\",\"1073741824\",\"536870912\",\"4294967296\",\"True\",\"2\",\"HV01\",\r\n\
    \"OLD (2008)\",\"Off\",\"0\",\"0\",\"0\",\"\",\"1073741824\",\"1073741824\",\"2147483648\",\"True\",\"1\",\"HV01\",\r\n";

#[test]
fn a_list_of_powershell_5_is_read_with_all_that_it_says() {
    let load = good(&[("vms.csv", POWERSHELL_5)]);
    assert_eq!(load.sources[0].kind, Kind::VmList);
    assert_eq!(load.host.as_deref(), Some("HV01"));
    assert_eq!(mib(&load, "WEB01"), [1024, 512, 4096]);
    assert_eq!(mib(&load, "SQL01"), [16384; 3]);
    let by_name = |name: &str| load.vms.iter().find(|vm| vm.name == name).unwrap();
    assert!(!by_name("SQL01").settings.dynamic && by_name("SQL01").running);
    assert_eq!(by_name("SQL01").vcpus, Some(8));
    assert!(!by_name("OLD (2008)").running);
    assert_eq!(by_name("WEB01").demand, Demand::Snapshot(page_range::PageCount::from_mib(1536)));
    let (text, scenario) = scenario(&load);
    // A name that counters cannot hold is another in the scenario, and said so.
    assert!(text.contains("# In the files: \"OLD (2008)\"\nname = \"OLD _2008_\""), "{text}");
    assert_eq!(scenario.never_started, ["OLD _2008_"]);
    assert!(text.contains("demand is known at one moment only"), "{text}");
}

#[test]
fn a_list_of_powershell_7_in_another_order_is_the_same() {
    let list = "MemoryMaximum,DynamicMemoryEnabled,Name,MemoryStartup,MemoryMinimum\n4294967296,True,WEB01,1073741824,536870912\n";
    let load = good(&[("vms.csv", list)]);
    assert_eq!(mib(&load, "WEB01"), [1024, 512, 4096]);
}

#[test]
fn a_german_list_has_semicolons_decimal_commas_and_thousands_with_points() {
    // Get-VM | Select Name,State,@{n='Zugewiesener RAM (GB)';…} | Export-Csv -UseCulture -Encoding Unicode
    let list = "\"Name\";\"State\";\"Zugewiesener RAM (GB)\";\"MemoryStartup\";\"MemoryMaximum\";\"DynamicMemoryEnabled\"\r\n\
        \"Büro\";\"Running\";\"1,5\";\"1.073.741.824\";\"4.294.967.296\";\"Wahr\"\r\n\"Kasse\";\"Aus\";\"0\";\"536.870.912\";\"2.147.483.648\";\"Falsch\"\r\n";
    let utf16: Vec<u8> = format!("\u{feff}{list}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let load = read_inputs(&[Input::of_bytes("vms.csv", utf16)], &Options::default())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(mib(&load, "Büro"), [1024, 1024, 4096]);
    assert_eq!(mib(&load, "Kasse"), [512; 3]);
    assert!(!load.vms[1].running);
    // 1.5 GB less the buffer of 20 %.
    assert_eq!(load.vms[0].demand, Demand::Snapshot(page_range::PageCount(1280 * 256)));
}

#[test]
fn a_japanese_list_of_code_page_932_is_read_when_its_page_is_named() {
    let list = "\"名前\",\"状態\",\"メモリの割り当て\",\"起動メモリ\",\"最大メモリ\"\r\n\"経理\",\"実行中\",\"2048 MB\",\"1024 MB\",\"4,096 MB\"\r\n";
    let (bytes, _, _) = encoding(list);
    let options = Options { code_page: Some("932".parse().unwrap()), ..Options::default() };
    let load =
        read_inputs(&[Input::of_bytes("vms.csv", bytes)], &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(mib(&load, "経理"), [1024, 1024, 4096]);
}

#[test]
fn a_japanese_list_is_one_vm_with_the_log_whatever_both_are_written_in() {
    let list = encoding("\"名前\",\"状態\",\"メモリの割り当て\"\r\n\"経理\",\"実行中\",\"2048 MB\"\r\n").0;
    let log = "\"(PDH-CSV 4.0) (Tokyo Standard Time)(-540)\",\"\\\\HV\\Hyper-V Dynamic Memory VM(経理)\\Physical Memory\",\
               \"\\\\HV\\Hyper-V Dynamic Memory VM(経理)\\Current Pressure\"\r\n\"09/21/2026 06:00:00.000\",\"1000\",\"80\"\r\n\
               \"09/21/2026 06:01:00.000\",\"1000\",\"80\"\r\n";
    let inputs = [Input::of_bytes("vms.csv", list), Input::of_bytes("log.csv", log.into())];
    let load = read_inputs(&inputs, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(load.vms.iter().map(|vm| &*vm.name).collect::<Vec<_>>(), ["経理"]);
    assert!(
        load.remarks.iter().any(|remark| remark.contains("in the code page Shift_JIS;")),
        "{:?}",
        load.remarks
    );
}

/// Shift-JIS of the text above.
fn encoding(text: &str) -> (Vec<u8>, (), ()) {
    let (bytes, _, bad) = encoding_rs::SHIFT_JIS.encode(text);
    assert!(!bad);
    (bytes.into_owned(), (), ())
}

#[test]
fn columns_that_scripts_renamed_have_their_units() {
    let list = "VM,Assign RAM(GB),MemMaxMB,MemStartupMB,Buffer,Priority\nA,2,8192,1024,30,80\n";
    let load = good(&[("vms.csv", list)]);
    assert_eq!(mib(&load, "A"), [1024, 1024, 8192]);
    assert_eq!((load.vms[0].settings.buffer, load.vms[0].settings.priority), (30, 80));
    let (text, _) = scenario(&load);
    assert!(text.contains("buffer = 30\npriority = 80"), "{text}");
}

#[test]
fn a_unit_that_cannot_be_right_is_asked_for() {
    let list = "Name,MemoryStartup,MemoryMaximum\nA,1,8\n";
    let error = read(&[("vms.csv", list)]).unwrap_err();
    assert!(matches!(&error, ImportError::Unit(_)));
    assert_eq!(
        error.to_string(),
        "vms.csv:2: \"MemoryStartup\" of A is 1: as bytes that is no VM's memory. Which unit is it? Say --unit \"MemoryStartup=MB\", or KB, GB or bytes"
    );
    let units = ["MemoryStartup=GB", "memorymaximum=gib"].map(|unit| unit.parse().unwrap()).to_vec();
    let load = read_with(&[("vms.csv", list)], &Options { units, ..Options::default() }).unwrap();
    assert_eq!(mib(&load, "A"), [1024, 1024, 8192]);
    assert!(
        "MemoryStartup".parse::<load_import::UnitOf>().is_err()
            && "a=pounds".parse::<load_import::UnitOf>().is_err()
    );
}

const BALANCER: &str = r"\\HV01\Hyper-V Dynamic Memory Balancer(System Balancer)\Available Memory";

/// A log of a host: pressure and physical memory of two VMs, the second static.
fn perfmon() -> String {
    let mut log = format!("\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"{BALANCER}\"");
    for vm in ["web01", "SQL01"] {
        for counter in ["Physical Memory", "Current Pressure"] {
            let _ = write!(log, ",\"\\\\HV01\\Hyper-V Dynamic Memory VM({vm})\\{counter}\"");
        }
    }
    log.push_str(",\"\\\\HV01\\Memory\\Committed Bytes\"\r\n");
    for (minute, physical, pressure) in
        [(0, "2048.000", "50.0"), (1, "2048.000", "75.0"), (2, " ", " "), (3, " ", " "), (7, "1024", "100")]
    {
        let _ = write!(
            log,
            "\"09/22/2026 10:{minute:02}:00.000\",\"4096\",\"{physical}\",\"{pressure}\",\"16384\",\"0\",\"9999999999\"\r\n"
        );
    }
    log
}

#[test]
fn demand_is_rebuilt_from_pressure_and_gaps_are_named() {
    let load = good(&[("log.csv", &perfmon())]);
    assert_eq!(demand(&load, "web01"), [(0, 1024), (60, 1536), (420, 1024)]);
    assert_eq!(load.host.as_deref(), Some("HV01"));
    // The host's own Committed Bytes are no guest's.
    assert_eq!(load.vms.len(), 2);
    assert!(!load.vms[0].settings.dynamic && load.vms[0].name == "SQL01", "{:?}", load.vms);
    let gap = load
        .remarks
        .iter()
        .find(|remark| remark.starts_with("web01: a gap of 6m"))
        .unwrap_or_else(|| panic!("{:?}", load.remarks));
    assert!(gap.contains("2026-09-22 09:01:00 UTC") && gap.contains("2 rows have no value"), "{gap}");
    let assumed = load.vms[1].assumed.join("; ");
    assert!(
        assumed.contains("startup RAM 1GB: the least that it had") && assumed.contains("maximum RAM 2GB"),
        "{assumed}"
    );
    let (text, scenario) = scenario(&load);
    assert_eq!(scenario.until, Duration::from_secs(420));
    assert!(text.contains("epoch = 2026-09-22T09:00:00Z"), "{text}");
}

#[test]
fn a_list_and_a_log_are_one_vm_whatever_the_case_of_its_name() {
    let load = good(&[("log.csv", &perfmon()), ("vms.csv", POWERSHELL_5)]);
    assert_eq!(
        load.vms.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>(),
        ["OLD (2008)", "SQL01", "WEB01"]
    );
    assert_eq!(mib(&load, "WEB01"), [1024, 512, 4096]);
    assert_eq!(demand(&load, "WEB01").len(), 3);
}

/// Export-Csv of Windows PowerShell 5 without -Encoding.
#[test]
fn letters_that_a_list_has_lost_are_those_of_the_log() {
    let log = perfmon().replace("web01", "Büro").replace("SQL01", "経理");
    let list = "Name,MemoryStartup,MemoryMinimum,MemoryMaximum,DynamicMemoryEnabled\nB?ro,1073741824,536870912,4294967296,True\n??,17179869184,536870912,17179869184,False\n";
    let load = good(&[("log.csv", &log), ("vms.csv", list)]);
    assert_eq!(load.vms.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>(), ["Büro", "経理"]);
    assert_eq!((mib(&load, "Büro"), mib(&load, "経理")), ([1024, 512, 4096], [16384; 3]));
    assert!(load.remarks.iter().any(|remark| remark.contains("B?ro is Büro")), "{:?}", load.remarks);
    // Which of two it is cannot be told.
    let log = log.replace("Büro", "人事");
    let error = read(&[("log.csv", &log), ("vms.csv", list)]).unwrap_err().to_string();
    assert!(error.starts_with("vms.csv: \"??\" has lost letters") && error.contains("人事, 経理"), "{error}");
    let twice = list.replace("B?ro", "??");
    let error = read(&[("log.csv", &perfmon().replace("SQL01", "経理")), ("vms.csv", &twice)]).unwrap_err();
    assert!(error.to_string().contains("export the list again with -Encoding UTF8"), "{error}");
    let remarks = good(&[("vms.csv", &list.replace("??", "A"))]).remarks;
    assert!(
        remarks.iter().any(|remark| remark.starts_with("B?ro: a question mark may stand")),
        "{remarks:?}"
    );
}

/// typeperf -s of two hosts: a VM is moved from one to the other.
#[test]
fn a_vm_that_moves_within_a_log_is_one_and_two_of_one_name_are_two() {
    let log = |there: [&str; 4]| {
        let mut log = "\"(PDH-CSV 4.0) (UTC)(0)\"".to_owned();
        for host in ["HV01", "HV02"] {
            for counter in ["Physical Memory", "Current Pressure"] {
                let _ = write!(log, ",\"\\\\{host}\\Hyper-V Dynamic Memory VM(WEB)\\{counter}\"");
            }
        }
        log.push_str("\r\n");
        for (minute, there) in there.into_iter().enumerate() {
            let _ = write!(log, "\"09/22/2026 10:0{minute}:00.000\",{there}\r\n");
        }
        log
    };
    let (first, second) = ("\"2048\",\"50\",\" \",\" \"", "\" \",\" \",\"2048\",\"75\"");
    let load = good(&[("log.csv", &log([first, first, second, second]))]);
    assert_eq!(load.vms.len(), 1);
    assert_eq!(demand(&load, "WEB"), [(0, 1024), (60, 1024), (120, 1536), (180, 1536)]);
    let both = log(["\"2048\",\"50\",\"4096\",\"50\""; 4]);
    // A list has the domain, or has not.
    let list = "Name,ComputerName,MemoryStartup,MemoryMaximum\nWEB,HV02.corp.example,1073741824,8589934592\nWEB,hv01,536870912,4294967296\nDB,HV01,536870912,4294967296\n";
    for files in [&[("log.csv", both.as_str())][..], &[("log.csv", &both), ("vms.csv", list)]] {
        let load = good(files);
        assert!(
            load.remarks.iter().any(|remark| remark.starts_with("there are 2 VMs called WEB, on hv0")),
            "{:?}",
            load.remarks
        );
        let of = |host: &str| {
            let mut on =
                load.vms.iter().filter(|vm| vm.name == "WEB").filter(|vm| {
                    vm.host.as_ref().is_some_and(|known| known.to_lowercase().starts_with(host))
                });
            let vm = on.next().unwrap_or_else(|| panic!("{:?}", load.vms));
            assert!(on.next().is_none());
            (vm.demand.peak().map(page_range::PageCount::whole_mib), vm.settings.maximum.whole_mib())
        };
        assert_eq!((of("hv01").0, of("hv02").0), (Some(1024), Some(2048)));
        let (text, _) = scenario(&load);
        assert!(text.contains("name = \"WEB\"") && text.contains("name = \"WEB-2\""), "{text}");
        if files.len() == 2 {
            assert_eq!((load.vms.len(), of("hv01").1, of("hv02").1), (3, 4096, 8192));
        }
    }
}

#[test]
fn a_guest_without_dynamic_memory_tells_itself_what_it_demands() {
    let log = "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\sql01.contoso.com\\Memory\\Committed Bytes\",\"\\\\APP\\Memory\\Available MBytes\"\r\n\
        \"09/22/2026 10:00:00.000\",\"12884901888\",\"500\"\r\n\"09/22/2026 10:00:15.000\",\"13958643712\",\"600\"\r\n";
    let list = "Name,MemoryStartup,DynamicMemoryEnabled\nSQL01,17179869184,False\nAPP,2147483648,False\n";
    let load = good(&[("guests.csv", log), ("vms.csv", list)]);
    assert_eq!(demand(&load, "SQL01"), [(0, 12288), (15, 13312)]);
    assert_eq!(demand(&load, "APP"), [(0, 1548), (15, 1448)]);
    let alone = good(&[("guests.csv", log)]);
    assert!(
        alone.remarks.iter().any(|remark| remark.contains("of APP there is Available MBytes alone")),
        "{:?}",
        alone.remarks
    );
}

#[test]
fn german_counters_are_known_or_asked_for() {
    let known = "\"(PDH-CSV 4.0) (Mitteleuropäische Zeit)(-60)\",\"\\\\WEB01\\Arbeitsspeicher\\Zugesicherte Bytes\"\r\n\"09/22/2026 10:00:00.000\",\"1073741824\"\r\n\"09/22/2026 10:01:00.000\",\"2147483648\"\r\n";
    assert_eq!(demand(&good(&[("log.csv", known)]), "WEB01"), [(0, 1024), (60, 2048)]);
    // A host's, as a German spreadsheet writes it again.
    let host = "\"(PDH-CSV 4.0) (Mitteleuropäische Zeit)(-60)\";\"\\\\HV01\\Hyper-V-VM mit dynamischem Arbeitsspeicher(WEB01)\\Physischer Speicher\";\"\\\\HV01\\Hyper-V-VM mit dynamischem Arbeitsspeicher(WEB01)\\Aktueller Druck\"\r\n\"09/22/2026 10:00:00.000\";\"2048,000000\";\"62,500000\"\r\n\"09/22/2026 10:01:00.000\";\"2048,000000\";\"75,000000\"\r\n";
    let utf16: Vec<u8> = format!("\u{feff}{host}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let load = read_inputs(&[Input::of_bytes("log.csv", utf16)], &Options::default());
    assert_eq!(demand(&load.unwrap_or_else(|error| panic!("{error}")), "WEB01"), [(0, 1280), (60, 1536)]);
    let unknown = known.replace(
        "\\\\WEB01\\Arbeitsspeicher\\Zugesicherte Bytes",
        "\\\\HV01\\Hyper-V-VM für Arbeitsspeicher(WEB01)\\Physischer Speicher",
    );
    let latin: Vec<u8> = known.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let load = read_inputs(&[Input::of_bytes("log.csv", latin)], &Options::default()).unwrap();
    assert!(
        load.remarks[0].ends_with("(iconv -f CODEPAGE -t UTF-8), or name it: --code-page 932, or the like")
    );
    let error = read(&[("log.csv", &unknown)]).unwrap_err().to_string();
    assert!(
        error.contains("--counter \"Physical Memory=…\"")
            && error.contains("\"Hyper-V-VM für Arbeitsspeicher\""),
        "{error}"
    );
}

#[test]
fn prometheus_answers_with_old_and_new_names() {
    for (physical, times) in [("physical_bytes", 1.0), ("physical", 1.0)] {
        let answer = serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {"__name__": format!("windows_hyperv_dynamic_memory_vm_{physical}"), "vm": "WEB01", "instance": "hv01:9182"},
             "values": [[1_790_000_000.0, (2147483648.0 * times).to_string()], [1_790_000_060.0, "2147483648"]]},
            {"metric": {"__name__": "windows_hyperv_dynamic_memory_vm_pressure_current_ratio", "vm": "WEB01", "instance": "hv01:9182"},
             "values": [[1_790_000_000.0, "0.5"], [1_790_000_060.0, "1.25"]]},
            {"metric": {"__name__": "windows_hyperv_dynamic_memory_vm_physical_bytes", "vm": "------"}, "values": [[1_790_000_000.0, "5"]]},
        ]}});
        let load = good(&[("range.json", &answer.to_string())]);
        assert_eq!(demand(&load, "WEB01"), [(0, 1024), (60, 2560)]);
        assert_eq!(load.host.as_deref(), Some("hv01"));
    }
    let refused = |text: &str| read(&[("range.json", text)]).unwrap_err().to_string();
    assert!(
        refused(r#"{"status":"error","error":"parse error"}"#)
            .contains("the server answered error: parse error")
    );
    assert!(
        refused(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#)
            .contains("no series at all")
    );
    assert!(refused(r#"{"status":"success","data":{"resultType":"scalar"}}"#).contains("query_range"));
    assert!(refused("{\"a\":").contains("no answer of Prometheus"));
    let small = r#"{"data":{"resultType":"matrix","result":[{"metric":{"__name__":"windows_hyperv_dynamic_memory_vm_physical","vm":"A"},"values":[[1,"2048"]]}]}}"#;
    assert!(refused(small).contains("--unit \"windows_hyperv_dynamic_memory_vm_physical=MB\""));
}

#[test]
fn rvtools_is_a_snapshot_by_names_of_columns() {
    let list = "VM,Powerstate,Template,SRM Placeholder,Size MiB,Custom field,Consumed,Active,OS according to the configuration file\n\
        web,poweredOn,False,False,8192,x,5000,800,Ubuntu Linux (64-bit)\nold,poweredOff,False,False,4096,,0,0,\ngold,poweredOff,True,False,4096,,0,0,\n";
    let load = good(&[("vMemory.csv", list)]);
    assert_eq!(load.sources[0].kind, Kind::RvTools);
    assert_eq!(load.vms.len(), 2);
    assert_eq!(mib(&load, "web"), [512, 512, 8192]);
    assert_eq!(load.vms[1].demand, Demand::Snapshot(page_range::PageCount::from_mib(5000)));
    let evidence = load.evidence();
    assert_eq!((evidence.recorded, evidence.snapshots.len(), evidence.interval_s), (0, 1, None));
    let (text, _) = scenario(&load);
    assert!(
        text.contains("guest = \"linux\"") && text.contains("every page that the guest ever touched"),
        "{text}"
    );
}

/// All columns of vMemory, whose limits are mostly -1: unlimited.
#[test]
fn rvtools_is_told_from_get_vm_whatever_its_columns_are_called() {
    let list = "VM,Powerstate,Template,SRM Placeholder,Size MiB,Memory Reservation Locked To Max,Overhead,Max,Consumed,Consumed Overhead,Private,Shared,Swapped,Ballooned,Active,Entitlement,DRS Entitlement,Level,Shares,Reservation,Limit,Hot Add,Annotation,Datacenter,Cluster,Host\n\
        web,poweredOn,False,False,\"8,192\",False,72,8192,5000,40,5000,0,0,0,800,4000,4000,normal,81920,0,-1,False,,DC,C1,esx1\n";
    let load = good(&[("vMemory.csv", list)]);
    assert_eq!(load.sources[0].kind, Kind::RvTools);
    assert_eq!((mib(&load, "web")[2], load.vms[0].host.as_deref()), (8192, Some("esx1")));
    assert_eq!(load.vms[0].demand, Demand::Snapshot(page_range::PageCount::from_mib(5000)));
}

#[test]
fn traces_of_the_archive_and_our_own() {
    let own = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n1,0,2097152,1048576,1\n1,300,2097152,524288,1\n";
    let load = good(&[("trace.csv", own)]);
    assert_eq!((demand(&load, "1"), mib(&load, "1")), (vec![(0, 1024), (300, 512)], [512, 512, 2048]));
    let bitbrains = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\tDisk write throughput [KB/s];\tNetwork received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\n\
        1376314846;\t4;\t11703.99824;\t10912.027692426667;\t93.2333333333333357;\t6.7108864E7;\t6129274.4;\t0.1333333333333333;\t20.6666666666666664;\t0.0;\t1.7333333333333334\n\
        1376315146;\t4;\t11703.99824;\t10890.570362319999;\t93.05;\t6.7108864E7;\t4194304;\t0;\t9;\t0.0;\t1.7\n";
    let load = good(&[("7.csv", bitbrains)]);
    assert_eq!(demand(&load, "7"), [(0, 5985), (300, 4096)]);
    assert_eq!(mib(&load, "7")[2], 65536);
}

#[test]
fn files_that_disagree_are_both_shown() {
    let other = POWERSHELL_5.replace("4294967296", "8589934592");
    let load = good(&[("monday.csv", POWERSHELL_5), ("tuesday.csv", &other)]);
    let said = load.remarks.join("\n");
    assert!(
        said.contains("WEB01: maximum RAM is 4GB in monday.csv and 8GB in tuesday.csv: the latter is taken"),
        "{said}"
    );
    assert_eq!(mib(&load, "WEB01")[2], 8192);
    let log = perfmon();
    let changed = log.replace("\"75.0\"", "\"100.0\"");
    let load = good(&[("a.csv", &log), ("b.csv", &changed)]);
    let said = load.remarks.join("\n");
    assert!(said.contains("web01: a.csv and b.csv disagree at 1 of the 3 times that both have; most at 2026-09-22 09:01:00 UTC: 1536 MB and 2048 MB"), "{said}");
    assert_eq!(demand(&load, "web01")[1], (60, 2048));
    // Files that agree say nothing.
    assert!(!good(&[("a.csv", &log), ("b.csv", &log)]).remarks.join("\n").contains("disagree"));
}

#[test]
fn files_of_no_kind_say_what_speaks_against_each() {
    let error = read(&[("notes.txt", "Dear all,\nthe VMs are full.\n")]).unwrap_err().to_string();
    for part in [
        "notes.txt is of none of the kinds that are read",
        "not a counter log (perfmon, typeperf, relog, or a run's counters.csv): its first line begins with \"Dear all,\"",
        "not an answer of Prometheus: it begins with \"Dear all,\", and not with {",
        "not a list of Get-VM or Get-VMMemory: no column of its first line",
        "not a list of RVTools: its first line has not VM, Powerstate and Size MiB",
        "not a trace (this project's, GWA-T-12 or GWA-T-13): its first line has neither",
    ] {
        assert!(error.contains(part), "{part}:\n{error}");
    }
    let table = "Name   State   CPUUsage(%) MemoryAssigned(M) Uptime\n----   -----\nVM1    Running 0           2048 00:00\n";
    assert!(read(&[("vms.txt", table)]).unwrap_err().to_string().contains("Export-Csv"));
    let blg = Input::of_bytes("log.blg", (0..200_u8).cycle().take(2000).collect());
    let error = read_inputs(&[blg], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("relog FILE.blg -f csv"), "{error}");
    assert!(read(&[("empty.csv", "")]).unwrap_err().to_string().contains("the file is empty"));
    assert!(
        read(&[("x.csv", "Name,MemoryStartup\nA\n")])
            .unwrap_err()
            .to_string()
            .contains("x.csv:2: 1 fields where the first line has 2")
    );
    let mixed = "Name,MemoryAssigned(GB),MemoryMaximum(GB)\nA,\"1,5\",\"2\"\nB,1.5,2\n";
    assert!(read(&[("x.csv", mixed)]).unwrap_err().to_string().contains("decimal separator"));
}

#[test]
fn a_balancer_without_vms_says_what_to_record() {
    let log =
        format!("\"(PDH-CSV 4.0) (UTC)(0)\",\"{BALANCER}\"\r\n\"09/22/2026 10:00:00.000\",\"4096\"\r\n");
    let error = read(&[("log.csv", &log)]).unwrap_err().to_string();
    assert!(error.contains("it is of the host HV01") && error.contains("Current Pressure"), "{error}");
}

/// A workbook of RVTools, as little of one as a reader needs: a zip archive that compresses nothing.
#[cfg(feature = "xlsx")]
fn workbook(sheets: &[(&str, &[&[&str]])]) -> Vec<u8> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut types = String::new();
    let (mut listed, mut relations) = (String::new(), String::new());
    for (number, (name, rows)) in sheets.iter().enumerate() {
        let number = number + 1;
        let mut data = String::new();
        for (line, row) in rows.iter().enumerate() {
            let _ = write!(data, "<row r=\"{}\">", line + 1);
            for (column, cell) in row.iter().enumerate() {
                let place = format!("{}{}", char::from(b'A' + column as u8), line + 1);
                let _ = match cell.parse::<f64>() {
                    Ok(number) => write!(data, "<c r=\"{place}\"><v>{number}</v></c>"),
                    Err(_) => write!(data, "<c r=\"{place}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>"),
                };
            }
            data.push_str("</row>");
        }
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        files.push((
            format!("xl/worksheets/sheet{number}.xml"),
            format!(
                "<?xml version=\"1.0\"?><worksheet xmlns=\"{main}\"><sheetData>{data}</sheetData></worksheet>"
            ),
        ));
        let _ = write!(
            types,
            "<Override PartName=\"/xl/worksheets/sheet{number}.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml\"/>"
        );
        let _ = write!(listed, "<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>");
        let _ = write!(
            relations,
            "<Relationship Id=\"rId{number}\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet{number}.xml\"/>"
        );
    }
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    files.push(("xl/workbook.xml".to_owned(), format!("<?xml version=\"1.0\"?><workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"{office}\"><sheets>{listed}</sheets></workbook>")));
    files.push(("xl/_rels/workbook.xml.rels".to_owned(), format!("<?xml version=\"1.0\"?><Relationships xmlns=\"{package}/relationships\">{relations}</Relationships>")));
    files.push(("_rels/.rels".to_owned(), format!("<?xml version=\"1.0\"?><Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>")));
    files.push(("[Content_Types].xml".to_owned(), format!("<?xml version=\"1.0\"?><Types xmlns=\"{package}/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/>{types}</Types>")));
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in &files {
        let (offset, size) = (archive.len() as u32, text.len() as u32);
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, no time.
        for half in [20_u16, 0, 0, 0, 33] {
            common.extend_from_slice(&half.to_le_bytes());
        }
        for word in [crc32fast::hash(text.as_bytes()), size, size] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        common.extend_from_slice(&(name.len() as u16).to_le_bytes());
        common.extend_from_slice(&0_u16.to_le_bytes());
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&common);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(text.as_bytes());
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (offset, size, count) = (archive.len() as u32, directory.len() as u32, files.len() as u16);
    archive.append(&mut directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&[count.to_le_bytes(), count.to_le_bytes()].concat());
    archive.extend_from_slice(&[size.to_le_bytes(), offset.to_le_bytes()].concat());
    archive.extend_from_slice(&[0; 2]);
    archive
}

#[test]
#[cfg(feature = "xlsx")]
fn a_workbook_of_rvtools_is_read_by_the_names_of_its_columns() {
    let information: &[&[&str]] = &[
        &["VM", "Powerstate", "Template", "CPUs", "Memory", "Owner", "Host"],
        &["web", "poweredOn", "False", "4", "8192", "sales", "esx1"],
        &["gold", "poweredOff", "True", "2", "4096", "", "esx1"],
    ];
    let memory: &[&[&str]] = &[
        &["VM", "Powerstate", "Template", "Size MiB", "Consumed"],
        &["web", "poweredOn", "False", "8192", "5000.5"],
    ];
    let book = workbook(&[("vInfo", information), ("vMemory", memory), ("vHealth", &[&["Name", "Message"]])]);
    let load = read_inputs(&[Input::of_bytes("rvtools.xlsx", book)], &Options::default())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(load.vms.len(), 1);
    assert_eq!((mib(&load, "web"), load.vms[0].vcpus), ([512, 512, 8192], Some(4)));
    assert_eq!(load.vms[0].demand, Demand::Snapshot(page_range::PageCount(5000 * 256 + 128)));
    let refused = |bytes: Vec<u8>| {
        read_inputs(&[Input::of_bytes("x.xlsx", bytes)], &Options::default()).unwrap_err().to_string()
    };
    let other = refused(workbook(&[("Sheet1", &[&["Dear", "all"]])]));
    assert!(other.contains("none of its sheets is a list of RVTools: sheet \"Sheet1\""), "{other}");
    assert!(refused(b"PK\x03\x04 and nothing else".to_vec()).contains("is no workbook"));
}

mod any {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nothing that a file may hold ends the program, and what can be read is a scenario.
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_inputs(&[Input::of_bytes("x", bytes)], &Options::default());
        }

        #[test]
        fn lists_of_anything_make_scenarios_or_complaints(
            cells in prop::collection::vec(("[ -~äö]{0,12}", 0_u64..1 << 42, 0_u64..1 << 42, prop::sample::select(vec!["True", "False", ""])), 1..6)
        ) {
            let mut list = "Name,MemoryStartup,MemoryMaximum,DynamicMemoryEnabled\n".to_owned();
            for (name, startup, maximum, dynamic) in &cells {
                let _ = writeln!(list, "\"{}\",{startup},{maximum},{dynamic}", name.replace('"', "\"\""));
            }
            if let Ok(load) = read(&[("x.csv", &list)]) {
                scenario(&load);
            }
        }
    }
}

/// Get-VM | Export-Csv of hosts of 2022: what was refused when the only hosts were those of 2011.
#[test]
fn vms_of_today_are_imported_as_they_are() {
    let list = "\"Name\",\"State\",\"MemoryStartup\",\"MemoryMinimum\",\"MemoryMaximum\",\"DynamicMemoryEnabled\",\"ProcessorCount\",\"Generation\",\"Version\",\"MemoryDemand\"\n\
        \"SQL01\",\"Running\",\"103079215104\",\"103079215104\",\"103079215104\",\"False\",\"8\",\"2\",\"10.0\",\"0\"\n\
        \"WEB01\",\"Running\",\"4294967296\",\"1073741824\",\"1099511627776\",\"True\",\"96\",\"2\",\"9.0\",\"1610612736\"\n\
        \"OLD01\",\"Running\",\"1073741824\",\"536870912\",\"2147483648\",\"True\",\"1\",\"1\",\"5.0\",\"600000000\"\n";
    let load = good(&[("vms.csv", list)]);
    assert_eq!(load.release, load_import::Release::OfVersions("2022"));
    let (text, scenario) = scenario(&load);
    assert!(text.contains("release = \"2022\"\n") && !text.contains("unlimited"), "{text}");
    assert_eq!(scenario.host.release.key(), "2022");
    let vm = |name: &str| scenario.vms.iter().find(|vm| vm.name == name).unwrap();
    assert_eq!((vm("SQL01").memory.startup.whole_mib(), vm("SQL01").vcpus), (96 << 10, 8));
    // Minimum RAM below startup RAM, as hosts since 2012 have it.
    let web = vm("WEB01");
    assert_eq!((web.memory.minimum.whole_mib(), web.memory.startup.whole_mib()), (1024, 4096));
    // A guest of which nothing is said is played as one that may have 64 processors.
    assert_eq!((web.vcpus, vm("OLD01").vcpus), (1, 1));
    assert_eq!(vm("OLD01").generation, Some(scenario::file::VmGeneration::One));
    // Of a list without versions the release is assumed, and that is said.
    let load = good(&[("vms.csv", POWERSHELL_5)]);
    assert_eq!(load.release, load_import::Release::Assumed("2022"));
    let (text, _) = self::scenario(&load);
    assert!(text.contains("# Assumed: no file says which Windows Server the host has"), "{text}");
}

#[test]
fn hosts_and_their_nodes_say_how_large_they_are() {
    let hosts = "\"ComputerName\",\"LogicalProcessorCount\",\"MemoryCapacity\",\"NumaSpanningEnabled\",\"Name\"\n\
        \"HV01\",\"64\",\"274743689216\",\"False\",\"HV01\"\n";
    let load = good(&[("vms.csv", POWERSHELL_5), ("hosts.csv", hosts)]);
    // What the firmware keeps is missing in what Windows counts.
    assert_eq!((load.hosts.len(), load.host_memory), (1, Some(page_range::PageCount::from_mib(256 << 10))));
    let (text, scenario) = scenario(&load);
    assert!(text.contains("logical_processors = 64\n"), "{text}");
    assert_eq!((scenario.host.memory.whole_mib(), scenario.host.name.as_str()), (256 << 10, "HV01"));
    // Get-VMHostNumaNode | Export-Csv: MemoryTotal is in MB.
    let nodes = "\"NodeId\",\"ProcessorsAvailability\",\"MemoryAvailable\",\"MemoryTotal\",\"ComputerName\"\n\
        \"0\",\"System.Int32[]\",\"1000\",\"8192\",\"HV01\"\n\"1\",\"System.Int32[]\",\"1000\",\"8192\",\"HV01\"\n";
    let load = good(&[("vms.csv", POWERSHELL_5), ("nodes.csv", nodes)]);
    assert_eq!(load.host_memory, Some(page_range::PageCount::from_mib(16 << 10)));
    let load = good(&[("vms.csv", POWERSHELL_5), ("hosts.csv", hosts), ("nodes.csv", nodes)]);
    assert_eq!((load.hosts.len(), load.host_memory), (1, Some(page_range::PageCount::from_mib(256 << 10))));
    let told = "HV01: NUMA spanning is off, so that no VM can have more than a node's 8 GB, which is less than the maximum of SQL01: nodes are not modelled";
    assert!(load.remarks.iter().any(|remark| remark == told), "{:?}", load.remarks);
    // Of several hosts none is the scenario's.
    let two = format!("{hosts}\"HV02\",\"64\",\"549755813888\",\"True\",\"HV02\"\n");
    let load = good(&[("vms.csv", POWERSHELL_5), ("hosts.csv", &two)]);
    assert_eq!((load.hosts.len(), load.host_memory), (2, None));
    assert!(
        load.remarks
            .iter()
            .any(|remark| remark.starts_with("the files list 2 hosts: HV01 with 256 GB, HV02 with 512 GB"))
    );
}

/// GWA-T-13: quotes, semicolons, decimal commas, dates.
#[test]
fn materna_s_traces_have_dates_and_are_joined_with_lists() {
    let materna = "\"Timestamp\";\"CPU cores\";\"CPU capacity provisioned [MHZ]\";\"CPU usage [MHZ]\";\"CPU usage [%]\";\"Memory capacity provisioned [KB]\";\"Memory usage [KB]\";\"Memory usage [%]\";\"Disk read throughput [KB/s]\"\n\
        \"04.11.2015 00:00:00\";\"2\";\"0\";\"57\";\"1,37\";\"4194304\";\"1048576,5\";\"25,0\";\"40\"\n\
        \"04.11.2015 00:05:00\";\"2\";\"0\";\"57\";\"1,37\";\"4194304\";\"524288\";\"12,5\";\"40\"\n";
    let load = good(&[("01.csv", materna)]);
    assert_eq!(load.sources[0].kind, Kind::Trace);
    assert_eq!((demand(&load, "01"), mib(&load, "01")), (vec![(0, 1024), (300, 512)], [512, 512, 4096]));
    let list = "Name,MemoryStartup,MemoryMinimum,MemoryMaximum\n01,1073741824,536870912,8589934592\n";
    let load = good(&[("01.csv", materna), ("vms.csv", list)]);
    assert_eq!(mib(&load, "01"), [1024, 512, 8192]);
    scenario(&load);
}

/// Get-VM has neither buffer nor priority: what is taken for them is in the file, with the reason.
#[test]
fn settings_that_no_file_says_are_told_as_assumed() {
    let memory = "VMName,DynamicMemoryEnabled,Minimum,Startup,Maximum,Buffer,Priority\n\
        WEB01,True,536870912,1073741824,4294967296,30,80\n";
    let without = good(&[("vms.csv", POWERSHELL_5)]);
    let (toml, _) = scenario(&without);
    assert!(toml.contains("\n# Assumed:\n"), "{toml}");
    for told in [
        "OLD (2008), WEB01: memory buffer 20 %: no file",
        "OLD (2008), SQL01, WEB01: memory priority 50: no file",
    ] {
        assert!(toml.contains(told), "{told}\n{toml}");
    }
    let with = good(&[("vms.csv", POWERSHELL_5), ("memory.csv", memory)]);
    let web = with.vms.iter().find(|vm| vm.name == "WEB01").unwrap();
    assert_eq!((web.settings.buffer, web.settings.priority, &web.assumed[..]), (30, 80, &[][..]));
    // A list of names and sizes does not say that Dynamic Memory is on.
    let names = good(&[("names.csv", "Name,MemoryStartup\nA,1073741824\n")]);
    assert!(names.vms[0].assumed.contains(&"Dynamic Memory on: no file says it".to_owned()), "{names:?}");
}

#[test]
fn a_log_without_rows_is_no_log() {
    let error = read(&[(
        "log.csv",
        "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\HV01\\Hyper-V Dynamic Memory VM(A)\\Physical Memory\"\r\n",
    )])
    .unwrap_err();
    assert!(error.to_string().contains("log.csv: it has a first line"), "{error}");
}
