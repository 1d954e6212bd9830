//! Models of handing over.
use std::panic::catch_unwind;

use loom::thread;
use model_sync::Arc;
use model_sync::atomic::{AtomicU32, Ordering};

use super::Baton;

/// Two threads take turns: each sees all that the other did in the turn before.
fn turns(give: fn(&Baton)) {
    let done = Arc::new(AtomicU32::new(0));
    let (sender, receiver) = loom::sync::mpsc::channel();
    let main = Arc::new(Baton::of_this_thread());
    let other = {
        let (done, main) = (done.clone(), main.clone());
        thread::spawn(move || {
            let mine = Arc::new(Baton::of_this_thread());
            sender.send(mine.clone()).unwrap();
            mine.wait();
            assert_eq!(done.load(Ordering::Relaxed), 1, "the first turn is not seen");
            done.store(2, Ordering::Relaxed);
            give(&main);
            mine.wait();
            assert_eq!(done.load(Ordering::Relaxed), 3, "the third turn is not seen");
        })
    };
    let others = receiver.recv().unwrap();
    done.store(1, Ordering::Relaxed);
    give(&others);
    main.wait();
    assert_eq!(done.load(Ordering::Relaxed), 2, "the second turn is not seen");
    done.store(3, Ordering::Relaxed);
    give(&others);
    other.join().unwrap();
}

#[test]
fn loom_baton_hands_over() {
    loom::model(|| turns(Baton::give));
}

/// Giving without publishing: loom finds that a turn is not seen.
#[test]
fn loom_baton_negative_unpublished() {
    assert!(catch_unwind(|| loom::model(|| turns(|baton| baton.give_as(Ordering::Relaxed)))).is_err());
}

/// Waiting with one park and no second look: an unpark that was left over from an earlier wait ends it too early.
#[test]
fn loom_baton_negative_no_second_look() {
    let found = catch_unwind(|| {
        loom::model(|| {
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
            other.join().unwrap();
        });
    });
    assert!(found.is_err());
}
