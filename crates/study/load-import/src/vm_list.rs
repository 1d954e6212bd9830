//! Lists of VMs: Get-VM and Get-VMMemory exported, and RVTools' vMemory and vInfo.

use std::collections::BTreeMap;

use page_range::PageCount;

use crate::error::{DoubtfulUnit, ImportError};
use crate::kind::Kind;
use crate::names::{self, Column};
use crate::number::{self, Unit};
use crate::options::Options;
use crate::part::{HostPart, Part, VmPart};
use crate::sheet::Sheet;

/// Least memory that a VM can have: 32 MB (documented: New-VM and Set-VMMemory refuse less).
const LEAST: PageCount = PageCount::from_mib(32);
/// Most memory that a VM can have: 240 TB, generation 2 in Windows Server 2025 (documented).
const MOST: PageCount = PageCount::from_mib(240 << 20);

/// A column that is understood.
struct Known<'a> {
    place: usize,
    name: &'a str,
    unit: Option<Unit>,
}

/// What the header of a list says; of columns of one meaning the first.
fn known(header: &[String]) -> BTreeMap<Column, Known<'_>> {
    let mut columns = BTreeMap::new();
    for (place, name) in header.iter().enumerate() {
        if let Some((column, unit)) = names::column(name) {
            columns.entry(column).or_insert(Known { place, name, unit });
        }
    }
    columns
}

/// Which kind of list a header is of, or what speaks against each.
pub(crate) fn recognise(header: &[String]) -> Result<Kind, (String, String)> {
    let columns = known(header);
    let has = |column| columns.contains_key(&column);
    let some = header
        .iter()
        .take(6)
        .map(|name| format!("{:?}", name.chars().take(24).collect::<String>()))
        .collect::<Vec<_>>()
        .join(", ");
    let found =
        if header.is_empty() { "the file is empty".to_owned() } else { format!("its first line has {some}") };
    let rvtools_memory = has(Column::Size) && has(Column::State);
    // vMemory's Limit and Reservation are called as a maximum and a minimum might be in a list of Get-VM.
    let of_vmware =
        columns.get(&Column::State).is_some_and(|state| state.name.eq_ignore_ascii_case("powerstate"));
    let list_memory = [
        Column::Assigned,
        Column::Demand,
        Column::Startup,
        Column::Maximum,
        Column::HostMemory,
        Column::NodeMemory,
    ];
    let list = list_memory.into_iter().any(has);
    let named =
        has(Column::Name) || has(Column::HostMemory) || (has(Column::NumaNode) && has(Column::NodeMemory));
    match () {
        () if named && rvtools_memory && of_vmware => Ok(Kind::RvTools),
        () if named && list => Ok(Kind::VmList),
        () if named && rvtools_memory => Ok(Kind::RvTools),
        () => Err((
            format!(
                "no column of its first line is one of Get-VM's with memory (Name, MemoryStartup, MemoryAssigned, MemoryDemand, …); {found}"
            ),
            format!(
                "its first line has not VM, Powerstate and Size MiB (vMemory) or Memory (vInfo); {found}"
            ),
        )),
    }
}

/// Reads a list.
pub(crate) fn read(file: &str, kind: Kind, sheet: &Sheet, options: &Options) -> Result<Part, ImportError> {
    let columns = known(&sheet.header);
    let mut part = Part::new(file, kind);
    part.remarks.clone_from(&sheet.remarks);
    let mut templates = 0_u32;
    let mut unread = BTreeMap::new();
    for (line, cells) in &sheet.rows {
        let cell = |column| {
            columns
                .get(&column)
                .and_then(|known: &Known<'_>| cells.get(known.place))
                .map_or("", String::as_str)
        };
        if kind == Kind::RvTools && names::yes(cell(Column::Template)) == Some(true) {
            templates += 1;
            continue;
        }
        let name = cell(Column::Name).to_owned();
        let row = Row { file, line: *line, name: &name, sheet, columns: &columns, cells, options };
        let host = Some(cell(Column::Host)).filter(|host| !host.is_empty()).unwrap_or(&name);
        if let Some(memory) = row.memory(Column::HostMemory)? {
            // Get-VMHost: a row is a host.
            part.hosts.push(HostPart {
                name: host.to_owned(),
                memory,
                logical_processors: row.count(Column::LogicalProcessors, 1 << 16)?,
                nodes: Vec::new(),
                numa_spanning: names::yes(cell(Column::NumaSpanning)),
            });
            continue;
        }
        if columns.contains_key(&Column::NumaNode)
            && let Some(memory) = row.memory(Column::NodeMemory)?
        {
            // Get-VMHostNumaNode: a row is a node of a host.
            match part.hosts.iter_mut().find(|known| known.name == host) {
                Some(known) => {
                    known.memory += memory;
                    known.nodes.push(memory);
                }
                None => part.hosts.push(HostPart {
                    name: host.to_owned(),
                    memory,
                    logical_processors: None,
                    nodes: vec![memory],
                    numa_spanning: None,
                }),
            }
            continue;
        }
        if name.is_empty() {
            return Err(ImportError::bad(file, *line, "the VM has no name"));
        }
        let state = cell(Column::State);
        let running = names::running(state);
        if running.is_none() && !state.is_empty() {
            *unread.entry(state.to_owned()).or_insert(0_u32) += 1;
        }
        let mut vm = VmPart { name: name.clone(), running, ..VmPart::default() };
        vm.host = Some(cell(Column::Host).to_owned()).filter(|host| !host.is_empty());
        vm.guest = Some(cell(Column::Guest).to_owned()).filter(|guest| !guest.is_empty());
        vm.vcpus = row.count(Column::Cpus, 4096)?;
        vm.generation = row.count(Column::Generation, 2)?.filter(|number| *number > 0);
        vm.release = names::release(cell(Column::Version)).filter(|_| kind == Kind::VmList);
        if kind == Kind::RvTools {
            rvtools(&row, &mut vm)?;
        } else {
            vm.dynamic = match cell(Column::Dynamic) {
                "" => None,
                text => Some(names::yes(text).ok_or_else(|| row.wrong(Column::Dynamic, "True or False"))?),
            };
            vm.startup = row.setting(Column::Startup)?;
            vm.minimum = row.setting(Column::Minimum)?;
            vm.maximum = row.setting(Column::Maximum)?;
            vm.buffer = row.count(Column::Buffer, 2000)?;
            vm.priority = match row.count(Column::Priority, 100)? {
                Some(priority) => Some(priority),
                // Msvm_MemorySettingData: the weight, 0 to 10000.
                None => row.count(Column::Weight, 10_000)?.map(|weight| weight / 100),
            };
            vm.assigned = row.amount(Column::Assigned)?.filter(|pages| !pages.is_zero());
            vm.demand = row.amount(Column::Demand)?.filter(|pages| !pages.is_zero());
            if vm.dynamic == Some(false) {
                // Get-VM lists bounds for these as well; they mean nothing.
                (vm.minimum, vm.maximum) = (None, None);
            }
        }
        part.vms.push(vm);
    }
    if templates > 0 {
        part.remarks
            .push(format!("left out, since they do not run: templates and placeholders ({templates})"));
    }
    for (state, count) in unread {
        part.remarks.push(format!("the state {state:?} is not known: VMs in it are taken as on ({count})"));
    }
    if !sheet.decimal_seen && sheet.rows.iter().any(|(_, cells)| row_is_ambiguous(&columns, cells)) {
        let sign = if sheet.decimal == number::Decimal::Comma { "the comma" } else { "the point" };
        part.remarks.push(format!(
            "its numbers do not show what separates decimals: {sign} is taken, as is usual where columns are separated as here"
        ));
    }
    Ok(part)
}

/// Whether a number of memory has a sign that may separate decimals or thousands.
fn row_is_ambiguous(columns: &BTreeMap<Column, Known<'_>>, cells: &[String]) -> bool {
    columns
        .values()
        .filter(|known| names::is_memory(known.name))
        .any(|known| cells.get(known.place).is_some_and(|cell| number::split(cell).0.contains(['.', ','])))
}

/// vMemory and vInfo: VMware's words for a VM that is to move.
fn rvtools(row: &Row<'_>, vm: &mut VmPart) -> Result<(), ImportError> {
    vm.maximum = row.setting(Column::Size)?;
    let (consumed, active) = (row.amount(Column::Consumed)?, row.amount(Column::Active)?);
    let (consumed, active) =
        (consumed.filter(|pages| !pages.is_zero()), active.filter(|pages| !pages.is_zero()));
    (vm.demand, vm.demand_note) = match (consumed, active) {
        (Some(consumed), _) => (
            Some(consumed.min(vm.maximum.unwrap_or(PageCount::MAX))),
            Some(
                "Consumed is taken for its demand: every page that the guest ever touched, so too much rather than too little",
            ),
        ),
        (None, Some(active)) => (
            Some(active),
            Some(
                "Active Memory is taken for its demand: what was touched within some 20 s, so too little rather than too much; vMemory's Consumed is better",
            ),
        ),
        (None, None) => (None, None),
    };
    Ok(())
}

/// A row, for what is read of it.
struct Row<'a> {
    file: &'a str,
    line: Option<u64>,
    name: &'a str,
    sheet: &'a Sheet,
    columns: &'a BTreeMap<Column, Known<'a>>,
    cells: &'a [String],
    options: &'a Options,
}

impl Row<'_> {
    fn wrong(&self, column: Column, expected: &str) -> ImportError {
        let known = self.columns.get(&column);
        let (name, cell) = known
            .map_or(("", ""), |known| (known.name, self.cells.get(known.place).map_or("", String::as_str)));
        ImportError::bad(
            self.file,
            self.line,
            format!("column {name:?} of {:?}: {cell:?} is not {expected}", self.name),
        )
    }

    fn count(&self, column: Column, most: u32) -> Result<Option<u32>, ImportError> {
        let Some(cell) = self.columns.get(&column).and_then(|known| self.cells.get(known.place)) else {
            return Ok(None);
        };
        if cell.is_empty() {
            return Ok(None);
        }
        let number = number::parse(cell.trim_end_matches('%').trim(), self.sheet.decimal);
        match number {
            Some(number) if number.fract() == 0.0 && (0.0..=f64::from(most)).contains(&number) => {
                Ok(Some(number as u32))
            }
            _ => Err(self.wrong(column, &format!("a whole number from 0 to {most}"))),
        }
    }

    /// Memory; 0 where a VM has none.
    fn memory(&self, column: Column) -> Result<Option<PageCount>, ImportError> {
        let Some(known) = self.columns.get(&column) else { return Ok(None) };
        let Some(cell) = self.cells.get(known.place) else { return Ok(None) };
        // What the user says, what the column's name says; RVTools has MiB, PowerShell's properties are bytes.
        let usual = match column {
            Column::Size | Column::Consumed | Column::Active | Column::NodeMemory => Unit::Mb,
            _ => Unit::Bytes,
        };
        let unit = self.options.unit(known.name).or(known.unit).unwrap_or(usual);
        let Some(read) = self.sheet.memory(cell, Some(unit)) else {
            return if cell.is_empty() || matches!(cell.as_str(), "-" | "N/A" | "n/a") {
                Ok(None)
            } else {
                Err(self.wrong(column, "an amount of memory"))
            };
        };
        let Ok((number, own)) = read else { return Err(self.wrong(column, "an amount of memory")) };
        let unit = own.unwrap_or(unit);
        let pages = unit.pages(number).ok_or_else(|| self.wrong(column, "an amount of memory"))?;
        let least = match column {
            // A VM may demand little.
            Column::Demand | Column::Active | Column::Consumed => PageCount(1),
            _ => LEAST,
        };
        // A share of a byte is less than a page, and not nothing.
        if number != 0.0 && (pages < least || pages > MOST) {
            return Err(DoubtfulUnit {
                file: self.file.to_owned(),
                line: self.line,
                column: known.name.to_owned(),
                vm: if self.name.is_empty() { "the host".to_owned() } else { self.name.to_owned() },
                value: cell.clone(),
                taken_as: unit.name(),
            }
            .into());
        }
        Ok(Some(pages))
    }

    fn amount(&self, column: Column) -> Result<Option<PageCount>, ImportError> {
        self.memory(column)
    }

    fn setting(&self, column: Column) -> Result<Option<PageCount>, ImportError> {
        Ok(self.memory(column)?.filter(|pages| !pages.is_zero()))
    }
}
