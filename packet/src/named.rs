//! Enums that are tables: what has a name for operators is written down once.

/// Declares an enum of which each row has a variant, its stable name and one sentence for an operator.
///
/// ```
/// packet::named_enum! {
///     /// What is served.
///     pub enum Meal;
///
///     Soup   "soup"   "Before everything else."
///     Cheese "cheese" "Closes the stomach."
/// }
/// assert_eq!(Meal::ALL.len(), Meal::COUNT);
/// assert_eq!((Meal::Soup.name(), Meal::Cheese.to_string()), ("soup", "cheese".to_owned()));
/// ```
#[macro_export]
macro_rules! named_enum {
    ($(#[$meta:meta])* pub enum $enum:ident; $($variant:ident $name:literal $help:literal)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $(#[doc = $help] $variant,)*
        }

        impl $enum {
            /// All of them, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable name, as in `no_route`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for an operator.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }

        impl ::std::fmt::Display for $enum {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
