//! Guests of a few instructions, on any KVM: without a kernel, and without Hyper-V's capabilities. Without a KVM they say so and do
//! nothing; `cargo xtask test --real-guest` looks at the same with a whole kernel, inside the emulated machine where that is needed.

use std::io::Write as _;

use kvm_ioctls::Kvm;
use parking_lot::Mutex as EventMutex;

use super::*;
use crate::ram::budget::Budget;
use crate::ram::tests::{kinds, range};
use crate::ram::{Backing, Ram};
use crate::sys::Guard;

/// `out` to ACPI's sleep control: power off.
const POWER_OFF: [u8; 6] = [0xba, 0x00, 0x06, 0xb0, 0x34, 0xee];
const HALT: u8 = 0xf4;
const CODE: u64 = 0x1000;
/// What `touching` touches: pages 16 to 239.
const FIRST: u64 = 16;
const PAGES: u64 = 224;

fn kvm() -> Option<Kvm> {
    Kvm::new()
        .inspect_err(|error| {
            let _ = writeln!(io::stderr(), "skipped: no /dev/kvm that can be used here ({error})");
        })
        .ok()
}

/// Keeps what it is told.
#[derive(Default)]
struct Log {
    events: EventMutex<Vec<MachineEvent>>,
    panics: bool,
}

impl MachineObserver for Log {
    fn event(&self, event: MachineEvent) {
        self.events.lock().push(event);
    }
    fn serial(&self, _port: u8, _bytes: &[u8]) {
        assert!(!self.panics, "the terminal is gone");
    }
}

/// A guest without a kernel.
struct Bare {
    shared: Arc<Shared>,
    log: Arc<Log>,
    vm: Arc<kvm_ioctls::VmFd>,
    started: u64,
}

impl Bare {
    fn new(kvm: &Kvm, (backing, guard): (Backing, Guard), panics: bool) -> Self {
        let vm = Arc::new(kvm.create_vm().unwrap());
        let ram = Ram::with(backing, guard, Budget::of_process());
        ram.add(range(0, 256), Some(&vm)).unwrap();
        let log = Arc::new(Log { panics, ..Log::default() });
        let observer: Arc<dyn MachineObserver> = Arc::clone(&log) as _;
        let partition = KvmPartition::with_ram("bare", 1, ram, Box::new(|why| panic!("{why}"))).unwrap();
        let lines =
            crate::SERIAL_PORTS.iter().map(|_| vmm_sys_util::eventfd::EventFd::new(0).unwrap()).collect();
        let shared = Arc::new(Shared {
            partition: Arc::new(partition),
            devices: Arc::new(Devices::new(lines, &observer)),
            observer,
            counters: Arc::default(),
            stop: AtomicBool::new(false),
            pause: Pause::default(),
            threads: Mutex::default(),
        });
        Self { shared, log, vm, started: 0 }
    }

    fn ram(&self) -> &Ram {
        self.shared.partition.ram()
    }

    /// Runs code on a new processor in a thread of its own until it ends; gives what the observer was told.
    fn run(&mut self, code: &[u8]) -> MachineEvent {
        self.ram().write(CODE, code).unwrap();
        let vcpu = self.vm.create_vcpu(self.started).unwrap();
        self.started += 1;
        let mut sregs = vcpu.get_sregs().unwrap();
        (sregs.cs.base, sregs.cs.selector) = (0, 0);
        vcpu.set_sregs(&sregs).unwrap();
        let mut regs = vcpu.get_regs().unwrap();
        (regs.rip, regs.rflags) = (CODE, 2);
        vcpu.set_regs(&regs).unwrap();
        let VpThread(thread) = VpThread::start("bare", 0, vcpu, Arc::clone(&self.shared)).unwrap();
        thread.join().unwrap();
        let mut events = std::mem::take(&mut *self.log.events.lock());
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }
}

/// Does `access` to the first byte of each page from 16 to 239 (its address in ES:0), then powers off.
fn touching(access: &[u8]) -> Vec<u8> {
    let mut code = vec![0xb8, 0x00, 0x10, 0x8e, 0xc0];
    code.extend(access);
    // add ax, 0x100; cmp ax, 0xf000; jb back to the second instruction.
    code.extend([0x05, 0x00, 0x01, 0x3d, 0x00, 0xf0, 0x72]);
    code.push((-(access.len() as i8) - 10) as u8);
    code.extend(POWER_OFF);
    code.push(HALT);
    code
}

/// mov byte es:[0], 1
const WRITE: [u8; 6] = [0x26, 0xc6, 0x06, 0, 0, 1];
/// mov bl, es:[0]
const READ: [u8; 5] = [0x26, 0x8a, 0x1e, 0, 0];
/// jmp far 0x1000:0
const JUMP: [u8; 5] = [0xea, 0, 0, 0, 0x10];
const PAGE: u64 = PAGE_BYTES as u64;

/// The frames of what a guest has given back are another VM's: it must not get at them by writing, reading or jumping there, in
/// whatever way its memory is made and guarded. Another guest runs on, and so does this one with pages that it was given back.
#[test]
fn a_guest_that_touches_what_it_gave_away_is_ended_and_no_other() {
    let Some(kvm) = kvm() else { return };
    for kind in kinds() {
        let (mut guest, mut other) = (Bare::new(&kvm, kind, false), Bare::new(&kvm, kind, false));
        for guest in [&mut guest, &mut other] {
            assert_eq!(guest.run(&touching(&WRITE)), MachineEvent::PoweredOff, "{kind:?}");
            assert!(guest.ram().resident() >= PAGES * PAGE);
        }
        guest.ram().discard(&[range(FIRST, PAGES)]).unwrap();
        let left = guest.ram().resident();
        assert!(left <= (256 - PAGES) * PAGE, "{kind:?}: {left}");
        // Where KVM emulates, it has no instruction to emulate there.
        let event = guest.run(&JUMP);
        assert!(
            matches!(event, MachineEvent::Trespassed { .. } | MachineEvent::Failed(_)),
            "{kind:?}: {event:?}"
        );
        for code in [touching(&WRITE), touching(&READ)] {
            let event = guest.run(&code);
            let MachineEvent::Trespassed { page, guarded } = event else { panic!("{kind:?}: {event:?}") };
            assert!(page.is_none_or(|page| page == GuestPage(FIRST)), "{page:?}");
            assert_eq!(guarded as u64, PAGES);
            assert!(guest.ram().resident() <= left + PAGE, "{kind:?}: its code alone may have come");
        }
        assert_eq!(other.run(&touching(&WRITE)), MachineEvent::PoweredOff, "{kind:?}");
        assert_eq!(other.run(&touching(&READ)), MachineEvent::PoweredOff, "{kind:?}");

        guest.ram().restore(&[range(FIRST, PAGES - 1)]).unwrap();
        let event = guest.run(&touching(&WRITE));
        let MachineEvent::Trespassed { page, guarded: 1 } = event else { panic!("{kind:?}: {event:?}") };
        assert!(
            page.is_none_or(|page| page == GuestPage(FIRST + PAGES - 1)),
            "all before it are the guest's: {page:?}"
        );
        guest.ram().restore(&[range(FIRST, PAGES)]).unwrap();
        assert_eq!(guest.run(&touching(&WRITE)), MachineEvent::PoweredOff, "{kind:?}");
        assert!(guest.ram().resident() >= PAGES * PAGE, "{kind:?}");
    }
}

/// Single pages among others: what lies beside a guarded page stays the guest's.
#[test]
fn every_other_page_can_be_given_away() {
    let Some(kvm) = kvm() else { return };
    // Pages 16, 18, ... only: add ax, 0x200.
    let mut even = touching(&WRITE);
    even[13] = 0x02;
    let odd: Vec<_> = (0..PAGES / 2).map(|number| range(FIRST + 2 * number + 1, 1)).collect();
    for kind in kinds() {
        let mut guest = Bare::new(&kvm, kind, false);
        guest.ram().discard(&odd).unwrap();
        assert_eq!(guest.run(&even), MachineEvent::PoweredOff, "{kind:?}");
        let event = guest.run(&touching(&WRITE));
        assert!(matches!(event, MachineEvent::Trespassed { .. }), "{kind:?}: {event:?}");
    }
}

/// Where memory was never added there is none: reads find all ones, writes go nowhere, and nothing of the host is taken.
#[test]
fn addresses_without_memory_give_none() {
    let Some(kvm) = kvm() else { return };
    for kind in kinds() {
        let vm_kvm = &kvm;
        let mut guest = Bare::new(vm_kvm, kind, false);
        // mov ax, 0xffff; mov es, ax; mov byte es:[0x1010], 1; mov bl, es:[0x1010]: page 257. mov [0x2000], bl.
        let mut code = vec![0xb8, 0xff, 0xff, 0x8e, 0xc0, 0x26, 0xc6, 0x06, 0x10, 0x10, 1];
        code.extend([0x26, 0x8a, 0x1e, 0x10, 0x10, 0x88, 0x1e, 0x00, 0x20]);
        code.extend(POWER_OFF);
        let before = guest.ram().resident();
        assert_eq!(guest.run(&code), MachineEvent::PoweredOff);
        let mut seen = [0];
        guest.ram().read(0x2000, &mut seen).unwrap();
        assert_eq!(seen, [0xff], "{kind:?}");
        assert!(guest.ram().resident() <= before + 3 * PAGE);
    }
}

/// A string instruction accesses one port again and again; a wide access reaches the ports behind it.
#[test]
fn string_instructions_repeat_their_port_and_wide_ones_reach_the_next() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Bare::new(&kvm, kinds()[0], false);
    // CMOS register 0x0a (0x26) eight times to 0x2000: mov al, 0x0a; out 0x70, al; mov dx, 0x71; xor ax, ax; mov es, ax;
    // mov di, 0x2000; mov cx, 8; cld; rep insb.
    let mut code = vec![0xb0, 0x0a, 0xe6, 0x70, 0xba, 0x71, 0x00, 0x31, 0xc0, 0x8e, 0xc0];
    code.extend([0xbf, 0x00, 0x20, 0xb9, 0x08, 0x00, 0xfc, 0xf3, 0x6c]);
    // in ax, dx; mov [0x2010], ax; rep insw of four bytes to 0x2020.
    code.extend([0xed, 0xa3, 0x10, 0x20, 0xbf, 0x20, 0x20, 0xb9, 0x02, 0x00, 0xf3, 0x6d]);
    // Power off with the upper byte of a wide write to the port before: mov dx, 0x5ff; mov ax, 0x3400; out dx, ax; hlt.
    code.extend([0xba, 0xff, 0x05, 0xb8, 0x00, 0x34, 0xef, HALT]);
    assert_eq!(guest.run(&code), MachineEvent::PoweredOff);
    let mut seen = [0; 0x24];
    guest.ram().read(0x2000, &mut seen).unwrap();
    assert_eq!(seen[..8], [0x26; 8], "rep insb");
    assert_eq!(seen[0x10..0x12], [0x26, 0xff], "in ax, dx: there is nothing at port 0x72");
    assert_eq!(seen[0x20..], [0x26, 0xff, 0x26, 0xff], "rep insw");
}

/// A thread that panics would leave a guest that stands still and is never ended.
#[test]
fn a_processor_whose_thread_panics_is_told_of() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Bare::new(&kvm, kinds()[0], true);
    // mov dx, 0x3f8; out dx, al; hlt.
    let event = guest.run(&[0xba, 0xf8, 0x03, 0xee, HALT]);
    let expected = "virtual processor 0 has panicked: the terminal is gone";
    assert_eq!(event, MachineEvent::Failed(expected.to_owned()));
    assert_eq!(guest.run(&[HALT]).to_string(), "the processor halts, and nothing can wake it");
}
