//! The daemon over guests of QEMU's: `cargo xtask test --qemu`.

use std::time::Duration;

use crate::guests::{BALLOON, Daemon, pause, rig, until};

const CONFIGURATION: &str =
    "[host]\nmemory = \"704MB\"\nmemory_reserve = \"64MB\"\n[default]\nminimum_bytes = \"160MB\"\n";

/// What both have, when nothing moves any more and they are charged with what they have.
fn settled(daemon: &Daemon) -> (Option<u64>, Option<u64>) {
    let mut before = None;
    until("nothing moves", || {
        let has = (daemon.has("web"), daemon.has("db"));
        let still = before.replace(has) == Some(has) && has == (daemon.charged("web"), daemon.charged("db"));
        // Longer than anything that is under way.
        pause(Duration::from_secs(6));
        (still && has == (daemon.has("web"), daemon.has("db"))).then_some(has)
    })
}

/// Two guests of 384 MB that may have 640 together: memory goes to whoever needs it, the host gets back what a guest gives, a daemon that comes
/// again takes over, and what happens to one guest costs the other nothing.
#[test]
#[ignore = "needs QEMU and a kernel, and minutes: cargo xtask test --qemu"]
fn memory_moves_between_guests_and_faults_cost_only_their_own() {
    let Some(rig) = rig() else { return };
    let mut web = rig.guest("web", "384M", BALLOON, "");
    let mut db = rig.guest("db", "384M", BALLOON, "");

    // Both touch most of what they have, so that the host's share is seen, and are idle again.
    for guest in [&mut web, &mut db] {
        guest.loads(230);
        guest.tell("idle");
        guest.hears("idle");
    }
    let before = db.resident();

    let daemon = rig.daemon(CONFIGURATION, 1);
    until("the two have no more than they may", || {
        let (sum, may) = daemon.sum();
        (sum <= may && daemon.has("web")? + daemon.has("db")? <= may).then_some(())
    });

    // One needs memory: it comes from the other, and the host sees it.
    web.loads_more(&daemon, 250);
    until("the busy one has what it needs and its buffer", || (daemon.has("web")? >= 340).then_some(()));
    db.loads(20);
    let (web_has, db_has) = (daemon.has("web").unwrap(), daemon.has("db").unwrap());
    assert!(web_has + db_has <= 640, "{web_has} {db_has}");
    assert!(db.resident() < before - 60, "{} of {before}", db.resident());
    // The guest's own view of it.
    assert!(db.total() <= 384 && web.total() <= 384);

    // QEMU stands still: its VM is held, with all that it is charged with.
    db.signal("STOP");
    until("it is held", || daemon.why("db").contains("does not answer").then_some(()));
    let charged = daemon.charged("db");
    assert!(charged >= daemon.has("db"), "{charged:?}");
    pause(Duration::from_secs(5));
    assert_eq!(daemon.charged("db"), charged);
    db.signal("CONT");
    until("it is held no more", || (!daemon.why("db").starts_with("held")).then_some(()));

    // The daemon is killed, and comes again: nothing jumps that stood still.
    let had = settled(&daemon);
    assert_eq!(daemon.end("KILL"), None);
    let daemon = rig.daemon(CONFIGURATION, 2);
    until("both are looked after again", || daemon.charged("web").and(daemon.charged("db")).map(drop));
    pause(Duration::from_secs(8));
    assert_eq!((daemon.has("web"), daemon.has("db")), had);

    web.tell("idle");
    web.hears("idle");
    // A guest that never answers comes, without a driver: it keeps what it has, and the others give for it.
    let still = rig.guest("still", "256M", BALLOON, "nodriver");
    until("all have no more than they may", || {
        let (sum, may) = daemon.sum();
        daemon.charged("still")?;
        (sum <= may).then_some(())
    });
    assert_eq!(daemon.has("still"), Some(256));
    drop(still);

    // A guest reboots: until its driver is up it is charged with all that it can have.
    web.tell("reboot");
    web.hears("ready");
    until("its guest reports again", || (daemon.why("web").starts_with("surplus")).then_some(()));
    let (sum, may) =
        until("the reserve is what it was", || Some(daemon.sum()).filter(|(_, may)| *may == 640));
    assert!(sum <= may, "{sum} of {may}");

    // QEMU is killed: everything that it had goes to who needs it.
    db.signal("KILL");
    until("it is gone", || daemon.ask("explain db").is_err().then_some(()));
    web.loads_more(&daemon, 235);
    until("the other has what it needs and its buffer", || (daemon.has("web")? >= 325).then_some(()));

    // SIGTERM ends it at once, and guests keep what they have. What QEMU was asked for before comes about all the same, so this waits until all has.
    let had = settled(&daemon).0;
    assert_eq!(daemon.end("TERM"), Some(0));
    let daemon = rig.daemon(CONFIGURATION, 3);
    until("it is looked after again", || daemon.charged("web").map(drop));
    assert_eq!(daemon.has("web"), had);
    assert_eq!(daemon.end("INT"), Some(0));
}

/// The same with virtio-mem: memory is plugged into whoever needs it, and unplugged again as far as its guest can.
#[test]
#[ignore = "needs QEMU and a kernel, and minutes: cargo xtask test --qemu"]
fn virtio_mem_grows_a_guest() {
    let Some(rig) = rig() else { return };
    let devices = [
        BALLOON,
        &[
            "-object",
            "memory-backend-ram,id=mem0,size=256M",
            "-device",
            "virtio-mem-pci,id=vm0,memdev=mem0,requested-size=0",
        ],
    ]
    .concat();
    let mut guest = rig.guest("plugged", "256M,maxmem=1G", &devices, "memhp_default_state=online");
    let daemon = rig.daemon("[host]\nmemory = \"576MB\"\nmemory_reserve = \"64MB\"\n", 1);
    until("it is looked after", || daemon.charged("plugged").map(drop));
    assert_eq!(daemon.has("plugged"), Some(256));
    let before = guest.total();
    // Of its 256 MB the kernel and what a boot leaves take half, with room for 1 GB to be plugged.
    guest.loads(100);
    let has = until("it has more", || daemon.has("plugged").filter(|has| *has >= 264));
    assert!(guest.total() > before, "the guest sees {} of {has}", guest.total());
    assert!(daemon.charged("plugged") >= Some(has));
    assert_eq!(daemon.end("TERM"), Some(0));
}

/// `hv-balloon` and the unmodified `hv_balloon`, in a QEMU inside an emulated machine: a VM with more than it may have gives memory up; given room, it
/// has its balloon back and memory on top of what it booted with.
#[test]
#[ignore = "needs QEMU with hv-balloon and a kernel, and minutes: cargo xtask test --qemu --nested"]
fn hv_balloon_gives_memory_up_and_grows_beyond_what_it_booted_with() {
    let Some(rig) = rig() else { return };
    let Some(mut guest) = rig.guest_of_hv_balloon("hv") else { return };
    let before = guest.total();
    let daemon = rig.daemon("[host]\nmemory = \"448MB\"\nmemory_reserve = \"64MB\"\n", 1);
    until("it is looked after", || daemon.charged("hv").map(drop));
    assert!(daemon.ask("explain hv").unwrap().contains("hv-balloon of QEMU"));
    // The device waits for 50 s after the guest's driver has come.
    until("it has no more than it may", || {
        (daemon.has("hv")? <= 384 && daemon.charged("hv")? <= 384).then_some(())
    });
    let less = guest.total();
    assert!(less + 100 <= before, "the guest sees {less} of {before}");
    // What its balloon has is no need of the guest's.
    assert!(daemon.needs("hv").unwrap() < 256, "{}", daemon.ask("explain hv").unwrap());
    assert_eq!(daemon.end("TERM"), Some(0));

    let daemon = rig.daemon("[host]\nmemory = \"1088MB\"\nmemory_reserve = \"64MB\"\n", 2);
    until("it is looked after again", || daemon.charged("hv").map(drop));
    // Step by step: a guest that takes memory faster than it is given any kills its own programs.
    for _ in 0..22 {
        guest.tell("more 16");
        assert!(guest.hears("added").trim().ends_with(" 0"), "the guest had no memory for it");
        pause(Duration::from_secs(2));
    }
    until("it has what it needs and its buffer", || (daemon.has("hv")? >= 560).then_some(()));
    assert!(guest.total() > before, "memory was hot-added");
    let (has, charged) = (daemon.has("hv").unwrap(), daemon.charged("hv").unwrap());
    assert!(charged >= has && charged <= 1024, "{has} {charged}");
    assert_eq!(daemon.end("TERM"), Some(0));
}
