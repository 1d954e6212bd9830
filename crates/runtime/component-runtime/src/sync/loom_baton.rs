//! Models of handing over.
// Not loom's `Arc`: loom aborts when one of its own is dropped while a failed model unwinds.
use std::sync::Arc;

use loom::thread;
use model_sync::atomic::{AtomicU32, Ordering};

use super::{Baton, finds};

/// Two threads take turns: each sees all that the other did in the turn before.
fn turns(ordering: Ordering) {
    let done = Arc::new(AtomicU32::new(0));
    // Loom changes threads only at its own operations, and only where the order matters: this makes the moment between the
    // halves of giving one of them.
    let between = Arc::new(AtomicU32::new(0));
    let give = {
        let between = between.clone();
        move |baton: &Baton| {
            baton.publish(ordering);
            between.fetch_add(1, Ordering::Relaxed);
            baton.rouse();
        }
    };
    let wait = move |baton: &Baton| {
        baton.wait();
        between.fetch_add(1, Ordering::Relaxed);
    };
    let (sender, receiver) = loom::sync::mpsc::channel();
    let main = Arc::new(Baton::of_this_thread());
    {
        let (done, main, give, wait) = (done.clone(), main.clone(), give.clone(), wait.clone());
        thread::spawn(move || {
            let mine = Arc::new(Baton::of_this_thread());
            sender.send(mine.clone()).unwrap();
            wait(&mine);
            assert_eq!(done.load(Ordering::Relaxed), 1, "the first turn is not seen");
            done.store(2, Ordering::Relaxed);
            give(&main);
            wait(&mine);
            assert_eq!(done.load(Ordering::Relaxed), 3, "the third turn is not seen");
        });
    }
    let others = receiver.recv().unwrap();
    done.store(1, Ordering::Relaxed);
    give(&others);
    wait(&main);
    assert_eq!(done.load(Ordering::Relaxed), 2, "the second turn is not seen");
    done.store(3, Ordering::Relaxed);
    give(&others);
    // Loom waits for the other thread by itself. Not joined here: loom's unpark, which may still come, would end the join.
}

#[test]
fn loom_baton_hands_over() {
    loom::model(|| turns(Ordering::Release));
}

/// Giving without publishing: loom finds that a turn is not seen.
#[test]
fn loom_baton_negative_unpublished() {
    finds("turn is not seen", || turns(Ordering::Relaxed));
}

/// Waiting with one park and no second look: an unpark that was left over from an earlier wait ends it too early.
#[test]
fn loom_baton_negative_no_second_look() {
    finds("it did not wait", || {
        let done = Arc::new(AtomicU32::new(0));
        let main = Arc::new(Baton::of_this_thread());
        let other = {
            let (done, main) = (done.clone(), main.clone());
            thread::spawn(move || {
                main.give();
                thread::park();
                done.store(1, Ordering::Relaxed);
                main.give();
            })
        };
        main.wait();
        other.thread().unpark();
        if !main.take() {
            thread::park();
        }
        assert_eq!(done.load(Ordering::Relaxed), 1, "it did not wait");
    });
}
