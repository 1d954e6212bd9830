//! `[[vm]]`: VMs and groups of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    host::allowed_since,
    names::check_name,
    reader::{Table, type_name},
    schema,
    vm::{Surroundings, Vm},
    vm_settings::VmSettings,
};

/// As many VMs as a group may have, so that a slip of the finger does not take all memory.
const MOST_IN_GROUP: u64 = 65_536;

/// The VMs of a file, as far as they are good.
#[derive(Default)]
pub(super) struct Configured {
    pub(super) vms: Vec<Vm>,
    /// Names of VMs that are configured wrongly: nothing else needs to be said about them.
    pub(super) refused: Vec<String>,
    /// Whether there are VMs of which not even the name is known.
    pub(super) nameless: bool,
}

/// Reads all `[[vm]]`.
pub(super) fn read(root: &Table<'_, '_>, around: &Surroundings<'_>) -> Configured {
    let mut configured = Configured::default();
    let tables = root.tables("vm");
    if tables.is_empty() {
        root.required("vm", None::<()>);
    }
    // Groups whose names differ only in the number are one list, in the order of the numbers.
    let mut groups: Vec<Vec<Vm>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (entries, span) in tables {
        let table = Table::new(root.reader, &schema::VM, entries, &span);
        let Some((pattern, mut vms)) = read_group(&table, around, &mut configured.refused) else {
            configured.nameless = true;
            continue;
        };
        match known.get(&pattern).and_then(|at| groups.get_mut(*at)) {
            Some(group) => group.append(&mut vms),
            None => {
                if pattern.contains("{n}") {
                    known.insert(pattern, groups.len());
                }
                groups.push(vms);
            }
        }
    }
    for vms in &mut groups {
        vms.sort_by_key(|vm| vm.number.parse::<u64>().unwrap_or(u64::MAX));
    }
    let vms: Vec<Vm> = groups.into_iter().flatten().collect();
    check_names(root, around, &vms);
    if let Some(limit) = around.limits().configured_vms
        && let Some(excess) = vms.get(limit)
    {
        root.reader.add(
            root.reader
                .complain(&excess.span, format!("{} VMs are configured", vms.len()))
                .key("vm")
                .value(excess.name.clone())
                .label(format!("{:?} is VM number {}", excess.name, limit + 1))
                .allowed(format!("{limit} configured VMs on a host of edition {:?}", around.edition().key()))
                .help(allowed_since("a host with so many", |_, limits| limits.configured_vms.is_none())),
        );
    }
    configured.vms = vms;
    configured
}

fn check_names(root: &Table<'_, '_>, around: &Surroundings<'_>, vms: &[Vm]) {
    let mut seen: BTreeMap<String, &Vm> = BTreeMap::new();
    let mut reported = BTreeSet::new();
    for vm in vms {
        let plain = vm.name.to_lowercase();
        let complaint = if let Some(first) = seen.get(&plain) {
            root.reader.complain(&vm.span, format!("two VMs are named {:?}", vm.name)).label(format!(
                "the first {:?} is configured in line {}",
                first.name,
                root.reader.line(&first.span)
            ))
        } else if around.host.is_some_and(|host| host.name.to_lowercase() == plain) {
            root.reader.complain(&vm.span, format!("a VM has the host's name, {:?}", vm.name))
        } else {
            seen.insert(plain, vm);
            continue;
        };
        // A group that collides with another does so in many names; the first tells all.
        if reported.insert(vm.span.start) {
            let help = if vm.name.contains(|c: char| c.is_ascii_digit()) {
                "give them other `numbers`, or another `name`"
            } else {
                "give it another `name`, or `numbers` and `{n}` in its name"
            };
            root.reader.add(
                complaint
                    .key("name")
                    .value(vm.name.clone())
                    .allowed("names that differ, in more than upper and lower case")
                    .help(help),
            );
        }
    }
}

fn read_group(
    table: &Table<'_, '_>,
    around: &Surroundings<'_>,
    refused_names: &mut Vec<String>,
) -> Option<(String, Vec<Vm>)> {
    let name = table.text("name");
    if let Some(name) = &name {
        check_name(table, "name", name);
    }
    let name = table.required("name", name);
    let numbers = read_numbers(table, around);
    let base = VmSettings::read(*table, around);
    let variant = |key| table.table(key, &schema::VM_VARIANT).map(|table| VmSettings::read(table, around));
    let (odd, even) = (variant("odd"), variant("even"));
    let only = read_only(table, around);
    if let Some(key) = ["odd", "even", "only"].into_iter().find(|key| table.has(key))
        && !table.has("numbers")
    {
        let span = table.span_of(key);
        table.reader.add(
            table
                .bad_value(key, &span, format!("`{key}` is for groups, and this is one VM"))
                .allowed("with `numbers`"),
        );
    }
    let (name, numbers) = (name?, numbers?);
    if numbers.len() > 1 && !name.value.contains("{n}") {
        table.reader.add(
            table
                .bad_value(
                    "name",
                    &name.span,
                    format!("{} VMs would all be named {:?}", numbers.len(), name.value),
                )
                .allowed("a name with `{n}` for the number")
                .help(format!("write \"{}{{n}}\"", name.value)),
        );
        return None;
    }
    check_only(table, &only, &name.value, &numbers);
    let mut vms: Vec<Vm> = Vec::new();
    let mut refused = [false; 2];
    for number in numbers {
        let is_odd = number.parse::<u64>().is_ok_and(|number| number % 2 == 1);
        let vm_name = name.value.replace("{n}", &number);
        if refused[usize::from(is_odd)] {
            refused_names.push(vm_name);
            continue;
        }
        let chosen = if is_odd { odd.as_ref() } else { even.as_ref() };
        if let Some(only) = only.get(&vm_name) {
            match base.with(chosen).with(Some(only)).vm(&number, around) {
                Some(vm) => vms.push(Vm { name: vm_name, span: name.span.clone(), ..vm }),
                None => refused_names.push(vm_name),
            }
            continue;
        }
        // What holds for one number of a kind holds for all of them, but for what a trace says.
        let like = vms.iter().find(|vm| {
            around.trace.is_none()
                && !only.contains_key(&vm.name)
                && vm.number.parse::<u64>().is_ok_and(|n| (n % 2 == 1) == is_odd)
        });
        let vm = match like {
            Some(like) => Some(Vm { number: number.clone(), ..like.clone() }),
            None => base.with(chosen).vm(&number, around),
        };
        match vm {
            Some(mut vm) => {
                vm.name = vm_name;
                vm.span = name.span.clone();
                vms.push(vm);
            }
            None => {
                refused[usize::from(is_odd)] = true;
                refused_names.push(vm_name);
            }
        }
    }
    Some((name.value, vms))
}

/// Settings of single VMs of a group, by their names.
fn read_only<'r, 't>(
    table: &Table<'r, 't>,
    around: &Surroundings<'_>,
) -> BTreeMap<String, VmSettings<'r, 't>> {
    let mut only = BTreeMap::new();
    for (name, value) in table.raw_table("only").into_iter().flat_map(|(entries, _)| entries) {
        match value.get_ref().as_table() {
            Some(entries) => {
                let vm = Table::new(table.reader, &schema::VM_VARIANT, entries, &value.span());
                only.insert(name.get_ref().to_string(), VmSettings::read(vm, around));
            }
            None => table.reader.add(
                table
                    .bad_value(name.get_ref(), &value.span(), "the settings of a VM are a table")
                    .label(format!("this is {}", type_name(value.get_ref())))
                    .allowed("{ priority = … }"),
            ),
        }
    }
    only
}

/// Complains about settings of VMs that the group does not have.
fn check_only(
    table: &Table<'_, '_>,
    only: &BTreeMap<String, VmSettings<'_, '_>>,
    pattern: &str,
    numbers: &[String],
) {
    let names: BTreeSet<String> = numbers.iter().map(|number| pattern.replace("{n}", number)).collect();
    for (name, settings) in only.iter().filter(|(name, _)| !names.contains(*name)) {
        let first = names.first().map_or("", String::as_str);
        table.reader.add(
            table
                .bad_value("only", &settings.span(), format!("this group has no VM {name:?}"))
                .allowed(format!("names of the group's VMs, such as [vm.only.{first}]"))
                .nearest(name, names.iter().map(String::as_str)),
        );
    }
}

fn read_numbers(table: &Table<'_, '_>, around: &Surroundings<'_>) -> Option<Vec<String>> {
    const FORM: &str = "\"1..8\" for 1 to 8, or \"trace\"";
    if !table.has("numbers") {
        return Some(vec![String::new()]);
    }
    let numbers = table.text("numbers")?;
    if numbers.value == "trace" {
        table.reader.plays_trace.set(true);
        let Some(trace) = around.trace else {
            table.reader.add_unless_trace_failed(
                table
                    .bad_value(
                        "numbers",
                        &numbers.span,
                        "one VM for each of the trace, but there is no trace",
                    )
                    .help("add a table [trace] with the `file`"),
            );
            return None;
        };
        return Some(trace.vms().map(|(name, _)| name.to_owned()).collect());
    }
    let bounds = numbers.value.split_once("..").and_then(|(first, last)| {
        Some((first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?))
    });
    match bounds {
        Some((first, last)) if first <= last && last - first < MOST_IN_GROUP => {
            Some((first..=last).map(|number| number.to_string()).collect())
        }
        Some((first, last)) if first <= last => {
            table.reader.add(
                table
                    .bad_value(
                        "numbers",
                        &numbers.span,
                        format!("these are {} VMs", u128::from(last - first) + 1),
                    )
                    .allowed(format!("up to {MOST_IN_GROUP} VMs in a group")),
            );
            None
        }
        Some(_) => {
            table.reader.add(
                table.bad_value("numbers", &numbers.span, "the last number is below the first").allowed(FORM),
            );
            None
        }
        None => {
            table.reader.add(
                table
                    .bad_value("numbers", &numbers.span, format!("`numbers` cannot be {:?}", numbers.value))
                    .allowed(FORM),
            );
            None
        }
    }
}
