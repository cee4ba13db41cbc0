//! How control and workers share without locks: snapshot publication, single-writer counters, event rings.
