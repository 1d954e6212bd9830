//! Models of sleeping, ringing and stopping.
// Not loom's `Arc`: loom aborts when one of its own is dropped while a failed model unwinds.
use std::sync::Arc;

use loom::thread;
use model_sync::atomic::{AtomicU32, Ordering};

use super::{Port, Signals, finds};
use crate::trace::Cause;

/// A thread stores a number and then rings; another thread sleeps until it is rung, and must find the number.
fn ring_against_sleep<const RECHECK: bool>() {
    let (port, shelf) = (Arc::new(Port::default()), Arc::new(AtomicU32::new(0)));
    let ringer = {
        let (port, shelf) = (port.clone(), shelf.clone());
        thread::spawn(move || {
            shelf.store(7, Ordering::Relaxed);
            port.ring(Cause(3));
        })
    };
    port.settle();
    while !port.wait_with::<RECHECK>(None).has(Signals::BELL) {}
    assert_eq!(shelf.load(Ordering::Relaxed), 7);
    assert_eq!(port.bell_cause(), Cause(3));
    ringer.join().unwrap();
}

#[test]
fn loom_port_ring_against_sleep() {
    loom::model(ring_against_sleep::<true>);
}

/// A thread goes to sleep without looking at its signals again: loom finds the ring that does not wake it (a deadlock).
#[test]
fn loom_port_negative_no_second_look() {
    finds("deadlock", ring_against_sleep::<false>);
}

/// A thread ends the run while another rings: the sleeper takes both signals, at whatever point of its falling asleep they
/// come.
#[test]
fn loom_port_stop_against_wake() {
    loom::model(|| {
        let port = Arc::new(Port::default());
        let raise = |signal: Signals| {
            let port = port.clone();
            thread::spawn(move || port.raise(signal))
        };
        let (ringer, stopper) = (raise(Signals::MESSAGE), raise(Signals::HALT));
        port.settle();
        let mut seen = Signals::NONE;
        while !(seen.has(Signals::HALT) && seen.has(Signals::MESSAGE)) {
            seen = seen | port.wait(None);
        }
        ringer.join().unwrap();
        stopper.join().unwrap();
    });
}

/// Two stages as at the end of a run: halt, then drop, against a thread that is on its way to sleep each time.
#[test]
fn loom_port_halt_then_drop() {
    loom::model(|| {
        let port = Arc::new(Port::default());
        let dropped = Arc::new(AtomicU32::new(0));
        let component = {
            let (port, dropped) = (port.clone(), dropped.clone());
            thread::spawn(move || {
                port.settle();
                let mut seen = Signals::NONE;
                while !seen.has(Signals::DROP) {
                    seen = seen | port.wait(None);
                }
                assert!(seen.has(Signals::HALT));
                dropped.store(1, Ordering::Relaxed);
            })
        };
        port.raise(Signals::HALT);
        port.raise(Signals::DROP);
        component.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

/// A stop that is published after the signal that should tell of it: loom finds the thread that never learns.
#[test]
fn loom_port_negative_stop_published_late() {
    finds("deadlock", || {
        let (port, stop) = (Arc::new(Port::default()), Arc::new(AtomicU32::new(0)));
        let stopper = {
            let (port, stop) = (port.clone(), stop.clone());
            thread::spawn(move || {
                port.raise(Signals::BELL);
                stop.store(1, Ordering::Release);
            })
        };
        port.settle();
        while stop.load(Ordering::Acquire) == 0 {
            port.wait(None);
        }
        stopper.join().unwrap();
    });
}
