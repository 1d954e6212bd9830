//! Scratch.
use scenario::{file, run};
fn main() {
    let name = std::env::args().nth(1).unwrap();
    let dir = std::env::args().nth(2);
    let s = file::find(&name, &file::LoadOptions::default()).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(2)
    });
    let plan = run::build::plan(
        &s,
        &run::Choices { seed: std::env::var("SEED").ok().map(|s| s.parse().unwrap()), ..Default::default() },
        &mut |_| Ok(page_range::PageCount::from_mib(31000)),
    )
    .unwrap();
    let t = std::time::Instant::now();
    let dir = dir.map(std::path::PathBuf::from);
    if let Some(d) = &dir {
        std::fs::create_dir_all(d).unwrap();
    }
    let o = run::run(
        plan,
        run::RunOptions {
            driver: if std::env::var("THREADS").is_ok() {
                component_runtime::Driver::Threads
            } else {
                component_runtime::Driver::Inline
            },
            directory: dir,
            events: run_journal::EventsLevel::All,
            keep_points: true,
            log: Some(run_journal::HumanLog::stderr("warn").unwrap()),
            ..Default::default()
        },
    );
    let e = t.elapsed();
    match o {
        Ok(o) => {
            println!("{}", serde_json::to_string_pretty(&o.summary.phases).unwrap());
            for v in &o.summary.vms {
                println!(
                    "{} {:?} phys {:?} vis {:?} ops {} {} avail {:?}",
                    v.name,
                    v.state,
                    v.physical_memory_mb,
                    v.guest_visible_mb.map(|x| x.last),
                    v.memory_add_operations,
                    v.memory_remove_operations,
                    v.in_guest.available_mb
                );
            }
            println!("{:?} {:?}", o.summary.host, o.end);
            println!("{:?}", o.summary.event_log);
        }
        Err(e) => println!("ERR {e}"),
    }
    println!("{e:?}");
}
