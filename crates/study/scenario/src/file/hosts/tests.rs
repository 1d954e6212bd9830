use std::time::Duration;

use super::super::{LoadOptions, Scenario, parse, parse_all};
use super::seed_of_host;

/// Two kinds of hosts, VMs on all, on some and on one, and what happens on all and on one.
const FLEET: &str = r#"# A fleet.
until = "10m"
seed = 7

[[host]] # three small ones
name = "SMALL{n}"
numbers = "1..3"
memory = "8GB"
[host.parent_os]
trimming = true

[[host]]
name = "LARGE"
memory = "64GB"

[workloads.quiet]
kind = "idle"

[[vm]]
name = "VM{n}"
numbers = "1..4"
guest = "linux"
startup_bytes = "512MB"
workload = "quiet"
[vm.odd]
buffer = 30

[[vm]]
name = "DB"
host = "LARGE"
guest = "linux"
startup_bytes = "1GB"

[[vm]]
host = [
    "SMALL2",
    "LARGE",
]
name = "WEB{n}"
numbers = "1..1"
guest = "linux"
startup_bytes = "1GB"

# Only behind other tables: this belongs to the last [[vm]] all the same.
[balancer]
minimum_move = "16MB"
[vm.only.WEB1]
buffer = 50

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "5m"
host = "LARGE"
action = "stop"
vm = "DB"

[[check]]
name = "no_failed_start"
host = "LARGE"
"#;

fn all(text: &str) -> Vec<Scenario> {
    parse_all("fleet.toml", text, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    parse_all("fleet.toml", text, &LoadOptions::default()).unwrap_err().to_string()
}

#[test]
fn every_host_has_what_belongs_to_it() {
    let hosts = all(FLEET);
    let names: Vec<&str> = hosts.iter().map(|scenario| scenario.host.name.as_str()).collect();
    assert_eq!(names, ["SMALL1", "SMALL2", "SMALL3", "LARGE"]);
    let vms = |at: usize| hosts[at].vms.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>();
    assert_eq!(vms(0), ["VM1", "VM2", "VM3", "VM4"]);
    assert_eq!(vms(1), ["VM1", "VM2", "VM3", "VM4", "WEB1"]);
    assert_eq!(vms(3), ["VM1", "VM2", "VM3", "VM4", "DB", "WEB1"]);
    assert_eq!((hosts[0].timeline.len(), hosts[3].timeline.len()), (1, 2));
    assert_eq!((hosts[0].checks.len(), hosts[3].checks.len()), (0, 1));
    assert_eq!(hosts[3].host.memory.whole_mib(), 64 * 1024);
    assert_eq!(hosts[0].host.parent_os.trimming, Some(true));
    assert_eq!(hosts[3].host.parent_os.trimming, None);
    let web = hosts[1].vms.last().unwrap();
    assert_eq!((web.memory.buffer, hosts[1].vms[0].memory.buffer), (50, 30));
    for (scenario, name) in hosts.iter().zip(names) {
        assert_eq!((scenario.name.as_str(), scenario.until), ("fleet", Duration::from_secs(600)));
        assert_eq!(scenario.seed, seed_of_host(7, name));
        assert_eq!((scenario.seed_of_file, scenario.seed_for(9)), (Some(7), seed_of_host(9, name)));
    }
}

/// What a host's folder keeps is a file of that host alone, with every line where it was.
#[test]
fn the_text_of_a_host_is_a_file_of_its_own() {
    for scenario in all(FLEET) {
        let text = scenario.source.text();
        assert_eq!(text.lines().count(), FLEET.lines().count(), "{text}");
        let alone = parse("fleet.toml", text, &LoadOptions::default())
            .unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((&alone.host, alone.vms.len()), (&scenario.host, scenario.vms.len()));
        assert_eq!((alone.seed_of_file, alone.seed, alone.seed_for(9)), (None, 7, 9));
        assert_eq!(alone.plan(scenario.seed, alone.until), scenario.plan(scenario.seed, scenario.until));
    }
}

#[test]
fn a_host_s_seed_depends_on_its_name_and_not_on_the_others() {
    assert_eq!(seed_of_host(1, "HOST1"), seed_of_host(1, "HOST1"));
    assert_ne!(seed_of_host(1, "HOST1"), seed_of_host(1, "HOST2"));
    assert_ne!(seed_of_host(1, "HOST1"), seed_of_host(2, "HOST1"));
    assert!(seed_of_host(u64::MAX, "HOST1") < 1 << 53);
    let fewer = all(&FLEET.replace("1..3", "2..3"));
    assert_eq!(fewer[0].seed, all(FLEET)[1].seed);
}

#[test]
fn a_file_of_one_host_is_as_it_was() {
    let one = "until = \"1m\"\nhost = { memory = \"8GB\" }\nvm = [{ name = \"A\", guest = \"linux\", startup_bytes = \"512MB\" }]\n";
    let scenario = parse("one.toml", one, &LoadOptions::default()).unwrap();
    assert_eq!((scenario.seed, scenario.seed_of_file, scenario.source.text()), (1, None, one));
    // One of its kind may be in a list.
    let list = "until = \"1m\"\n[[host]]\nmemory = \"8GB\"\n[[vm]]\nname = \"A\"\nhost = \"HOST\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n";
    assert_eq!(parse("one.toml", list, &LoadOptions::default()).unwrap().host.name, "HOST");
    // Whoever runs one host says how many there are.
    let error = parse("fleet.toml", FLEET, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("this file has 4 hosts, and this command runs one"), "{error}");
}

/// Complaints name the place in the file as its user wrote it, once for all hosts.
#[test]
fn what_is_wrong_is_told_at_its_place() {
    let error = refused(&FLEET.replace(
        "guest = \"linux\"\nstartup_bytes = \"512MB\"",
        "guest = \"linx\"\nstartup_bytes = \"512MB\"",
    ));
    assert_eq!(error.matches("linx").count(), 2, "once, with its excerpt: {error}");
    let line = FLEET.lines().position(|line| line == "guest = \"linux\"").unwrap() + 1;
    assert!(error.contains(&format!("fleet.toml (for the host SMALL1):{line}:")), "{error}");
    for (from, to, part) in [
        ("host = \"LARGE\"\nguest", "host = \"LARGF\"\nguest", "there is no host \"LARGF\""),
        ("host = \"LARGE\"\nguest", "host = 3\nguest", "this names no host"),
        ("host = \"LARGE\"\nguest", "host = []\nguest", "this names no host"),
        ("1..3", "3..1", "the last number is below the first"),
        ("1..3", "1..99999", "these are too many hosts"),
        ("1..3", "some", "these are no numbers of hosts"),
        ("SMALL{n}", "SMALL", "all of these hosts would be named"),
        ("\"LARGE\"\nmemory", "\"LARGE{n}\"\nmemory", "there are no `numbers`"),
        ("name = \"LARGE\"\nmemory", "name = \"small2\"\nmemory", "two hosts are named \"small2\""),
    ] {
        assert_eq!(FLEET.matches(from).count(), 1, "{from}");
        let error = refused(&FLEET.replace(from, to));
        assert!(error.contains(part), "{part}: {error}");
    }
    let near = refused(&FLEET.replace("host = \"LARGE\"\nguest", "host = \"LARGF\"\nguest"));
    assert!(
        near.contains("did you mean `LARGE`?") && near.contains("SMALL1, SMALL2, SMALL3, LARGE"),
        "{near}"
    );
    let inline = "until = \"1m\"\nhost = { memory = \"8GB\", name = \"H{n}\", numbers = \"1..2\" }\n[[vm]]\nname = \"A\"\nguest = \"linux\"\n";
    assert!(refused(inline).contains("a header of its own"), "{}", refused(inline));
    for empty in ["until = \"1m\"\nhost = []\n", "until = \"1m\"\nhost = [3]\n", "until = \"1m\"\nhost = 3\n"]
    {
        assert!(!refused(empty).is_empty());
    }
}

proptest::proptest! {
    /// However a file is damaged, it is read or refused: nothing panics.
    #[test]
    fn damaged_files_are_refused(at in 0_usize..2000, with in "[\\[\\]{}=\"'#a-z\n ]{0,4}", cut in 0_usize..40) {
        let at = at % FLEET.len();
        let end = (at + cut).min(FLEET.len());
        let text = format!("{}{with}{}", &FLEET[..at], &FLEET[end..]);
        if let Ok(scenarios) = parse_all("fleet.toml", text, &LoadOptions::default()) {
            proptest::prop_assert!(!scenarios.is_empty());
        }
    }
}
