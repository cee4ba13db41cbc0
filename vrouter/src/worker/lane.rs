//! The way of received frames from one worker to another: one gives, one takes, in order, without waiting.

use arrayvec::ArrayVec;
use packet::InterfaceId;
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};
use sync::{Progress, Worked, progress};

use crate::datapath::BURST;

/// Frames that wait in a lane at most: what a worker that sleeps as long as any does may find when it awakes.
pub(super) const LANE: usize = 1024;

/// Where frames came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The interface.
    pub(super) interface: InterfaceId,
    /// The interface's first generation: another one may have its number by the time the frames are taken.
    pub(super) born: u32,
}

#[derive(Debug)]
struct Handed<B> {
    arrival: Arrival,
    frame: B,
}

/// The end of the worker that received the frames.
#[derive(Debug)]
pub(super) struct Giver<B> {
    ring: Producer<Handed<B>>,
    given: u64,
    done: Progress,
}

/// The end of the worker that sees them to their end.
#[derive(Debug)]
pub(super) struct Taker<B> {
    ring: Consumer<Handed<B>>,
    taken: u64,
    told: u64,
    done: Worked,
}

/// An empty lane. What is in it when both ends are dropped is dropped too.
pub(super) fn lane<B>() -> (Giver<B>, Taker<B>) {
    let (producer, consumer) = RingBuffer::new(LANE);
    let (worked, progress) = progress();
    let giver = Giver { ring: producer, given: 0, done: progress };
    (giver, Taker { ring: consumer, taken: 0, told: 0, done: worked })
}

impl<B> Giver<B> {
    /// Hands frames over from the front; what stays did not fit.
    pub(super) fn give(&mut self, arrival: Arrival, frames: &mut ArrayVec<B, BURST>) {
        let room = match self.ring.write_chunk_uninit(frames.len()) {
            Ok(_) => frames.len(),
            Err(ChunkError::TooFewSlots(room)) => room,
        };
        if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
            let handed = frames.drain(..room).map(|frame| Handed { arrival, frame });
            self.given += chunk.fill_from_iter(handed) as u64;
        }
    }

    /// Whether everything that was handed over has been seen to its end.
    pub(super) fn is_done(&self) -> bool {
        self.done.reached() == self.given
    }
}

impl<B> Taker<B> {
    /// Takes frames that came in at one place one after the other, as far as `frames` has room; `None` without any.
    #[inline]
    pub(super) fn take(&mut self, frames: &mut ArrayVec<B, BURST>) -> Option<Arrival> {
        let room = frames.remaining_capacity();
        let waiting = match self.ring.read_chunk(room) {
            Ok(_) => room,
            Err(ChunkError::TooFewSlots(waiting)) => waiting,
        };
        let chunk = self.ring.read_chunk(waiting).ok()?;
        let (first, second) = chunk.as_slices();
        let arrival = first.first()?.arrival;
        let alike = first.iter().chain(second).take_while(|handed| handed.arrival == arrival).count();
        frames.extend(chunk.into_iter().take(alike).map(|handed| handed.frame));
        self.taken += alike as u64;
        Some(arrival)
    }

    /// What was taken has been seen to its end.
    #[inline]
    pub(super) fn finish(&mut self) {
        if self.told != self.taken {
            self.told = self.taken;
            self.done.reach(self.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const FABRIC: Arrival = Arrival { interface: InterfaceId(1), born: 7 };

    fn take<B>(taker: &mut Taker<B>) -> (Option<Arrival>, Vec<B>) {
        let mut frames = ArrayVec::new();
        let arrival = taker.take(&mut frames);
        (arrival, frames.into_iter().collect())
    }

    #[test]
    fn frames_arrive_in_order_up_to_where_they_came_in_elsewhere() {
        let (mut giver, mut taker) = lane();
        assert_eq!(take::<u32>(&mut taker), (None, vec![]));
        let reborn = Arrival { born: 8, ..FABRIC };
        giver.give(FABRIC, &mut [1, 2].into_iter().collect());
        giver.give(FABRIC, &mut [3].into_iter().collect());
        giver.give(reborn, &mut [4].into_iter().collect());
        assert_eq!(take(&mut taker), (Some(FABRIC), vec![1, 2, 3]));
        assert_eq!(take(&mut taker), (Some(reborn), vec![4]));
        assert_eq!(take(&mut taker), (None, vec![]));
    }

    #[test]
    fn what_does_not_fit_stays_with_the_giver() {
        let (mut giver, mut taker) = lane();
        let mut given = 0;
        loop {
            let mut frames: ArrayVec<usize, BURST> = (given..given + 60).collect();
            giver.give(FABRIC, &mut frames);
            given += 60 - frames.len();
            if !frames.is_empty() {
                assert_eq!(frames.first(), Some(&given), "from the front");
                break;
            }
        }
        assert_eq!(given, LANE);
        let taken: Vec<_> = std::iter::from_fn(|| Some(take(&mut taker).1).filter(|taken| !taken.is_empty()))
            .flatten()
            .collect();
        assert_eq!(taken, (0..LANE).collect::<Vec<_>>());
    }

    #[test]
    fn the_giver_learns_when_everything_is_seen_to_its_end() {
        let (mut giver, mut taker) = lane();
        assert!(giver.is_done());
        giver.give(FABRIC, &mut [1, 2].into_iter().collect());
        assert!(!giver.is_done(), "it waits");
        take(&mut taker);
        assert!(!giver.is_done(), "it is being worked on");
        taker.finish();
        assert!(giver.is_done());
        giver.give(FABRIC, &mut [3].into_iter().collect());
        taker.finish();
        assert!(!giver.is_done(), "it was not taken");
    }

    #[test]
    fn what_is_in_a_lane_whose_ends_are_dropped_is_given_back() {
        let frame = Arc::new(());
        let (mut giver, taker) = lane();
        giver.give(FABRIC, &mut [Arc::clone(&frame), Arc::clone(&frame)].into_iter().collect());
        drop(taker);
        drop(giver);
        assert_eq!(Arc::strong_count(&frame), 1);
    }
}
