//! `cargo xtask storage-sizing`: many VMs from one golden image.

use anyhow::Result;
use serde::Serialize;
use storage_sizing::formula::Limit;
use storage_sizing::inputs::{Function, Inputs, Sizing, Use};
use storage_sizing::{mechanism, storm};

use super::bad_input;
use crate::output::{say, tell};

/// What to size.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// T: how many VMs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    vms: Option<u64>,
    /// Size of a golden image, in GB (10⁹ bytes)
    #[arg(long, value_name = "GB", value_parser = positive)]
    image: Option<f64>,
    /// A + B: accesses of a VM in a second
    #[arg(long, value_name = "RATE", value_parser = positive)]
    accesses: Option<f64>,
    /// A / (A + B): part of the accesses that the array's memory answers, 0 to 1
    #[arg(long, value_name = "PART", value_parser = part)]
    hit: Option<f64>,
    /// What a VM writes anew, in MB at each of its places
    #[arg(long, value_name = "MB", value_parser = positive)]
    place: Option<f64>,
    /// At how many places a VM writes anew
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    places: Option<u32>,
    /// N: accesses in a second that the array's processors serve
    #[arg(long, value_name = "RATE", value_parser = positive)]
    processor: Option<f64>,
    /// M: accesses in a second that one disk serves
    #[arg(long, value_name = "RATE", value_parser = positive)]
    disk: Option<f64>,
    /// X: disks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    disks: Option<u32>,
    /// Also make so many clones as real differencing disks, in a temporary folder, and count what they grow by
    #[arg(long, value_name = "CLONES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    measure: Option<u32>,
    /// Also let all VMs boot at once, on a modelled array: the same by mechanism
    #[arg(long)]
    storm: bool,
    /// Print JSON and nothing else
    #[arg(long, conflicts_with_all = ["measure", "storm"])]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number =
        text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0 && *number <= 1e12);
    number.ok_or_else(|| "a number above 0, such as 150".to_owned())
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 1, such as 0.9".to_owned())
}

/// A case with what came of it.
#[derive(Serialize)]
struct Case {
    purpose: &'static str,
    function: &'static str,
    a: f64,
    b: f64,
    c_bytes: f64,
    y: f64,
    t: u64,
    limit: &'static str,
    images: u64,
    d_bytes: f64,
    s_bytes: f64,
    of_normal: f64,
}

impl Args {
    fn inputs(&self, purpose: Use, function: Function) -> Inputs {
        let mut inputs = Inputs::of(purpose, function);
        let set = |to: &mut f64, value: Option<f64>, unit: f64| *to = value.map_or(*to, |value| value * unit);
        inputs.vms = self.vms.unwrap_or(inputs.vms);
        inputs.array.disks = self.disks.unwrap_or(inputs.array.disks);
        set(&mut inputs.image_bytes, self.image, 1e9);
        set(&mut inputs.accesses, self.accesses, 1.0);
        set(&mut inputs.hit, self.hit, 1.0);
        set(&mut inputs.place_bytes, self.place, 1e6);
        set(&mut inputs.places, self.places.map(f64::from), 1.0);
        set(&mut inputs.array.processor, self.processor, 1.0);
        set(&mut inputs.array.disk, self.disk, 1.0);
        inputs
    }

    fn case(&self, purpose: Use, function: Function) -> Case {
        let Sizing { vm, rate: (rate, limit), machines, images, image_bytes, bytes, .. } =
            self.inputs(purpose, function).sizing();
        Case {
            purpose: purpose.name(),
            function: function.name(),
            a: vm.memory,
            b: vm.disk,
            c_bytes: vm.new_bytes,
            y: rate,
            t: machines,
            limit: match limit {
                Limit::Processor => "processors",
                Limit::Disks => "disks",
            },
            images,
            d_bytes: image_bytes,
            s_bytes: bytes,
            of_normal: self.inputs(purpose, function).sizing().of_normal(),
        }
    }
}

/// Sizes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let cases: Vec<Case> = Use::ALL
        .iter()
        .flat_map(|&purpose| Function::ALL.map(|function| args.case(purpose, function)))
        .collect();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&cases)?);
        return Ok(());
    }
    let Inputs { vms, image_bytes, array, .. } = args.inputs(Use::Servers, Function::Snapshot);
    tell!(
        "{vms} VMs of images of {} GB, on an array of {} disks with {}/s each and {}/s in its processors",
        image_bytes / 1e9,
        array.disks,
        array.disk,
        array.processor
    );
    say!("");
    say!(
        "{:<18} {:>5} {:>5} {:>6} {:>7} {:>6} {:<10} {:>6} {:>8}",
        "",
        "A 1/s",
        "B 1/s",
        "C GB",
        "Y 1/s",
        "T",
        "limit",
        "S TB",
        "of plain"
    );
    for case in &cases {
        say!(
            "{:<9} {:<8} {:>5.1} {:>5.1} {:>6.3} {:>7.0} {:>6} {:<10} {:>6.3} {:>6.2} %",
            case.purpose,
            case.function,
            case.a,
            case.b,
            case.c_bytes / 1e9,
            case.y,
            case.t,
            case.limit,
            case.s_bytes / 1e12,
            case.of_normal * 100.0
        );
    }
    say!("");
    for case in &cases {
        if case.t < vms {
            tell!(
                "{} with {}: only {} VMs run; the {} limit them.",
                case.purpose,
                case.function,
                case.t,
                case.limit
            );
        }
        if case.images > 1 {
            tell!(
                "{} with {}: {} golden images, or the disks of one would have more than they can do.",
                case.purpose,
                case.function,
                case.images
            );
        }
    }
    tell!(
        "A to D and N to X are what [C] calls them; each number, its label and its source are in the book, Storage. S is T · C + D; \
         plain is an image for each VM."
    );
    if args.storm {
        storms(args)?;
    }
    args.measure.map_or(Ok(()), |clones| measured(args, clones))
}

/// Accesses of each VM in a storm: enough that what is read first by one VM is read by all others, few enough for seconds.
const STORM_ACCESSES: u32 = 200;

/// All VMs boot at once.
fn storms(args: &Args) -> Result<()> {
    say!("");
    say!(
        "{:<18} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7} {:>7}",
        "all boot at once",
        "hit",
        "measured",
        "Y 1/s",
        "measured",
        "T",
        "by hits",
        "time s"
    );
    for purpose in Use::ALL {
        for function in Function::ALL {
            let inputs = args.inputs(purpose, function);
            let vms = u32::try_from(inputs.vms).unwrap_or(u32::MAX).min(MOST_IN_STORM);
            let storm = storm::boot(&inputs, function, vms, STORM_ACCESSES, 1).map_err(bad_input)?;
            let by_hits = Inputs { hit: storm.hit, ..inputs }.sizing();
            say!(
                "{:<9} {:<8} {:>8.2} {:>8.2} {:>7.0} {:>8.0} {:>8} {:>7} {:>7.1}",
                purpose.name(),
                function.name(),
                inputs.hit,
                storm.hit,
                inputs.sizing().rate.0,
                storm.rate,
                storm.machines,
                by_hits.machines,
                storm.time.as_secs_f64()
            );
        }
    }
    tell!(
        "T is what the storm showed; \"by hits\" is T by formula with the hits of the storm in place of those that were assumed. \
         {STORM_ACCESSES} accesses of each VM, one after the other."
    );
    Ok(())
}

/// VMs in a storm at most: each is a disk in memory.
const MOST_IN_STORM: u32 = 10_000;

/// Blocks that stand for the two units.
const BLOCKS: [(&str, u32); 2] = [("snapshot", 64 << 10), ("thin", 32 << 20)];

fn measured(args: &Args, clones: u32) -> Result<()> {
    say!("");
    say!("C in differencing disks   block      measured    by formula");
    for purpose in Use::ALL {
        for (name, block_bytes) in BLOCKS {
            let folder = tempfile::tempdir()?;
            let inputs = args.inputs(purpose, Function::Thin);
            let found =
                mechanism::measure(&inputs, block_bytes, clones, 1, folder.path()).map_err(bad_input)?;
            let block = f64::from(block_bytes) / 1024.0;
            say!(
                "{:<9} {name:<12} {block:>8.0} KB {:>9.3} GB {:>10.3} GB",
                purpose.name(),
                found.new_bytes / 1e9,
                found.by_formula / 1e9
            );
        }
    }
    tell!(
        "What is measured is less where two places share a block, and more by bitmaps. Blocks of a VHD are powers of two: 32 MB stand for 42 MB."
    );
    Ok(())
}
