//! The daemon's file, `dynmemd.toml`: read with the care, and the complaints, of scenario files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory_balancer::BalancerConfig;
use page_range::PageCount;
use qemu_host::{Rules, VmRules};
use scenario::file::{
    BadScenario, Diagnostic, Form, KeyDoc, LoadOptions, Located, SourceText, Table, TableDoc, read_document,
    read_policy,
};

/// Bytes that are read of a file. Invented: as of scenario files.
const MOST_BYTES: u64 = 4 << 20;
/// Weight for each step of priority: PowerShell's 0 to 100 (documented).
const WEIGHT_PER_PRIORITY: u32 = balancing_policy::MemorySettings::WEIGHT_PER_PRIORITY;

const fn key(name: &'static str, form: Form, default: &'static str, meaning: &'static str) -> KeyDoc {
    KeyDoc { name, form, default, meaning }
}

static ROOT: TableDoc = TableDoc {
    name: "the configuration of dynmemd",
    summary: "The daemon.",
    groups: &[&[
        key("qmp", Form::Texts, "", "QMP sockets, or patterns such as \"/run/vms/*.qmp\" (`--qmp`)."),
        key(
            "libvirt",
            Form::Text,
            "",
            "A libvirt, all of whose domains are looked after, such as \"qemu:///system\" (`--libvirt`).",
        ),
        key("dry_run", Form::Boolean, "false", "Nothing is moved; what would be done is said (`--dry-run`)."),
        key("metrics", Form::Text, "", "Where Prometheus may ask, such as \"127.0.0.1:9182\" (`--metrics`)."),
        key("control", Form::Text, "", "The socket of dynmemctl (`--control`)."),
        key("record", Form::Text, "", "The folder in which records are left (`--record`)."),
        key(
            "record_keep",
            Form::Size,
            "1GB",
            "Older records are deleted when all together are larger than this.",
        ),
        key("host", Form::Table, "", "The host."),
        key("policy", Form::Table, "", "The balancing policy."),
        key("default", Form::Table, "", "What holds for VMs of which nothing else is said."),
        key("vm", Form::Tables, "", "One VM, or all whose names fit a pattern."),
    ]],
};

static HOST: TableDoc = TableDoc {
    name: "[host]",
    summary: "The host.",
    groups: &[&[
        key("memory", Form::Size, "all of the host's", "Memory of VMs and reserve together (`--memory`)."),
        key(
            "memory_reserve",
            Form::Size,
            "384 MB and 30 MB for each GB",
            "Memory that stays with the host (`--reserve`).",
        ),
    ]],
};

static SETTINGS: [KeyDoc; 5] = [
    key("dynamic_memory_enabled", Form::Boolean, "true", "Whether the VM's memory may be moved."),
    key(
        "minimum_bytes",
        Form::Size,
        "a quarter of what the VM can have, at least 256MB",
        "Never less than this.",
    ),
    key("maximum_bytes", Form::Size, "what the VM can have", "Never more than this."),
    key("buffer", Form::Integer("percent"), "20", "Memory on top of what the guest needs."),
    key("priority", Form::Integer("0 to 100"), "50", "Whose memory counts more when there is not enough."),
];

static DEFAULT: TableDoc =
    TableDoc { name: "[default]", summary: "VMs of which nothing else is said.", groups: &[&SETTINGS] };

static VM: TableDoc = TableDoc {
    name: "[[vm]]",
    summary: "One VM, or all whose names fit a pattern.",
    groups: &[
        &[key(
            "name",
            Form::Text,
            "",
            "The VM's name (`-name guest=NAME`, or that of its socket), or a pattern such as \"web-*\".",
        )],
        &SETTINGS,
    ],
};

/// What a file, or a command, says about VMs; the rest is said elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) on: Option<bool>,
    pub(crate) minimum: Option<PageCount>,
    pub(crate) maximum: Option<PageCount>,
    pub(crate) buffer: Option<u32>,
    pub(crate) priority: Option<u32>,
}

impl Said {
    /// This, and `other` where this says nothing.
    fn or(self, other: Self) -> Self {
        Self {
            on: self.on.or(other.on),
            minimum: self.minimum.or(other.minimum),
            maximum: self.maximum.or(other.maximum),
            buffer: self.buffer.or(other.buffer),
            priority: self.priority.or(other.priority),
        }
    }

    /// What `newer` says is said from now on.
    pub(crate) fn over(&mut self, newer: Self) {
        *self = newer.or(*self);
    }

    fn rules(self) -> VmRules {
        let usual = VmRules::default();
        VmRules {
            on: self.on.unwrap_or(usual.on),
            minimum: self.minimum,
            maximum: self.maximum,
            buffer: self.buffer.unwrap_or(usual.buffer),
            weight: self.priority.map_or(usual.weight, |priority| priority * WEIGHT_PER_PRIORITY),
        }
    }
}

/// What the file says, or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) qmp: Vec<String>,
    pub(crate) libvirt: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) control: Option<PathBuf>,
    pub(crate) record: Option<PathBuf>,
    pub(crate) record_keep: Option<u64>,
    pub(crate) memory: Option<PageCount>,
    pub(crate) reserve: Option<PageCount>,
    pub(crate) policy: Option<String>,
    pub(crate) parameters: toml::Table,
    default: Said,
    vms: Vec<(glob::Pattern, Said)>,
    /// What was said while the daemon runs, by a VM's name.
    pub(crate) by_hand: BTreeMap<String, Said>,
    /// The file's text, for the record.
    pub(crate) text: Arc<str>,
}

impl Rules for Config {
    fn vm(&self, name: &str) -> VmRules {
        let by_hand = self.by_hand.get(name).copied().unwrap_or_default();
        // A name itself says more than a pattern, and an earlier pattern more than a later one.
        let exact = self.vms.iter().filter(|(pattern, _)| pattern.as_str() == name);
        let fits = self.vms.iter().filter(|(pattern, _)| pattern.matches(name));
        exact.chain(fits).fold(by_hand, |said, (_, more)| said.or(*more)).or(self.default).rules()
    }

    fn reserve(&self, total: PageCount) -> PageCount {
        self.reserve.unwrap_or_else(|| BalancerConfig::default_reserve(total))
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(path: &Path) -> Result<Self, BadScenario> {
        let unreadable =
            |why: String| Diagnostic::of_file(path, format!("the configuration cannot be read: {why}"));
        let bytes = input_file::read(path, MOST_BYTES).map_err(|error| unreadable(error.to_string()))?;
        let text = input_file::decode(bytes).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(&SourceText::new(path, text))
    }

    fn parse(source: &SourceText) -> Result<Self, BadScenario> {
        let config = read_document(source, &ROOT, read)?;
        Ok(Self { text: Arc::from(source.text()), ..config })
    }
}

fn read(root: &Table<'_, '_>) -> Option<Config> {
    let options = LoadOptions {
        policies: policy_catalogue::names().map(str::to_owned).collect(),
        ..LoadOptions::default()
    };
    let policy = read_policy(root, &options);
    let host = root.table("host", &HOST);
    let path = |key| root.text(key).map(|text| PathBuf::from(text.value));
    let mut vms = Vec::new();
    for (entries, span) in root.tables("vm") {
        let table = Table::new(root.reader, &VM, entries, &span);
        let name = table.text("name");
        let said = settings(&table);
        if let Some(name) = table.required("name", name)
            && let Some(pattern) = pattern(&table, "name", &name)
        {
            vms.push((pattern, said));
        }
    }
    let qmp = root.texts("qmp").map_or_else(Vec::new, |texts| texts.value);
    Some(Config {
        qmp: qmp
            .into_iter()
            .filter(|text| pattern(root, "qmp", text).is_some())
            .map(|text| text.value)
            .collect(),
        libvirt: root.text("libvirt").map(|text| text.value),
        dry_run: root.boolean("dry_run").is_some_and(|dry_run| dry_run.value),
        metrics: root.text("metrics").and_then(|text| address(root, &text)),
        control: path("control"),
        record: path("record"),
        record_keep: root.size("record_keep").map(|size| size.value.bytes()),
        memory: host.and_then(|host| host.size("memory")).map(|size| size.value),
        reserve: host.and_then(|host| host.size("memory_reserve")).map(|size| size.value),
        policy: policy.name.as_ref().map(|name| name.value.clone()),
        parameters: policy.table(),
        default: root.table("default", &DEFAULT).map_or_else(Said::default, |table| settings(&table)),
        vms,
        by_hand: BTreeMap::new(),
        text: Arc::from(""),
    })
}

fn pattern(table: &Table<'_, '_>, key: &str, text: &Located<String>) -> Option<glob::Pattern> {
    match glob::Pattern::new(&text.value) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let complaint = table.bad_value(key, &text.span, format!("`{key}` is no pattern: {}", error.msg));
            table
                .reader
                .add(complaint.allowed("a name, in which * stands for anything and ? for any character"));
            None
        }
    }
}

fn address(root: &Table<'_, '_>, text: &Located<String>) -> Option<SocketAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let complaint =
            root.bad_value("metrics", &text.span, format!("`metrics` cannot be {:?}", text.value));
        root.reader.add(complaint.allowed("an address of this host and a port, such as \"127.0.0.1:9182\""));
    }
    address
}

fn settings(table: &Table<'_, '_>) -> Said {
    let number = |found: Option<Located<u64>>| found.and_then(|found| u32::try_from(found.value).ok());
    let (minimum, maximum) = (table.size("minimum_bytes"), table.size("maximum_bytes"));
    if let (Some(minimum), Some(maximum)) = (&minimum, &maximum)
        && minimum.value > maximum.value
    {
        let complaint = table.bad_value("minimum_bytes", &minimum.span, "the minimum is above the maximum");
        table.reader.add(complaint.help("set `minimum_bytes` to `maximum_bytes` at most"));
    }
    Said {
        on: table.boolean("dynamic_memory_enabled").map(|on| on.value),
        minimum: minimum.map(|size| size.value),
        maximum: maximum.map(|size| size.value),
        buffer: number(table.buffer("buffer")),
        priority: number(table.integer("priority", 0, 100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&SourceText::new("dynmemd.toml", text)).map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_vm_goes_by_its_name_then_by_patterns_then_by_the_default() {
        let config = parse(
            "qmp = \"/run/vms/*.qmp\"\n[default]\nbuffer = 30\n[[vm]]\nname = \"web-*\"\npriority = 80\nminimum_bytes = \"512MB\"\n\
             [[vm]]\nname = \"web-1\"\npriority = 10\n[[vm]]\nname = \"old\"\ndynamic_memory_enabled = false\n",
        )
        .unwrap();
        let web = config.vm("web-1");
        assert_eq!((web.weight, web.buffer, web.minimum), (1000, 30, Some(PageCount::from_mib(512))));
        assert_eq!((config.vm("web-2").weight, config.vm("db").weight), (8000, 5000));
        assert!(!config.vm("old").on && config.vm("db").on);
        let mut by_hand = config.clone();
        by_hand.by_hand.insert("web-1".to_owned(), Said { priority: Some(99), ..Said::default() });
        assert_eq!(by_hand.vm("web-1").weight, 9900);
        assert_eq!(config.qmp, ["/run/vms/*.qmp"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_its_mend() {
        for (text, expected) in [
            ("qpm = \"x\"", "`qpm` is not a key of the configuration of dynmemd"),
            ("[[vm]]\nname = \"a\"\nminimum_bytes = 512", "write \"512MB\" if MB are meant"),
            ("[[vm]]\nbuffer = 20", "`name` is missing in [[vm]]"),
            ("[[vm]]\nname = \"a\"\nweight = 3", "write `priority`"),
            (
                "[default]\nminimum_bytes = \"2GB\"\nmaximum_bytes = \"1GB\"",
                "the minimum is above the maximum",
            ),
            ("[policy]\nname = \"hyprev\"", "did you mean `hyperv`?"),
            ("metrics = \"9182\"", "such as \"127.0.0.1:9182\""),
            ("qmp = \"/run/[\"", "is no pattern"),
            ("[host", "this is not TOML"),
            ("[default]\nbuffer = 3", "a whole number from 5 to 2000"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(expected) && told.contains("dynmemd.toml:"), "{text:?}: {told}");
        }
    }

    #[test]
    fn nothing_need_be_said() {
        let config = parse("").unwrap();
        assert_eq!(config.vm("any"), VmRules::default());
        assert_eq!(config.reserve(PageCount::from_mib(32 << 10)), PageCount::from_mib(1344));
    }
}
