//! Bounded queues for events from one thread to another. The sender never waits: what does not fit comes
//! back to it and is counted.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::counter::Counter;

#[derive(Debug)]
struct Ring<T> {
    queue: ArrayQueue<T>,
    overruns: CachePadded<Counter>,
}

/// A ring that holds up to `capacity` events, at least one.
#[must_use]
pub fn event_ring<T>(capacity: usize) -> (EventSender<T>, EventReceiver<T>) {
    let ring = Arc::new(Ring { queue: ArrayQueue::new(capacity.max(1)), overruns: CachePadded::default() });
    (EventSender(Arc::clone(&ring)), EventReceiver(ring))
}

/// The sending side, for one thread.
#[derive(Debug)]
pub struct EventSender<T>(Arc<Ring<T>>);

impl<T> EventSender<T> {
    /// Queues an event.
    ///
    /// # Errors
    /// The event itself if the ring is full; the overrun is counted.
    #[inline]
    pub fn send(&mut self, event: T) -> Result<(), T> {
        self.0.queue.push(event).inspect_err(|_| self.0.overruns.add(1))
    }

    /// How many events found the ring full, ever.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.0.overruns.get()
    }
}

/// The receiving side.
#[derive(Debug)]
pub struct EventReceiver<T>(Arc<Ring<T>>);

impl<T> EventReceiver<T> {
    /// The oldest event, if any.
    #[inline]
    #[must_use]
    pub fn recv(&mut self) -> Option<T> {
        self.0.queue.pop()
    }

    /// Takes up to `max` events, oldest first.
    pub fn drain(&mut self, max: usize) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.0.queue.pop()).take(max)
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.queue.len()
    }

    /// Whether none waits. One atomic look, cheap enough for every turn of a polling loop.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// How many events found the ring full, ever.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.0.overruns.get()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::event_ring;

    #[test]
    fn events_come_out_in_order_and_overruns_are_counted() {
        let (mut sender, mut receiver) = event_ring(3);
        assert!(receiver.is_empty());
        for event in 1..=3 {
            assert_eq!(sender.send(event), Ok(()));
        }
        assert_eq!(sender.send(4), Err(4));
        assert_eq!(sender.send(5), Err(5));
        assert_eq!((sender.overruns(), receiver.overruns(), receiver.len()), (2, 2, 3));
        assert!(!receiver.is_empty());
        assert_eq!(receiver.recv(), Some(1));
        assert_eq!(sender.send(6), Ok(()));
        assert_eq!(receiver.drain(2).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(receiver.drain(9).collect::<Vec<_>>(), [6]);
        assert_eq!(receiver.recv(), None);
    }

    #[test]
    fn a_ring_of_no_capacity_holds_one_event() {
        let (mut sender, mut receiver) = event_ring(0);
        assert_eq!(sender.send('a'), Ok(()));
        assert_eq!(receiver.recv(), Some('a'));
    }

    #[test]
    fn nothing_is_lost_between_two_threads() {
        let (mut sender, mut receiver) = event_ring(8);
        let worker = std::thread::spawn(move || {
            for event in 0..10_000 {
                let mut again = sender.send(event);
                while let Err(event) = again {
                    std::thread::yield_now();
                    again = sender.send(event);
                }
            }
        });
        let mut expected = 0;
        while expected < 10_000 {
            for event in receiver.drain(64) {
                assert_eq!(event, expected);
                expected += 1;
            }
        }
        worker.join().unwrap();
    }
}
