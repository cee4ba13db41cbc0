//! What a session has that no packet needs, 40 bytes in an array of its own.
//!
//! ```text
//! word 0      generation 32 | created at 32
//! word 1      rule 24 | rule 24 | binding 16      while free: the next free session
//! word 2, 3   counters of both halves as last folded
//! word 4      rule 24 | rule 24
//! ```
//! The generation is odd while the session lives. It grows by one at each end of a life, so whoever kept an
//! older one sees that the session is not the one any more.

use crate::atomic::{AtomicU64, Ordering};
use crate::policy::RuleSlot;
use crate::table::RULES;
use crate::table::counter::Counter;
use crate::timeouts::Ticks;

/// See the module.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cold {
    words: [AtomicU64; 5],
}

impl Default for Cold {
    fn default() -> Self {
        Self { words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Cold {
    /// Generation and time of creation.
    #[inline]
    pub(crate) fn life(&self) -> (u32, Ticks) {
        let word = self.words[0].load(Ordering::Acquire);
        (word as u32, Ticks((word >> 32) as u32))
    }

    /// The generation, if the session lives.
    #[inline]
    pub(crate) fn living(&self) -> Option<u32> {
        let (generation, _) = self.life();
        (generation & 1 == 1).then_some(generation)
    }

    /// Writes what a new life begins with.
    pub(crate) fn write(&self, rules: [RuleSlot; RULES], binding: u16) {
        let [low, high] = packed(rules);
        self.words[1].store(low | u64::from(binding) << 48, Ordering::Relaxed);
        self.words[4].store(high, Ordering::Relaxed);
        self.words[2].store(0, Ordering::Relaxed);
        self.words[3].store(0, Ordering::Relaxed);
    }

    /// A life begins; the new generation.
    pub(crate) fn begin(&self, now: Ticks) -> u32 {
        let generation = self.life().0.wrapping_add(1) | 1;
        self.words[0].store(u64::from(generation) | u64::from(now.0) << 32, Ordering::Release);
        generation
    }

    /// The life of this generation ends; `false` if it is over already. Only one caller ends a life.
    pub(crate) fn end(&self, generation: u32) -> bool {
        let word = self.words[0].load(Ordering::Relaxed);
        let next = word & !0xffff_ffff | u64::from(generation.wrapping_add(1));
        word as u32 == generation
            && self.words[0].compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The rules that decided.
    pub(crate) fn rules(&self) -> [RuleSlot; RULES] {
        let [low, high] = [1, 4].map(|word: usize| self.words[word].load(Ordering::Relaxed));
        [low, low >> 24, high, high >> 24].map(|bits| RuleSlot::from_raw(bits as u32))
    }

    /// Changes the rules that decided.
    pub(crate) fn set_rules(&self, rules: [RuleSlot; RULES]) {
        let [low, high] = packed(rules);
        let binding = self.words[1].load(Ordering::Relaxed) & !0xffff_ffff_ffff;
        self.words[1].store(low | binding, Ordering::Relaxed);
        self.words[4].store(high, Ordering::Relaxed);
    }

    /// The address binding.
    pub(crate) fn binding(&self) -> u16 {
        (self.words[1].load(Ordering::Relaxed) >> 48) as u16
    }

    /// The counter of a half as last folded.
    pub(crate) fn folded(&self, reverse: bool) -> Counter {
        Counter(self.words[2 + usize::from(reverse)].load(Ordering::Relaxed))
    }

    /// Claims what was counted between two readings; `false` if somebody else did.
    pub(crate) fn fold(&self, reverse: bool, from: Counter, to: Counter) -> bool {
        self.words[2 + usize::from(reverse)]
            .compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// The session after this one in a chain of free ones.
    pub(crate) fn next_free(&self) -> u32 {
        self.words[1].load(Ordering::Relaxed) as u32
    }

    /// Chains this free session to the next.
    pub(crate) fn set_next_free(&self, next: u32) {
        self.words[1].store(u64::from(next), Ordering::Relaxed);
    }
}

/// Two rules in the low 48 bits of each word.
fn packed(rules: [RuleSlot; RULES]) -> [u64; 2] {
    let [a, b, c, d] = rules.map(|rule| u64::from(rule.raw()));
    [a | b << 24, c | d << 24]
}
