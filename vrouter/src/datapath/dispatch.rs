//! The short way for common packets, compiled for several CPUs: the best one for this machine is chosen when a data path
//! is made. The crate's only `unsafe` (SEMANTICS 28): telling the compiler that the CPU has what was asked for.

#![allow(unsafe_code, reason = "a function compiled for features that not every CPU has")]

use packet::PacketBuf;

use super::{Context, Datapath};
use crate::tables::Interface;

macro_rules! variants {
    ($($level:ident $name:literal $method:ident [$($feature:tt)*])*) => {
        /// A CPU that the short way was compiled for. There is none that this machine could not run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Variant(Level);

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Level {
            /// Whatever the whole program was compiled for.
            Program,
            $(#[cfg(target_arch = "x86_64")] $level,)*
        }

        impl Variant {
            /// All that this machine can run, the plainest first.
            pub fn available() -> impl DoubleEndedIterator<Item = Self> {
                [
                    Some(Level::Program),
                    $(
                        #[cfg(target_arch = "x86_64")]
                        (true $(&& std::is_x86_feature_detected!($feature))*).then_some(Level::$level),
                    )*
                ]
                .into_iter()
                .flatten()
                .map(Self)
            }

            /// Its name, as compilers have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    Level::Program => "as compiled",
                    $(#[cfg(target_arch = "x86_64")] Level::$level => $name,)*
                }
            }
        }

        impl<B: PacketBuf> Datapath<B> {
            /// The short way, as compiled for this CPU.
            #[inline]
            pub(super) fn express_on(&mut self, variant: Variant, cx: &Context<'_>, arrival: &Interface) {
                match variant.0 {
                    Level::Program => self.express(cx, arrival),
                    // SAFETY: a variant is made by `available` only, which asks the CPU for each of the features.
                    $(#[cfg(target_arch = "x86_64")] Level::$level => unsafe { self.$method(cx, arrival) },)*
                }
            }

            $(
                #[cfg(target_arch = "x86_64")]
                #[inline(never)]
                $(#[target_feature(enable = $feature)])*
                fn $method(&mut self, cx: &Context<'_>, arrival: &Interface) {
                    self.express(cx, arrival);
                }
            )*
        }
    };
}

// The levels of the x86-64 psABI, without what no compiler makes use of here. There is none for AVX-512: it was slower than v3
// (bench/NOTES.md).
variants! {
    V2 "x86-64-v2" express_v2 ["sse3" "ssse3" "sse4.1" "sse4.2" "popcnt"]
    V3 "x86-64-v3" express_v3
        ["sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "bmi1" "bmi2" "lzcnt" "movbe"]
}

impl Variant {
    /// The best one.
    #[must_use]
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self(Level::Program))
    }
}

#[cfg(test)]
mod tests {
    use super::Variant;

    #[test]
    fn the_best_variant_is_the_last_of_those_that_run_here() {
        let names: Vec<_> = Variant::available().map(Variant::name).collect();
        assert_eq!(names.first(), Some(&"as compiled"));
        assert_eq!(names.last(), Some(&Variant::best().name()));
        assert!(names.iter().skip(1).is_sorted(), "{names:?}");
    }
}
