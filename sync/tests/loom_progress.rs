//! Every interleaving of one who works and one who waits for it that loom can find:
//! `RUSTFLAGS="--cfg loom" cargo test -p sync --test loom_progress --release`

#![cfg(loom)]

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;
use sync::progress;

#[test]
fn who_sees_that_work_is_done_sees_what_was_done_and_goes_on_with_it() {
    loom::model(|| {
        let (mut worked, progress) = progress();
        // Written by one thread at a time, without any order of its own: loom objects to anything else.
        let place = Arc::new(UnsafeCell::new(()));
        let other = Arc::clone(&place);
        let worker = thread::spawn(move || {
            for piece in 1..=2 {
                other.with_mut(|_| ());
                worked.reach(piece);
            }
        });
        if progress.reached() == 2 {
            // The worker does not touch it any more.
            place.with_mut(|_| ());
        }
        worker.join().unwrap();
    });
}
